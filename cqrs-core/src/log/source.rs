//! Where a runner's commits come from.

use crate::bus::BusError;
use crate::log::{EventId, ReadError, ReadLog, RecordedCommit, TailLog};
use crate::position::{Partition, Position};

/// Why a source gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The log gave nothing.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The bus gave nothing; ask again.
    #[error(transparent)]
    Bus(#[from] BusError),
    /// The bus lacks an event, does not repeat it, and there is no log to read it from. A human must look.
    #[error("event `{expected}` is missing on the bus, which went on to `{found}`")]
    Hole {
        /// What should have come.
        expected: EventId,
        /// What came instead.
        found: EventId,
    },
}

/// Gives the commits of each partition in order, without a hole: a log, or a bus seen through a
/// [`BusSource`](crate::BusSource). Every log is one.
pub trait CommitSource: Send + Sync {
    /// How many partitions there are.
    fn partition_count(&self) -> u16;

    /// The commits of `partition` after position `after`, in order, whole; empty where there is none as of now.
    ///
    /// Stops before `max_events` are exceeded, unless a single commit has more. Asking after a position also
    /// says that everything up to it is dealt with.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    fn slice_after(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> impl Future<Output = Result<Vec<RecordedCommit>, SourceError>> + Send;

    /// Whether to ask for what is after `after` at once, where a slice ended there: as [`TailLog::goes_on`].
    fn has_more(&self, partition: Partition, after: Position) -> bool {
        let _ = (partition, after);
        true
    }

    /// Completes once there may be a commit after `after`; never late for good.
    ///
    /// # Errors
    ///
    /// [`SourceError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    fn await_more(
        &self,
        partition: Partition,
        after: Position,
    ) -> impl Future<Output = Result<(), SourceError>> + Send;
}

impl<L: ReadLog + TailLog> CommitSource for L {
    fn partition_count(&self) -> u16 {
        self.partitions()
    }

    async fn slice_after(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, SourceError> {
        Ok(self.read_partition(partition, after, max_events).await?)
    }

    fn has_more(&self, partition: Partition, after: Position) -> bool {
        self.goes_on(partition, after)
    }

    async fn await_more(&self, partition: Partition, after: Position) -> Result<(), SourceError> {
        Ok(self.wait_past(partition, after).await?)
    }
}
