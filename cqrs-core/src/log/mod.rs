//! The event log: the source of truth, as traits that adapters implement.
//!
//! A log has a fixed number of partitions; a stream belongs to one by
//! [`StreamName::partition`]. One command appends one [`Commit`] to one stream,
//! atomically. Commits of a partition are numbered 1, 2, 3 … without a hole, in
//! the order in which they became durable: a reader at position *p* never
//! misses a later commit at or before *p*, and "the next one is missing" means
//! "end of log".

mod append;
mod commit;
mod read;
mod source;
mod subscribe;
mod up_to;

pub use append::{AppendError, AppendToLog, Appended, InvalidCommit};
pub use commit::{Commit, CommitHeader, EventData, EventId, RecordedCommit, RecordedEvent};
pub use read::{ReadError, ReadLog, TailLog};
pub use source::{CommitSource, SourceError};
pub use subscribe::{Subscribe, Subscription};
pub use up_to::UpTo;

/// A whole event log: append, read, follow.
pub trait EventLog: AppendToLog + ReadLog + TailLog {}

impl<L: AppendToLog + ReadLog + TailLog> EventLog for L {}
