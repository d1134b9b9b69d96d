//! Projections: read models made from events, each with its checkpoint.

mod commits;
mod memory;
mod progress;
mod runner;
mod sorted;

pub use commits::Commits;
pub use memory::{InvalidBatch, MemoryProjection, ProjectionBackup};
pub use progress::{Progress, ProgressCounts};
pub use runner::{ProjectionRunner, Released};

use std::sync::Arc;

use crate::BoxError;
use crate::log::EventId;
use crate::position::{Partition, Position};
use crate::stream::StreamName;

/// How far a consumer has come in one partition.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// The last position that is done.
    pub position: Position,
    /// Raised whenever the rows are emptied for a rebuild; a writer of an older epoch is refused.
    pub epoch: u64,
}

/// One event on its way into a read model, by its place in the slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventRef {
    /// The commit's index in [`Batch::commits`].
    pub commit: usize,
    /// The event's index in that commit.
    pub event: usize,
}

/// A stream's events that wait behind one that cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The stream.
    pub stream: StreamName,
    /// The first event that could not be applied.
    pub first: EventId,
    /// Why.
    pub reason: String,
    /// How many of its events wait, the first included.
    pub waiting: u64,
}

/// What one transaction of a projection writes: rows and checkpoint together.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The partition.
    pub partition: Partition,
    /// Where the checkpoint must stand; else nothing is written.
    pub expected: Checkpoint,
    /// Where it stands afterwards (same epoch).
    pub position: Position,
    /// The commits that the events are from.
    pub commits: Commits<'a>,
    /// The events to apply, in order: only of types that the projection names, none of a parked stream.
    pub apply: &'a [EventRef],
    /// The events to park instead, in order, each with the reason where it is its stream's first.
    pub park: &'a [(EventRef, Option<String>)],
}

/// Why a batch was not written. Nothing of it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApplyError {
    /// One event cannot be decoded or applied, however often it is tried.
    #[error("event {index} of the batch cannot be applied")]
    Poison {
        /// Its index in [`Batch::apply`].
        index: usize,
        /// Why.
        source: BoxError,
    },
    /// The checkpoint stands elsewhere, or a stream was released in between: somebody else wrote. Load both again.
    #[error("the checkpoint or the parked streams are not as expected")]
    Stale,
    /// The store is away. Wait and try again, for as long as it takes.
    #[error("the read model's store did not answer")]
    Store {
        /// What the store said.
        source: BoxError,
    },
}

/// A read model and the store that keeps it: rows and checkpoint change in one transaction.
pub trait Projection: Send + Sync {
    /// The stable name, under which its checkpoints are kept.
    fn name(&self) -> &str;

    /// Whether it names this stored event type; the rest is skipped.
    fn handles(&self, event_type: &str) -> bool;

    /// How far `partition` is done.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Store`].
    fn checkpoint(
        &self,
        partition: Partition,
    ) -> impl Future<Output = Result<Checkpoint, ApplyError>> + Send;

    /// Writes `batch`, all of it or nothing: compare-and-set of the checkpoint, rows, parked events.
    ///
    /// [`ApplyError::Stale`] also where the batch applies an event of a parked stream, or parks one without a reason
    /// whose stream is not parked: a [release](ParkedStreams::release) moves no checkpoint.
    ///
    /// # Errors
    ///
    /// [`ApplyError`]; nothing was written, but after [`ApplyError::Store`] it may have been: load the
    /// checkpoint to know.
    fn apply(&self, batch: &Batch<'_>) -> impl Future<Output = Result<(), ApplyError>> + Send;
}

/// The streams that a projection has parked.
pub trait ParkedStreams: Send + Sync {
    /// The parked streams of `partition`.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Store`].
    fn parked(
        &self,
        partition: Partition,
    ) -> impl Future<Output = Result<Vec<Parked>, ApplyError>> + Send;

    /// Applies the waiting events of `stream` in order and unparks it, all or nothing. The checkpoint stays.
    ///
    /// Does nothing where the stream is not parked in `partition`.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Poison`], with the index among its waiting events: it stays parked.
    /// [`ApplyError::Store`]: unknown outcome; releasing again is safe.
    fn release(
        &self,
        partition: Partition,
        stream: &StreamName,
    ) -> impl Future<Output = Result<(), ApplyError>> + Send;
}

/// Keeps how far a consumer that has no rows of its own (a reactor, a relay) has come.
pub trait CheckpointStore: Send + Sync {
    /// How far `consumer` has done `partition`; the start, if it never came.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`].
    fn load(
        &self,
        consumer: &str,
        partition: Partition,
    ) -> impl Future<Output = Result<Position, CheckpointError>> + Send;

    /// Moves it from `from` to `to`, durably; `false` where it stands elsewhere, and then nothing changed.
    /// `to` may be the earlier one: so a consumer is sent over the log again.
    ///
    /// # Errors
    ///
    /// [`CheckpointError`]: whether it moved is unknown; load it.
    fn advance(
        &self,
        consumer: &str,
        partition: Partition,
        from: Position,
        to: Position,
    ) -> impl Future<Output = Result<bool, CheckpointError>> + Send;
}

/// The checkpoint store did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the checkpoint store did not answer")]
pub struct CheckpointError {
    /// What the store said.
    pub source: BoxError,
}

/// The same projection, driven here and read elsewhere.
impl<P: Projection> Projection for Arc<P> {
    fn name(&self) -> &str {
        (**self).name()
    }

    fn handles(&self, event_type: &str) -> bool {
        (**self).handles(event_type)
    }

    fn checkpoint(
        &self,
        partition: Partition,
    ) -> impl Future<Output = Result<Checkpoint, ApplyError>> + Send {
        (**self).checkpoint(partition)
    }

    fn apply(&self, batch: &Batch<'_>) -> impl Future<Output = Result<(), ApplyError>> + Send {
        (**self).apply(batch)
    }
}

impl<P: ParkedStreams> ParkedStreams for Arc<P> {
    fn parked(
        &self,
        partition: Partition,
    ) -> impl Future<Output = Result<Vec<Parked>, ApplyError>> + Send {
        (**self).parked(partition)
    }

    fn release(
        &self,
        partition: Partition,
        stream: &StreamName,
    ) -> impl Future<Output = Result<(), ApplyError>> + Send {
        (**self).release(partition, stream)
    }
}

#[cfg(test)]
pub(crate) mod tests;
