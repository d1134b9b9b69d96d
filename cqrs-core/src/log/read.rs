//! Reading and following.

use crate::BoxError;
use crate::envelope::CommandId;
use crate::log::RecordedCommit;
use crate::position::{LogPosition, Partition, Position};
use crate::stream::StreamName;
use crate::version::Version;

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The partition does not exist.
    #[error("partition {partition} is not one of the log's {partitions}")]
    NoSuchPartition {
        /// What was asked for.
        partition: Partition,
        /// How many there are.
        partitions: u16,
    },
    /// What is stored breaks a rule of the log. A human must look.
    #[error("the log is corrupt at {at}: {reason}")]
    Corrupt {
        /// Where.
        at: LogPosition,
        /// What is wrong.
        reason: String,
    },
    /// The store failed; ask again.
    #[error("could not read the log")]
    Store {
        /// What the store said.
        source: BoxError,
    },
}

/// Reads commits. Everything read is durable.
pub trait ReadLog: Send + Sync {
    /// The commits of `stream` after version `after`, oldest first, whole.
    ///
    /// At least one where there is one; stops before `max_events` are exceeded
    /// otherwise. An empty answer is the stream's end. `after` must be
    /// [`Version::EMPTY`] or the end of one of its commits.
    ///
    /// # Errors
    ///
    /// - [`ReadError::Corrupt`]: a version is missing or repeated, or `after` is inside a commit or
    ///   past the stream's end (so that a snapshot that does not fit its stream is found out).
    /// - [`ReadError::Store`]: ask again.
    fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> impl Future<Output = Result<Vec<RecordedCommit>, ReadError>> + Send;

    /// The commits of `partition` after position `after`, in order, whole.
    ///
    /// At least one where there is one; stops before `max_events` are exceeded
    /// otherwise. An empty answer is the end of the log as of now.
    ///
    /// # Errors
    ///
    /// - [`ReadError::NoSuchPartition`].
    /// - [`ReadError::Corrupt`]: a position is missing.
    /// - [`ReadError::Store`]: ask again.
    fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> impl Future<Output = Result<Vec<RecordedCommit>, ReadError>> + Send;

    /// The commit that `command` appended, if it did.
    ///
    /// # Errors
    ///
    /// [`ReadError::Store`]: ask again.
    fn find_commit(
        &self,
        command: CommandId,
    ) -> impl Future<Output = Result<Option<RecordedCommit>, ReadError>> + Send;
}

/// Follows a log.
pub trait TailLog: Send + Sync {
    /// How many partitions the log has; fixed at its creation.
    fn partitions(&self) -> u16;

    /// The last durable position of `partition`.
    ///
    /// # Errors
    ///
    /// - [`ReadError::NoSuchPartition`].
    /// - [`ReadError::Store`]: ask again.
    fn head(
        &self,
        partition: Partition,
    ) -> impl Future<Output = Result<Position, ReadError>> + Send;

    /// Whether `partition` is known to have a commit after `after`, asking nobody; `true` where it is not known either.
    ///
    /// For whoever was just given a slice that ends at `after`. Where that slice left something out this is `true`. So where it
    /// is `false` the partition ended there when it was read: [`wait_past`](Self::wait_past) tells of what came since, as it
    /// would after a read that found nothing, and that read can be spared.
    fn goes_on(&self, partition: Partition, after: Position) -> bool {
        let _ = (partition, after);
        true
    }

    /// Completes once `partition` has a commit after `after`. May complete early; never late for good.
    ///
    /// # Errors
    ///
    /// - [`ReadError::NoSuchPartition`].
    /// - [`ReadError::Store`]: the log is closed or unreachable; ask again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    fn wait_past(
        &self,
        partition: Partition,
        after: Position,
    ) -> impl Future<Output = Result<(), ReadError>> + Send;
}
