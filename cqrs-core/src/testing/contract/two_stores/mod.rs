//! Promises of a ledger and a log in two stores, joined by a [`Coordinator`]: P4 and P5, whatever stops where.
//!
//! The commands run as they do in a binary: mediator, idempotency, conflict retry, executor, coordinator. A process is
//! stopped by dropping all of it. Leases are of no length, so that nothing waits: what they protect from is
//! double work, and without them there is only more of it.

pub mod alone;
pub mod crowds;
mod fuse;
mod plate;
pub mod races;
pub mod stops;
pub mod takeovers;

use uuid::Uuid;

use crate::aggregate::Aggregate;
use crate::behaviour::{ConflictRetry, Idempotency};
use crate::codec::Codec;
use crate::coordinator::{Coordinator, CoordinatorOptions, IntentStore, LoggedAnswer};
use crate::envelope::{Actor, CommandId, Envelope, Identity, RequestHash};
use crate::execute::{Executor, ExecutorOptions};
use crate::ledger::Ledger;
use crate::log::{Commit, CommitHeader, EventData, EventLog, ReadLog};
use crate::mediator::Mediator;
use crate::message::{DispatchError, DispatchResult};
use crate::position::LogPosition;
use crate::stream::StreamName;
use crate::testing::{InstantTimer, SeededRandom};
use crate::time::Timestamp;
use crate::version::{ExpectedVersion, Version};

use plate::{Change, Named, Plate, PlateEvent, Polished, named};

/// Two stores that belong together, and an empty ledger to lose the first one for.
#[derive(Debug, Clone)]
pub struct TwoStores<L, I> {
    /// The log.
    pub log: L,
    /// Its ledger.
    pub intents: I,
    /// Another ledger, empty.
    pub spare: I,
}

/// One process: all that it holds in memory is gone when this is dropped.
struct Process<L, I> {
    coordinator: Coordinator<L, I, InstantTimer>,
    executor: Executor<Plate, Coordinator<L, I, InstantTimer>>,
}

impl<L, I> Process<L, I>
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    fn start(log: &L, intents: &I, instance: u128) -> Self {
        let options = CoordinatorOptions {
            lease: std::time::Duration::ZERO,
            fold_at_once: 1_000,
            ..CoordinatorOptions::default()
        };
        let coordinator = Coordinator::new(
            log.clone(),
            intents.clone(),
            InstantTimer,
            Uuid::from_u128(instance),
            options,
        );
        let log = coordinator.clone();
        let executor = Executor::new(log, Codec::new(), ExecutorOptions::default());
        Self {
            coordinator,
            executor,
        }
    }

    async fn send(&self, asked: &Asked) -> DispatchResult<Change> {
        let mediator = Mediator::new(self.executor.clone())
            .with(ConflictRetry::new(InstantTimer, SeededRandom::new(1)))
            .with(Idempotency::new(self.coordinator.clone()));
        mediator.send(asked.change.clone(), &asked.envelope).await
    }

    /// As a client does that wants an answer.
    async fn ask(&self, asked: &Asked) -> Answer {
        for _ in 0..20 {
            match self.send(asked).await {
                Ok(changed) => return Ok(changed),
                Err(DispatchError::Refused(_)) => return Err("same name".to_owned()),
                Err(DispatchError::Taken { value }) => return Err(format!("{value} is taken")),
                Err(DispatchError::Conflict { .. } | DispatchError::InProgress) => {}
                Err(other) => panic!("unexpected: {other:?}"),
            }
        }
        panic!("no answer to {asked:?}")
    }

    /// As whoever asks again does, or else the log, once all is swept.
    async fn ask_again(&self, asked: &Asked) -> Answer {
        if asked.envelope.identity != Identity::Fresh {
            return self.ask(asked).await;
        }
        self.settle().await;
        let id = asked.envelope.command_id;
        let found = self.coordinator.find_commit(id).await.unwrap();
        let found = found.ok_or("it never happened")?;
        Ok(plate::Changed {
            plate: found.stream.id().to_owned(),
            version: found.version.get(),
            at: found.at.to_string(),
        })
    }

    /// Writes down what waits, folds what the log holds, sweeps: what the background parts do in time.
    async fn settle(&self) {
        while self.coordinator.finish_some().await.unwrap() {}
        self.coordinator
            .catch_up(std::future::pending())
            .await
            .unwrap();
        while self.coordinator.sweep().await > 0 {}
        while self.coordinator.finish_some().await.unwrap() {}
    }

    async fn owner(&self, name: &str) -> Option<StreamName> {
        self.coordinator.owner(&named(name)).await.unwrap()
    }
}

type Answer = Result<plate::Changed, String>;

/// A command as its client sends it, each time alike.
#[derive(Debug, Clone)]
struct Asked {
    change: Change,
    envelope: Envelope,
}

/// Who asks again under the command's id.
#[derive(Debug, Clone, Copy, PartialEq)]
enum By {
    Client,
    /// The id is fresh: what was begun is left to the sweeper.
    Nobody,
}

fn asked(number: u64, by: By, plate: Option<&StreamName>, name: Option<&str>) -> Asked {
    let id = CommandId::new(Uuid::from_u64_pair(0x2_5702e5, number));
    let actor = Actor::parse("ada").unwrap();
    let identity = match by {
        By::Client => Identity::Keyed(RequestHash::new([7; 32])),
        By::Nobody => Identity::Fresh,
    };
    Asked {
        change: Change {
            plate: plate.map(|plate| plate.id().to_owned()),
            name: name.map(str::to_owned),
            spared: None,
        },
        envelope: Envelope::new(id, actor, Timestamp::from_millis(1_700_000_000_000))
            .with_identity(identity),
    }
}

fn stream(id: impl std::fmt::Display) -> StreamName {
    StreamName::new("plate", &id).unwrap()
}

/// What is written on a plate, from the log alone.
async fn name_on(log: &impl EventLog, plate: &StreamName) -> Option<String> {
    let commits = log.read_stream(plate, Version::EMPTY, 1_000).await.unwrap();
    let codec = Codec::<PlateEvent>::new();
    let events = commits.iter().flat_map(|commit| &commit.events);
    let named = events.filter_map(|event| match codec.decode(event).unwrap() {
        PlateEvent::Named(Named { name, .. }) => Some(name),
        PlateEvent::Polished(_) => None,
    });
    named.last()
}

/// A commit of somebody who knows nothing of this ledger: wins whatever slot comes next.
async fn intrude(log: &impl EventLog, plate: &StreamName, number: u64, name: Option<&str>) {
    let other = asked(number, By::Nobody, Some(plate), name);
    let event: PlateEvent = match name {
        None => Polished {}.into(),
        Some(name) => Named {
            name: name.to_owned(),
            before: None,
        }
        .into(),
    };
    let stored: EventData = Codec::new().encode(&event).unwrap();
    let commit = Commit {
        stream: plate.clone(),
        expected: ExpectedVersion::Any,
        header: CommitHeader::from(&other.envelope),
        events: vec![stored],
        reservations: Plate::default().reservations(&[event]),
    };
    log.append(commit).await.unwrap();
}

/// P4: the command is in the log once, where its answer says, or not at all where it was refused.
async fn took_effect_once(log: &impl EventLog, asked: &Asked, answer: &Answer) {
    let id = asked.envelope.command_id;
    let found = log.find_commit(id).await.unwrap();
    // An answer may stand there in its place.
    let found = found.filter(|commit| LoggedAnswer::of(commit).is_none());
    let expected = answer.as_ref().ok();
    assert_eq!(
        found.as_ref().map(|commit| commit.at),
        expected.map(|changed| changed.at.parse::<LogPosition>().unwrap()),
        "{asked:?} was answered {answer:?}"
    );
    if let Some(commit) = found {
        let stream = log.read_stream(&commit.stream, Version::EMPTY, 1_000).await;
        let effects = stream.unwrap();
        let effects = effects.iter().filter(|c| c.header.command_id == id);
        assert_eq!(effects.count(), 1, "{asked:?}");
    }
}

/// P5: of `plates`, one bears the name, if any, and the ledger knows which. Nothing is open.
async fn names_are_unique<L, I>(process: &Process<L, I>, names: &[&str], plates: &[StreamName])
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    for name in names {
        let mut bearers = Vec::new();
        for plate in plates {
            let found = name_on(&process.coordinator, plate).await;
            if found.as_deref() == Some(name) {
                bearers.push(plate.clone());
            }
        }
        assert!(bearers.len() <= 1, "{name} is on {bearers:?}");
        assert_eq!(
            process.owner(name).await,
            bearers.pop(),
            "the owner of {name}"
        );
    }
}
