//! The bus: the log's events for consumers that do not read the log.
//!
//! Partition *i* of the log is partition *i* of the bus. A [`Relay`] follows the log and publishes; nothing is
//! published from the command path. Duplicates come in order, nothing is lost; a consumer that takes what its
//! [`Sequencer`] takes sees every event once, in order. A [`BusSource`] does that for a runner.

mod group;
mod marks;
mod memory;
mod relay;
mod sequencer;
mod source;
#[cfg(test)]
mod source_tests;

use crate::BoxError;
use crate::log::{CommitHeader, EventData, EventId, RecordedCommit};
use crate::position::{Partition, Position};
use crate::stream::StreamName;
use crate::version::Version;

pub use group::{Assigned, Assignment};
pub use marks::{MemoryRelayMarks, RelayMark, RelayMarks, RelayMarksError};
pub use memory::{MemoryBus, MemoryConsumer};
pub use relay::{Relay, RelayOptions};
pub use sequencer::{Accept, Sequencer};
pub use source::{BusSource, NoLog};

/// The bus did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the bus did not answer")]
pub struct BusError {
    /// What the bus said.
    pub source: BoxError,
}

/// Publishes commits.
pub trait PublishEvents: Send + Sync {
    /// Publishes every event of `slice` to `partition`, in order; answers the offset after that of the last record, or
    /// the [`end`](Self::end) where `slice` has none.
    ///
    /// What only the ledger needs (reserved values, the request's hash) is not published.
    ///
    /// # Delivery
    ///
    /// All of them are durable when this returns. After an error, or where the future is dropped, some may be:
    /// publish the whole slice again, the repeats are the consumers' to drop.
    ///
    /// # Errors
    ///
    /// [`BusError`]: publish the whole slice again.
    fn publish(
        &self,
        partition: Partition,
        slice: &[RecordedCommit],
    ) -> impl Future<Output = Result<u64, BusError>> + Send;

    /// The offset that the next record of `partition` will have: 0 where there never was one.
    ///
    /// # Errors
    ///
    /// [`BusError`]: ask again.
    fn end(&self, partition: Partition) -> impl Future<Output = Result<u64, BusError>> + Send;

    /// Whether `partition` still holds what it held when a slice that ends with the commit at `position` was answered with
    /// `offset`: the record before `offset` is of that commit. Not so where the bus was made anew meanwhile, however much
    /// it has been given since.
    ///
    /// # Errors
    ///
    /// [`BusError`]: ask again.
    fn holds(
        &self,
        partition: Partition,
        position: Position,
        offset: u64,
    ) -> impl Future<Output = Result<bool, BusError>> + Send;
}

impl<B: PublishEvents> PublishEvents for std::sync::Arc<B> {
    fn publish(
        &self,
        partition: Partition,
        slice: &[RecordedCommit],
    ) -> impl Future<Output = Result<u64, BusError>> + Send {
        (**self).publish(partition, slice)
    }

    fn end(&self, partition: Partition) -> impl Future<Output = Result<u64, BusError>> + Send {
        (**self).end(partition)
    }

    fn holds(
        &self,
        partition: Partition,
        position: Position,
        offset: u64,
    ) -> impl Future<Output = Result<bool, BusError>> + Send {
        (**self).holds(partition, position, offset)
    }
}

/// One event on the bus, with all that makes its commit again once the commit's others are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BusRecord {
    /// Its id: partition, position, index.
    pub id: EventId,
    /// How many events its commit has.
    pub count: u32,
    /// Its number on this partition of the bus; repeats have numbers of their own.
    pub offset: u64,
    /// The stream.
    pub stream: StreamName,
    /// The stream's version after it.
    pub version: Version,
    /// Who, when, why; without the request's hash.
    pub header: CommitHeader,
    /// What is stored.
    pub data: EventData,
}

/// Reads a bus: a cursor for each partition that is assigned to this consumer.
pub trait ConsumeEvents: Send + Sync {
    /// Moves the cursor of `partition` to a record that is not behind the first of position `after + 1`; it may be
    /// earlier. [`Position::START`] is the beginning of what the bus has.
    ///
    /// # Errors
    ///
    /// [`BusError`]: not assigned, or out of reach; ask again.
    fn seek(
        &self,
        partition: Partition,
        after: Position,
    ) -> impl Future<Output = Result<(), BusError>> + Send;

    /// The next records of `partition`, at least one and at most `max`; waits where there is none, or where the
    /// partition is not assigned. It may go back by itself, and give again what it gave; it leaves nothing out.
    ///
    /// # Errors
    ///
    /// [`BusError`]: [`seek`](Self::seek), then ask again. So too where the partition was assigned anew.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    fn next(
        &self,
        partition: Partition,
        max: usize,
    ) -> impl Future<Output = Result<Vec<BusRecord>, BusError>> + Send;

    /// Notes that the effects of everything up to `done` are durable, and the next record of use has at least `offset`.
    ///
    /// A bus may keep it, to show how far its consumers lag and to begin there the next time. Loss does no harm.
    fn done(&self, partition: Partition, done: Position, offset: u64);
}
