//! CQRS and event sourcing without a framework.
//!
//! The parts, each usable alone: **messages** and a **mediator** with behaviours around handlers;
//! **aggregates** that decide, purely; an **event log**, a **ledger**, **projections** and **reactors** as small
//! traits that adapters implement; and the **command path** that joins them, so that what was answered is durable. There is
//! no web framework in here, no driver, no runtime, no clock and no randomness: the binary brings those.
//!
//! # Five minutes to a tested aggregate
//!
//! What happened is an event: a struct each, and an enum that names them for storage. The stored names are
//! for ever, the Rust names are yours to change.
//!
//! ```
//! use cqrs_core::{Aggregate, Command, Decide, Decided, Envelope, Message};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
//! pub struct Counted { pub by: u32 }
//!
//! cqrs_core::events! {
//!     #[derive(Debug, Clone, PartialEq)]
//!     pub enum CounterEvent { Counted = "counted" v1 }
//! }
//!
//! // The state is whatever decisions need. It is never stored, so nothing is demanded of it.
//! #[derive(Default)]
//! pub struct Counter { total: u32 }
//!
//! impl Aggregate for Counter {
//!     const CATEGORY: &'static str = "counter";
//!     type Id = String;
//!     type Event = CounterEvent;
//!
//!     fn evolve(self, event: &CounterEvent) -> Self {
//!         let CounterEvent::Counted(counted) = event;
//!         Self { total: self.total + counted.by }
//!     }
//! }
//!
//! // A command has a reply and an error of its own.
//! pub struct Count { pub counter: String, pub by: u32 }
//!
//! #[derive(Debug, PartialEq)]
//! pub struct Full;
//!
//! impl Message for Count {
//!     const NAME: &'static str = "Count";
//!     type Reply = u64;
//!     type Error = Full;
//! }
//! impl Command for Count {}
//!
//! impl Decide<Count> for Counter {
//!     fn target(command: &Count, _: &Envelope) -> String {
//!         command.counter.clone()
//!     }
//!
//!     fn decide(&self, command: &Count, _: &Envelope) -> Result<Vec<CounterEvent>, Full> {
//!         if self.total + command.by > 10 {
//!             return Err(Full);
//!         }
//!         Ok(vec![Counted { by: command.by }.into()])
//!     }
//!
//!     fn reply(_: &Count, decided: &Decided<'_, CounterEvent>) -> u64 {
//!         decided.version.get()
//!     }
//! }
//!
//! // Tested without a store (dev-dependency: the feature `testing`) …
//! use cqrs_core::testing::{envelope, given};
//!
//! let count = |by| Count { counter: "a".into(), by };
//! given::<Counter>([Counted { by: 8 }.into()])
//!     .when(count(2), &envelope("ada"))
//!     .then([Counted { by: 2 }.into()]);
//! given::<Counter>([Counted { by: 8 }.into()])
//!     .when(count(3), &envelope("ada"))
//!     .then_error(Full);
//!
//! // … and run on one. In production another log takes the place of `MemoryStore`.
//! use cqrs_core::{Codec, Executor, ExecutorOptions, Mediator, MemoryStore, Tracing};
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let executor: Executor<Counter, _> =
//!     Executor::new(MemoryStore::new(1), Codec::new(), ExecutorOptions::default());
//! let mediator = Mediator::new(executor).with(Tracing);
//! assert_eq!(mediator.send(count(2), &envelope("ada")).await.unwrap(), 1);
//! # });
//! ```
//!
//! # Where to go on
//!
//! | you want | look at |
//! |---|---|
//! | several aggregates behind one mediator | [`handlers!`] |
//! | handlers known only at run time, checked at start-up | [`Registry`] |
//! | something around every handler | [`Behaviour`], [`Idempotency`], [`ConflictRetry`], [`Validation`] |
//! | a changed event | [`Upcasters`] |
//! | long streams | [`Snapshotted`], [`Executor::with_snapshots`] |
//! | a value that must be unique | [`Aggregate::reservations`] |
//! | a read model | [`Projection`], [`ProjectionRunner`], [`MemoryProjection`] |
//! | the next version of one, beside the live one | [`Replay`], [`MemoryVersions`] |
//! | one thing to follow from another | [`Reactor`] |
//! | an adapter of your own | [`EventLog`], [`Ledger`], `testing` with its contract suites |
//!
//! # What is guaranteed
//!
//! - Events of one command are appended all or none, at the version that they were decided on ([`AppendToLog::append`]).
//! - Positions in a partition are dense and in commit order: a reader never misses a late commit ([`ReadLog`]).
//! - A command id takes effect at most once ([`Identity`]).
//! - A projection's rows and checkpoint change together, so each event has its effect once; a poisonous event parks its
//!   stream and holds up no other ([`ProjectionRunner`]).
//! - Nothing is answered before all that it was decided on is durable ([`Executor`]).

#![cfg_attr(
    test,
    allow(clippy::disallowed_methods, reason = "tests own a paused clock")
)]

mod aggregate;
mod behaviour;
mod bus;
mod codec;
mod coordinator;
mod envelope;
mod event;
mod execute;
mod follow;
mod handler;
mod json;
mod ledger;
mod log;
mod mediator;
mod memory;
mod message;
mod mutants;
mod position;
mod projection;
mod reactor;
#[cfg(test)]
mod reactor_tests;
mod replay;
mod snapshot;
mod stream;
pub mod telemetry;
#[cfg(feature = "testing")]
pub mod testing;
mod time;
mod upcast;
mod version;

pub use aggregate::{Aggregate, Decide, Decided, Outcome, Snapshotted};
pub use behaviour::{ConflictRetry, Idempotency, Invalid, Tracing, Validate, Validation};
pub use bus::{
    Accept, Assigned, Assignment, BusError, BusRecord, BusSource, ConsumeEvents, MemoryBus,
    MemoryConsumer, MemoryRelayMarks, NoLog, PublishEvents, Relay, RelayMark, RelayMarks,
    RelayMarksError, RelayOptions, Sequencer,
};
pub use codec::{Codec, DecodeError, EncodeError, Encoding, EventType};
pub use coordinator::{
    Advance, CommandClaims, Coordinator, CoordinatorClaim, CoordinatorOptions, Entered, Entry,
    Footing, Holder, Intended, Intent, IntentError, IntentStore, Intents, Known, KnownState,
    Landed, Lease, LedgerFold, LoggedAnswer, OpenIntent, Stored,
};
pub use envelope::{
    Actor, CommandId, Envelope, Identity, InvalidActor, LandedMark, Mark, ReplayMark, RequestHash,
    TargetMark, TraceContext,
};
pub use event::Event;
pub use execute::{Executor, ExecutorOptions, ExecutorStats};
pub use follow::{Backoff, RunnerError, RunnerOptions};
pub use handler::{Behaviour, Handler};
pub use ledger::{Claimed, Ledger, LedgerError, Reservations, ReservedValue, Settlement};
pub use log::{
    AppendError, AppendToLog, Appended, Commit, CommitHeader, CommitSource, EventData, EventId,
    EventLog, InvalidCommit, ReadError, ReadLog, RecordedCommit, RecordedEvent, SourceError,
    Subscribe, Subscription, TailLog, UpTo,
};
pub use mediator::{
    Dispatcher, Layered, Mediator, Published, Publisher, RegistrationErrors, Registry, Stack,
    Subscriber, SubscriberFailure, Unheard, Wrap,
};
pub use memory::{IntentsBackup, MemoryClaim, MemoryIntents, MemoryStore};
pub use message::{Command, DispatchError, DispatchResult, Message, Query};
pub use position::{InvalidLogPosition, LogPosition, Partition, Position};
pub use projection::{
    ApplyError, Batch, Checkpoint, CheckpointError, CheckpointStore, Commits, EventRef,
    InvalidBatch, MemoryProjection, Parked, ParkedStreams, Progress, ProgressCounts, Projection,
    ProjectionBackup, ProjectionRunner, Released,
};
pub use reactor::{ReactError, Reaction, Reactor, ReactorRunner, WhenGivenUp};
pub use replay::{
    BothPlaces, BuildVersions, ChangeVersions, CompareVersions, Compared, Difference, MemoryChange,
    MemoryGates, MemoryPromotion, MemoryReplayLock, MemorySnapshot, MemoryVersion, MemoryVersions,
    ModelState, ModelVersions, PromoteVersions, Promotion, PromotionTransaction, Replay,
    ReplayError, ReplayLock, ReplayOptions, ReplayPhase, ReplayProgress, ReplayState, SideBySide,
    Standing, Unkept, Verified, VersionChange, VersionGates, VersionProjection, VersionSnapshot,
    Versioned, Work, Writing, in_one_task,
};
pub use snapshot::{Snapshot, SnapshotError, SnapshotStore};
pub use stream::{InvalidStreamName, PARTITION_HASH, StreamName};
pub use time::{Clock, Random, Timer, Timestamp};
pub use upcast::{UpcastError, Upcasters};
pub use version::{ExpectedVersion, Precondition, Version};

#[doc(hidden)]
pub use mutants::mutant;
#[cfg(feature = "mutants")]
#[doc(hidden)]
pub use mutants::with_mutant;

#[doc(hidden)]
pub use event::{schema_version, unknown_event};
#[doc(hidden)]
pub use json::write_json;
#[doc(hidden)]
pub use serde_json;

/// An error from outside: a driver, a handler, a closure.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
