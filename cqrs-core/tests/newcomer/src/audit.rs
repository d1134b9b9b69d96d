//! A behaviour: notes what was asked for and whether it was done.

use std::sync::{Arc, Mutex, PoisonError};

use cqrs_core::{Behaviour, DispatchResult, Envelope, Handler, Message};

/// One message that went through.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Its name.
    pub message: &'static str,
    /// Who sent it.
    pub actor: String,
    /// Whether it was answered with its reply.
    pub done: bool,
}

/// Notes every message. Clones share the notes.
#[derive(Debug, Clone, Default)]
pub struct Audit(Arc<Mutex<Vec<Entry>>>);

impl Audit {
    /// What was noted so far.
    pub fn entries(&self) -> Vec<Entry> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

impl<M: Message> Behaviour<M> for Audit {
    async fn around<N: Handler<M>>(
        &self,
        message: M,
        envelope: &Envelope,
        next: &N,
    ) -> DispatchResult<M> {
        let result = next.handle(message, envelope).await;
        let entry = Entry {
            message: M::NAME,
            actor: envelope.actor.to_string(),
            done: result.is_ok(),
        };
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.push(entry);
        result
    }
}
