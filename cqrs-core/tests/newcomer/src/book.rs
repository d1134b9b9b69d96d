//! The aggregate.

use cqrs_core::{Aggregate, Command, Decide, Decided, Envelope, Message};
use serde::{Deserialize, Serialize};

/// Somebody took it home.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lent {
    /// Who.
    pub reader: String,
}

/// It came back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Returned {}

cqrs_core::events! {
    /// What happens to a book.
    #[derive(Debug, Clone, PartialEq)]
    pub enum BookEvent {
        Lent = "book-lent" v1,
        Returned = "book-returned" v1,
    }
}

/// One copy of a book.
#[derive(Debug, Default)]
pub struct Book {
    reader: Option<String>,
}

impl Aggregate for Book {
    const CATEGORY: &'static str = "book";
    type Id = u32;
    type Event = BookEvent;

    fn evolve(self, event: &BookEvent) -> Self {
        let reader = match event {
            BookEvent::Lent(lent) => Some(lent.reader.clone()),
            BookEvent::Returned(_) => None,
        };
        Self { reader }
    }
}

/// Somebody else has it.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{reader} has it")]
pub struct NotThere {
    /// Who.
    pub reader: String,
}

/// Lends a book to whoever asks.
#[derive(Debug, Clone)]
pub struct Lend(pub u32);

/// Takes a book back.
#[derive(Debug, Clone)]
pub struct TakeBack(pub u32);

impl Message for Lend {
    const NAME: &'static str = "Lend";
    type Reply = u64;
    type Error = NotThere;
}
impl Command for Lend {}

impl Message for TakeBack {
    const NAME: &'static str = "TakeBack";
    type Reply = u64;
    type Error = std::convert::Infallible;
}
impl Command for TakeBack {}

impl Decide<Lend> for Book {
    fn target(command: &Lend, _: &Envelope) -> u32 {
        command.0
    }

    fn decide(&self, _: &Lend, envelope: &Envelope) -> Result<Vec<BookEvent>, NotThere> {
        let asking = envelope.actor.as_str();
        match &self.reader {
            Some(reader) if reader == asking => Ok(vec![]),
            Some(reader) => Err(NotThere {
                reader: reader.clone(),
            }),
            None => Ok(vec![
                Lent {
                    reader: asking.to_owned(),
                }
                .into(),
            ]),
        }
    }

    fn reply(_: &Lend, decided: &Decided<'_, BookEvent>) -> u64 {
        decided.version.get()
    }
}

impl Decide<TakeBack> for Book {
    fn target(command: &TakeBack, _: &Envelope) -> u32 {
        command.0
    }

    fn decide(
        &self,
        _: &TakeBack,
        _: &Envelope,
    ) -> Result<Vec<BookEvent>, std::convert::Infallible> {
        Ok(self.reader.iter().map(|_| Returned {}.into()).collect())
    }

    fn reply(_: &TakeBack, decided: &Decided<'_, BookEvent>) -> u64 {
        decided.version.get()
    }
}
