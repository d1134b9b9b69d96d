//! Benchmarks, grouped by question, beside the bare limit.
//!
//! Here stands what they share: a small aggregate whose commands and payloads are like those of a real one.

#[cfg(feature = "peers")]
pub mod cqrs_es;
pub mod load;
pub mod measure;
pub mod notebook;
pub mod report;
pub mod sum;

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};

use cqrs_core::{
    Actor, Aggregate, BoxError, Command, CommandId, Decide, Decided, Envelope, EventType, Message,
    Snapshotted, Timestamp, Version,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How long a note's text is, in bytes.
pub const TEXT: usize = 280;

/// A note: written once, added to ever after.
#[derive(Debug, Default)]
pub struct Note {
    additions: u64,
}

/// Text was written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Written {
    text: String,
}

/// Text was added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Added {
    text: String,
}

impl Added {
    /// With as much text as every command adds.
    #[must_use]
    pub fn usual() -> Self {
        let text = "x".repeat(TEXT);
        Self { text }
    }
}

cqrs_core::events! {
    /// What happens to a note.
    #[derive(Debug, Clone)]
    pub enum NoteEvent {
        Written = "note-written" v1,
        Added = "note-added" v1,
    }
}

/// Begins a note; its id is the command's.
#[derive(Debug)]
pub struct Write;

/// Adds to a note; the first addition begins it.
#[derive(Debug)]
pub struct Add(pub Uuid);

/// Decides that there is nothing to do: what is left is to find the note's state.
#[derive(Debug)]
pub struct Look(pub Uuid);

impl Message for Write {
    const NAME: &'static str = "Write";
    type Reply = Version;
    type Error = Infallible;
}

impl Command for Write {}

impl Message for Add {
    const NAME: &'static str = "Add";
    type Reply = Version;
    type Error = Infallible;
}

impl Command for Add {}

impl Message for Look {
    const NAME: &'static str = "Look";
    type Reply = Version;
    type Error = Infallible;
}

impl Command for Look {}

impl Aggregate for Note {
    const CATEGORY: &'static str = "note";
    type Id = Uuid;
    type Event = NoteEvent;

    fn evolve(self, _: &NoteEvent) -> Self {
        Self {
            additions: self.additions + 1,
        }
    }
}

impl Snapshotted for Note {
    type Wire = u64;

    fn schema() -> EventType {
        EventType::new("note-snapshot", 1)
    }

    fn to_wire(&self) -> u64 {
        self.additions
    }

    fn from_wire(additions: u64) -> Result<Self, BoxError> {
        Ok(Self { additions })
    }
}

impl Decide<Write> for Note {
    const BEGINS: bool = true;

    fn target(_: &Write, envelope: &Envelope) -> Uuid {
        envelope.command_id.as_uuid()
    }

    fn decide(&self, _: &Write, _: &Envelope) -> Result<Vec<NoteEvent>, Infallible> {
        let text = "x".repeat(TEXT);
        Ok(vec![Written { text }.into()])
    }

    fn reply(_: &Write, decided: &Decided<'_, NoteEvent>) -> Version {
        decided.version
    }
}

impl Decide<Add> for Note {
    fn target(Add(note): &Add, _: &Envelope) -> Uuid {
        *note
    }

    fn decide(&self, _: &Add, _: &Envelope) -> Result<Vec<NoteEvent>, Infallible> {
        Ok(vec![Added::usual().into()])
    }

    fn reply(_: &Add, decided: &Decided<'_, NoteEvent>) -> Version {
        decided.version
    }
}

impl Decide<Look> for Note {
    fn target(Look(note): &Look, _: &Envelope) -> Uuid {
        *note
    }

    fn decide(&self, _: &Look, _: &Envelope) -> Result<Vec<NoteEvent>, Infallible> {
        Ok(Vec::new())
    }

    fn reply(_: &Look, decided: &Decided<'_, NoteEvent>) -> Version {
        decided.version
    }
}

/// An envelope with a command id that no other call gets, ordered by time as UUIDv7 is.
///
/// # Panics
///
/// Never: the actor is a valid one.
#[must_use]
pub fn envelope() -> Envelope {
    let actor = Actor::parse("ada").expect("a valid actor");
    let time = Timestamp::from_millis(1_700_000_000_000);
    Envelope::new(CommandId::new(next_id()), actor, time)
}

/// The next id; ordered, with random-looking low bits.
#[must_use]
pub fn next_id() -> Uuid {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    Uuid::from_u64_pair(number, number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}
