//! CQRS and event sourcing without a framework.

mod aggregate;
mod behaviour;
mod bus;
mod codec;
mod envelope;
mod event;
mod execute;
mod follow;
mod handler;
mod ledger;
mod log;
mod mediator;
mod memory;
mod message;
mod position;
mod projection;
mod reactor;
#[cfg(test)]
mod reactor_tests;
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
    Accept, BusError, BusRecord, ConsumeEvents, MemoryBus, PublishEvents, Relay, Sequencer,
};
pub use codec::{Codec, DecodeError, EncodeError, Encoding, EventType};
pub use envelope::{
    Actor, CommandId, Envelope, Identity, InvalidActor, LandedMark, Mark, ReplayMark, RequestHash,
    TraceContext,
};
pub use event::Event;
pub use execute::{Executor, ExecutorOptions, ExecutorStats};
pub use follow::{Backoff, RunnerError, RunnerOptions};
pub use handler::{Behaviour, Handler};
pub use ledger::{Claimed, Ledger, LedgerError, Reservations, ReservedValue, Settlement};
pub use log::{
    AppendError, AppendToLog, Appended, Commit, CommitHeader, EventData, EventId, EventLog,
    InvalidCommit, ReadError, ReadLog, RecordedCommit, RecordedEvent, Subscribe, Subscription,
    TailLog,
};
pub use mediator::{
    Dispatcher, Layered, Mediator, Published, Publisher, RegistrationErrors, Registry, Stack,
    Subscriber, SubscriberFailure, Unheard,
};
pub use memory::{MemoryClaim, MemoryStore};
pub use message::{Command, DispatchError, DispatchResult, Message, Query};
pub use position::{InvalidLogPosition, LogPosition, Partition, Position};
pub use projection::{
    ApplyError, Batch, Checkpoint, CheckpointError, CheckpointStore, EventRef, InvalidBatch,
    MemoryProjection, Parked, ParkedStreams, Progress, ProgressCounts, Projection,
    ProjectionRunner, Released,
};
pub use reactor::{ReactError, Reaction, Reactor, ReactorRunner, WhenGivenUp};
pub use snapshot::{Snapshot, SnapshotError, SnapshotStore};
pub use stream::{InvalidStreamName, PARTITION_HASH, StreamName};
pub use time::{Clock, Random, Timer, Timestamp};
pub use upcast::{UpcastError, Upcasters};
pub use version::{ExpectedVersion, Precondition, Version};

#[doc(hidden)]
pub use event::{schema_version, unknown_event};
#[doc(hidden)]
pub use serde_json;

/// An error from outside: a driver, a handler, a closure.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
