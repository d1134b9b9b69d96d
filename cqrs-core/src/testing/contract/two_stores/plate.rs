//! An aggregate whose commands meet every path of the protocol: a name plate with a name that must be unique.

use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregate, Decide, Decided};
use crate::envelope::Envelope;
use crate::ledger::{Reservations, ReservedValue};
use crate::message::{Command, Message};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) before: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Polished {}

crate::events! {
    #[derive(Debug, Clone, PartialEq)]
    pub(super) enum PlateEvent {
        Named = "plate-named" v1,
        Polished = "plate-polished" v1,
    }
}

#[derive(Debug, Default)]
pub(super) struct Plate {
    name: Option<String>,
}

/// What is done to a plate; a new one, named by the command's id, where there is no `plate`.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) plate: Option<String>,
    /// The new name; none polishes it.
    pub(super) name: Option<String>,
    /// A plate of this name is not polished.
    pub(super) spared: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Changed {
    pub(super) plate: String,
    pub(super) version: u64,
    pub(super) at: String,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct SameName;

impl Message for Change {
    const NAME: &'static str = "Change";
    type Reply = Changed;
    type Error = SameName;
}

impl Command for Change {}

pub(super) fn named(name: &str) -> ReservedValue {
    ReservedValue::new("plate", name)
}

impl Aggregate for Plate {
    const CATEGORY: &'static str = "plate";
    type Id = String;
    type Event = PlateEvent;

    fn evolve(self, event: &PlateEvent) -> Self {
        match event {
            PlateEvent::Named(named) => Self {
                name: Some(named.name.clone()),
            },
            PlateEvent::Polished(_) => self,
        }
    }

    fn reservations(&self, events: &[PlateEvent]) -> Reservations {
        let mut reservations = Reservations::none();
        for event in events {
            if let PlateEvent::Named(event) = event {
                reservations.reserve.push(named(&event.name));
                reservations
                    .release
                    .extend(event.before.as_deref().map(named));
            }
        }
        reservations
    }
}

impl Decide<Change> for Plate {
    fn target(change: &Change, envelope: &Envelope) -> String {
        let fresh = || envelope.command_id.derive("plate").to_string();
        change.plate.clone().unwrap_or_else(fresh)
    }

    fn decide(&self, change: &Change, _: &Envelope) -> Result<Vec<PlateEvent>, SameName> {
        match &change.name {
            None if change.spared.is_some() && self.name == change.spared => Err(SameName),
            None => Ok(vec![Polished {}.into()]),
            Some(name) if self.name.as_ref() == Some(name) => Err(SameName),
            Some(name) => Ok(vec![
                Named {
                    name: name.clone(),
                    before: self.name.clone(),
                }
                .into(),
            ]),
        }
    }

    fn reply(_: &Change, decided: &Decided<'_, PlateEvent>) -> Changed {
        Changed {
            plate: decided.stream.id().to_owned(),
            version: decided.version.get(),
            at: decided.at.to_string(),
        }
    }
}
