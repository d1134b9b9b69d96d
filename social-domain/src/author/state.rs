//! The state of an author, and what follows from commands to one.

use cqrs_core::{Actor, Aggregate, Decide, Decided, Envelope, Reservations, ReservedValue};
use uuid::Uuid;

use super::events::{AuthorEvent, AuthorRegistered, DisplayNameChanged, HandleChanged};
use super::{AuthorError, RegisterAuthor};
use crate::receipt::Receipt;
use crate::value::Handle;

/// An author: an actor with a unique handle and a display name, once registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Author {
    pub(super) profile: Option<Profile>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    pub(super) handle: Box<str>,
    pub(super) display_name: Box<str>,
}

/// The id that answers show for `actor`: its UUIDv5.
#[must_use]
pub fn author_id(actor: &str) -> Uuid {
    Uuid::new_v5(&AUTHORS, actor.as_bytes())
}

/// The namespace of authors' ids. Frozen: a change gives every author another id.
const AUTHORS: Uuid = Uuid::from_u128(0x5b0d_93e1_27c4_4f86_a1d8_60e2_7f4b_c935);

/// The scope in which handles are reserved. Frozen: ledgers hold it.
const HANDLES: &str = "handle";

impl Aggregate for Author {
    const CATEGORY: &'static str = "author";
    /// The actor.
    type Id = Actor;
    type Event = AuthorEvent;

    fn evolve(mut self, event: &AuthorEvent) -> Self {
        match (event, &mut self.profile) {
            (AuthorEvent::AuthorRegistered(registered), profile @ None) => {
                *profile = Some(Profile {
                    handle: registered.handle.as_str().into(),
                    display_name: registered.display_name.as_str().into(),
                });
            }
            (AuthorEvent::HandleChanged(changed), Some(profile)) => {
                profile.handle = changed.handle.as_str().into();
            }
            (AuthorEvent::DisplayNameChanged(changed), Some(profile)) => {
                profile.display_name = changed.display_name.as_str().into();
            }
            // Nobody registers twice, or changes before; were it in the log, it would have no effect.
            _ => {}
        }
        self
    }

    fn reservations(&self, events: &[AuthorEvent]) -> Reservations {
        let newest = events.iter().rev().find_map(|event| match event {
            AuthorEvent::AuthorRegistered(registered) => Some(&registered.handle),
            AuthorEvent::HandleChanged(changed) => Some(&changed.handle),
            AuthorEvent::DisplayNameChanged(_) => None,
        });
        let Some(newest) = newest else {
            return Reservations::none();
        };
        let owned = self.profile.as_ref().map(|p| Handle::key_of(&p.handle));
        let wanted = Handle::key_of(newest);
        if owned.as_ref() == Some(&wanted) {
            // A mere change of case.
            return Reservations::none();
        }
        let value = |key| ReservedValue::new(HANDLES, key);
        Reservations {
            reserve: vec![value(wanted)],
            release: owned.map(value).into_iter().collect(),
        }
    }

    fn weight(&self) -> usize {
        let texts = self.profile.as_ref().map_or(0, |profile| {
            profile.handle.len() + profile.display_name.len() + 32
        });
        size_of::<Self>() + texts
    }
}

impl Decide<RegisterAuthor> for Author {
    fn target(_: &RegisterAuthor, envelope: &Envelope) -> Actor {
        envelope.actor.clone()
    }

    fn decide(
        &self,
        command: &RegisterAuthor,
        _: &Envelope,
    ) -> Result<Vec<AuthorEvent>, AuthorError> {
        let (handle, display_name) = (command.handle.as_str(), command.display_name.as_str());
        let Some(profile) = &self.profile else {
            let registered = AuthorRegistered {
                handle: handle.to_owned(),
                display_name: display_name.to_owned(),
            };
            return Ok(vec![registered.into()]);
        };
        let mut events = Vec::new();
        if *profile.handle != *handle {
            let changed = HandleChanged {
                previous: profile.handle.to_string(),
                handle: handle.to_owned(),
            };
            events.push(changed.into());
        }
        if *profile.display_name != *display_name {
            let changed = DisplayNameChanged {
                display_name: display_name.to_owned(),
            };
            events.push(changed.into());
        }
        Ok(events)
    }

    fn reply(_: &RegisterAuthor, decided: &Decided<'_, AuthorEvent>) -> Receipt {
        Receipt::new(author_id(decided.header.actor.as_str()), decided)
    }
}
