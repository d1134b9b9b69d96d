//! Appending.

use std::future::Ready;

use crate::BoxError;
use crate::envelope::CommandId;
use crate::ledger::ReservedValue;
use crate::log::Commit;
use crate::position::LogPosition;
use crate::stream::StreamName;
use crate::version::{ExpectedVersion, Version};

/// What an append came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Where the commit stands.
    pub at: LogPosition,
    /// The stream's version after it.
    pub version: Version,
    /// Whether an earlier call had appended it already.
    pub repeated: bool,
}

/// What every log refuses, whatever it holds.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCommit {
    /// It has no event.
    #[error("a commit has at least one event")]
    Empty,
    /// It has more than [`Commit::MAX_EVENTS`].
    #[error("a commit has at most 1000 events, not {events}")]
    TooManyEvents {
        /// How many.
        events: usize,
    },
    /// It has more than [`Commit::MAX_BYTES`].
    #[error("a commit has at most 4 MiB of payload, not {bytes} bytes")]
    TooLarge {
        /// How many.
        bytes: usize,
    },
}

/// Why a commit was not appended, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppendError {
    /// The stream is at another version, or an earlier commit of it in the queue did not land.
    #[error("stream `{stream}` is at version {actual}, expected {expected}")]
    Conflict {
        /// The stream.
        stream: StreamName,
        /// What the commit was decided on.
        expected: ExpectedVersion,
        /// What is there.
        actual: Version,
    },
    /// The command's id stands in the log with another request.
    #[error("the command's id was used for another request")]
    KeyReused,
    /// Another stream owns a value that the commit reserves.
    #[error("{value} is owned by stream `{owner}`")]
    Reserved {
        /// The value.
        value: ReservedValue,
        /// Its owner.
        owner: StreamName,
    },
    /// Another attempt of the command holds it in the ledger.
    #[error("another attempt of the command holds it in the ledger")]
    NotClaimed,
    /// The commit itself is refused.
    #[error(transparent)]
    Invalid(#[from] InvalidCommit),
    /// The queue is full.
    #[error("the log's queue is full")]
    Overloaded,
    /// The store failed; whether the commit landed is unknown.
    #[error("could not append to stream `{stream}`")]
    Store {
        /// The stream.
        stream: StreamName,
        /// What the store said.
        source: BoxError,
    },
}

/// Appends commits.
pub trait AppendToLog: Send + Sync {
    /// Appends `commit` to its stream, all of it or nothing.
    ///
    /// The *call* takes the commit's place in its stream's order, not the first
    /// poll: two calls made one after the other are appended in that order,
    /// whichever future is polled first. A commit that was decided on one which is not yet
    /// durable says so ([`ExpectedVersion::After`]), and fails with
    /// [`AppendError::Conflict`] where that one did not land.
    ///
    /// A commit whose command id already stands in the log is not appended again: the
    /// answer is the first one's place, with [`Appended::repeated`] set,
    /// whatever version it expects.
    ///
    /// Where log and ledger are one store, this also takes and frees the
    /// commit's reservations in the same transaction.
    ///
    /// # Errors
    ///
    /// - [`AppendError::Conflict`]: nothing was written; reload, decide again.
    /// - [`AppendError::KeyReused`], [`AppendError::Reserved`],
    ///   [`AppendError::Invalid`]: nothing was written; asking again does not help.
    /// - [`AppendError::NotClaimed`]: nothing was written; claim the command again. Only where the ledger is another store.
    /// - [`AppendError::Overloaded`]: nothing was written; ask again later.
    /// - [`AppendError::Store`]: unknown outcome; append the identical commit again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the outcome unknown; the order is kept.
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send;

    /// Confirms that the durable head of `stream` is as `expected`, after everything called before.
    ///
    /// Takes its place in the stream's order like [`append`](Self::append). Answers where
    /// the stream's last commit stands (position 0 of its partition where the stream is empty). The head is
    /// read after the call, so that a decision without events, taken
    /// on `expected`, is as good as one whose append landed.
    ///
    /// # Errors
    ///
    /// - [`AppendError::Conflict`]: the head is another.
    /// - [`AppendError::Overloaded`], [`AppendError::Store`]: not known; ask again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> impl Future<Output = Result<LogPosition, AppendError>> + Send;

    /// What must be done before a commit of `command` is appended to `stream`; `None` where it may be at once.
    ///
    /// Asked for before each first append of a command, once its events are known; whether they reserve or release values
    /// is `reserving`. Once the future has completed, decide again and append. Only where the ledger is another store
    /// and the claim was [put off](crate::Ledger::claim_later); every other log does nothing here.
    ///
    /// # Errors
    ///
    /// - [`AppendError::NotClaimed`]: claim the command.
    /// - [`AppendError::Overloaded`], [`AppendError::Store`]: nothing was appended; ask again later.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the command claimed or not, and nothing appended.
    fn admit(
        &self,
        stream: &StreamName,
        command: CommandId,
        reserving: bool,
    ) -> Option<impl Future<Output = Result<(), AppendError>> + Send> {
        let _ = (stream, command, reserving);
        None::<Ready<Result<(), AppendError>>>
    }
}
