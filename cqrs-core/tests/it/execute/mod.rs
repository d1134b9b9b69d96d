//! The command path, on a tally.

mod bounds;
mod gated;
mod repeats;
mod seeded;
mod snapshots;
mod speculation;

use std::sync::Mutex;

use cqrs_core::{
    Actor, Aggregate, AppendToLog, BoxError, Codec, Command, CommandId, Commit, Decide, Decided,
    DispatchError, Envelope, EventType, Executor, ExecutorOptions, ExpectedVersion, Handler,
    LogPosition, MemoryStore, Message, Outcome, ReadLog, Snapshotted, StreamName, Timestamp,
    Version,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Added {
    by: u64,
}

cqrs_core::events! {
    #[derive(Debug, Clone, PartialEq)]
    enum TallyEvent { Added = "added" v1 }
}

/// A sum that may not exceed 1,000,000 and panics when it becomes 666.
#[derive(Debug, Default)]
struct Tally {
    sum: u64,
}

impl Aggregate for Tally {
    const CATEGORY: &'static str = "tally";
    type Id = &'static str;
    type Event = TallyEvent;

    fn evolve(self, event: &TallyEvent) -> Self {
        let TallyEvent::Added(added) = event;
        let sum = self.sum + added.by;
        assert_ne!(sum, 666, "the beast");
        Self { sum }
    }

    fn weight(&self) -> usize {
        1_000
    }
}

impl Snapshotted for Tally {
    type Wire = u64;

    fn schema() -> EventType {
        EventType::new("tally", 1)
    }

    fn to_wire(&self) -> u64 {
        self.sum
    }

    fn from_wire(sum: u64) -> Result<Self, BoxError> {
        Ok(Self { sum })
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the sum would be {0}")]
struct TooMuch(u64);

#[derive(Debug, PartialEq)]
struct Receipt {
    outcome: Outcome,
    version: u64,
    at: LogPosition,
}

/// Adds; zero is nothing to do.
struct Add(&'static str, u64);

/// Adds to a tally that should be new.
struct Begin(&'static str);

macro_rules! command {
    ($name:ident) => {
        impl Message for $name {
            const NAME: &'static str = stringify!($name);
            type Reply = Receipt;
            type Error = TooMuch;
        }
        impl Command for $name {}
    };
}
command!(Add);
command!(Begin);

fn receipt(decided: &Decided<'_, TallyEvent>) -> Receipt {
    Receipt {
        // A repeat's receipt is the first one's.
        outcome: match decided.outcome {
            Outcome::Repeated => Outcome::Committed,
            other => other,
        },
        version: decided.version.get(),
        at: decided.at,
    }
}

impl Decide<Add> for Tally {
    fn target(command: &Add, _: &Envelope) -> &'static str {
        command.0
    }

    fn decide(&self, command: &Add, _: &Envelope) -> Result<Vec<TallyEvent>, TooMuch> {
        match self.sum + command.1 {
            sum if sum > 1_000_000 => Err(TooMuch(sum)),
            _ if command.1 == 0 => Ok(vec![]),
            _ => Ok(vec![Added { by: command.1 }.into()]),
        }
    }

    fn reply(_: &Add, decided: &Decided<'_, TallyEvent>) -> Receipt {
        receipt(decided)
    }
}

impl Decide<Begin> for Tally {
    const BEGINS: bool = true;

    fn target(command: &Begin, _: &Envelope) -> &'static str {
        command.0
    }

    fn decide(&self, _: &Begin, _: &Envelope) -> Result<Vec<TallyEvent>, TooMuch> {
        match self.sum {
            0 => Ok(vec![Added { by: 1 }.into()]),
            sum => Err(TooMuch(sum)),
        }
    }

    fn reply(_: &Begin, decided: &Decided<'_, TallyEvent>) -> Receipt {
        receipt(decided)
    }
}

fn envelope() -> Envelope {
    static NEXT: Mutex<u128> = Mutex::new(1);
    let mut next = NEXT.lock().unwrap();
    *next += 1;
    let id = CommandId::new(Uuid::from_u128(*next));
    Envelope::new(id, Actor::parse("ada").unwrap(), Timestamp::from_millis(7))
}

fn executor<L: cqrs_core::EventLog>(log: L) -> Executor<Tally, L> {
    Executor::new(log, Codec::new(), ExecutorOptions::default())
}

fn stream(id: &str) -> StreamName {
    StreamName::new("tally", &id).unwrap()
}

async fn add<L: cqrs_core::EventLog>(
    tally: &Executor<Tally, L>,
    id: &'static str,
    by: u64,
) -> Result<Receipt, DispatchError<TooMuch>> {
    tally.handle(Add(id, by), &envelope()).await
}

/// Appends behind the cache's back, as another process would.
async fn rival(store: &MemoryStore, id: &str, by: u64) {
    let commit = Commit {
        stream: stream(id),
        expected: ExpectedVersion::Any,
        header: (&envelope()).into(),
        events: vec![
            Codec::<TallyEvent>::new()
                .encode(&Added { by }.into())
                .unwrap(),
        ],
        reservations: cqrs_core::Reservations::none(),
    };
    store.append(commit).await.unwrap();
}

async fn sum(store: &MemoryStore, id: &str) -> u64 {
    let commits = store
        .read_stream(&stream(id), Version::EMPTY, usize::MAX)
        .await
        .unwrap();
    let codec = Codec::<TallyEvent>::new();
    let events = commits.iter().flat_map(|commit| &commit.events);
    events
        .map(|event| match codec.decode(event).unwrap() {
            TallyEvent::Added(added) => added.by,
        })
        .sum()
}
