//! One command and a handler that answers what it was told to, for the tests beside.

use std::collections::VecDeque;
use std::sync::Mutex;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::envelope::{Actor, CommandId, Envelope};
use crate::handler::Handler;
use crate::message::{Command, DispatchError, DispatchResult, Message};
use crate::stream::StreamName;
use crate::time::Timestamp;

#[derive(Debug, Clone)]
pub(crate) struct Ring(pub(crate) u32);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("the bell is broken")]
pub(crate) struct Broken;

impl Message for Ring {
    const NAME: &'static str = "Ring";
    type Reply = u32;
    type Error = Broken;
}

impl Command for Ring {}

/// Gives its answers one after the other, and notes the envelopes.
pub(crate) struct Fixed {
    answers: Mutex<VecDeque<DispatchResult<Ring>>>,
    pub(crate) envelopes: Mutex<Vec<Envelope>>,
    lands: bool,
}

impl Fixed {
    pub(crate) fn new(answers: impl IntoIterator<Item = DispatchResult<Ring>>) -> Self {
        Self {
            answers: Mutex::new(answers.into_iter().collect()),
            envelopes: Mutex::default(),
            lands: false,
        }
    }

    /// The same, whose events land each time.
    pub(crate) fn landing(answers: impl IntoIterator<Item = DispatchResult<Ring>>) -> Self {
        Self {
            lands: true,
            ..Self::new(answers)
        }
    }

    pub(crate) fn calls(&self) -> usize {
        self.envelopes.lock().unwrap().len()
    }
}

impl Handler<Ring> for Fixed {
    async fn handle(&self, _: Ring, envelope: &Envelope) -> DispatchResult<Ring> {
        self.envelopes.lock().unwrap().push(envelope.clone());
        if self.lands {
            envelope.landed.set();
        }
        self.answers.lock().unwrap().pop_front().unwrap()
    }
}

pub(crate) fn envelope() -> Envelope {
    let id = CommandId::new(Uuid::from_u128(7));
    Envelope::new(
        id,
        Actor::parse("ada").unwrap(),
        Timestamp::from_millis(1_000),
    )
}

pub(crate) fn conflict() -> DispatchResult<Ring> {
    Err(DispatchError::Conflict {
        stream: StreamName::parse("bell-1").unwrap(),
    })
}
