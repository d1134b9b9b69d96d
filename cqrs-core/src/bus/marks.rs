//! Who publishes a partition, and how far.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::BoxError;
use crate::position::{Partition, Position};
use crate::time::Timestamp;

/// One entry of a relay's book about a partition: ownership and checkpoint in one. Never changed once inserted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayMark {
    /// Its number in the book: 1, 2, 3 …
    pub seq: u64,
    /// Everything up to here is on the bus.
    pub position: Position,
    /// The bus's end after that: one past the offset of the last record. 0 where nothing was published.
    pub offset: u64,
    /// The process that owns the partition; another name for each start of each process.
    pub owner: String,
    /// Until when nobody else takes the partition over, unless to share the load.
    pub lease_until: Timestamp,
}

/// Keeps the books of relays: insert-only, one book a (relay, partition).
///
/// Inserting a number that is not taken is the only compare-and-set: whoever loses the insert of the next number has
/// lost the partition.
pub trait RelayMarks: Send + Sync {
    /// The mark with the highest number, as a reader sees it that misses no acknowledged insert.
    ///
    /// # Errors
    ///
    /// [`RelayMarksError`]: ask again.
    fn latest(
        &self,
        relay: &str,
        partition: Partition,
    ) -> impl Future<Output = Result<Option<RelayMark>, RelayMarksError>> + Send;

    /// Inserts `mark`, durably; `false` where its number is taken, be it by this very mark, and then nothing changed.
    ///
    /// The caller has seen the number before it (or that there is none). A store may forget marks
    /// far behind the latest.
    ///
    /// # Errors
    ///
    /// [`RelayMarksError`]: whether it was inserted is unknown; look at the latest.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the outcome unknown.
    fn insert(
        &self,
        relay: &str,
        partition: Partition,
        mark: &RelayMark,
    ) -> impl Future<Output = Result<bool, RelayMarksError>> + Send;
}

/// The books could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("the relay's marks are out of reach")]
pub struct RelayMarksError {
    /// What the store said.
    pub source: BoxError,
}

impl<M: RelayMarks> RelayMarks for std::sync::Arc<M> {
    fn latest(
        &self,
        relay: &str,
        partition: Partition,
    ) -> impl Future<Output = Result<Option<RelayMark>, RelayMarksError>> + Send {
        (**self).latest(relay, partition)
    }

    fn insert(
        &self,
        relay: &str,
        partition: Partition,
        mark: &RelayMark,
    ) -> impl Future<Output = Result<bool, RelayMarksError>> + Send {
        (**self).insert(relay, partition, mark)
    }
}

/// Books in memory. Strict: refuses a number whose predecessor is missing.
#[derive(Debug, Default)]
pub struct MemoryRelayMarks(Mutex<BTreeMap<(String, Partition), Vec<RelayMark>>>);

impl MemoryRelayMarks {
    /// Empty books.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The whole book of `relay` about `partition`, oldest first.
    #[must_use]
    pub fn book(&self, relay: &str, partition: Partition) -> Vec<RelayMark> {
        let books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let book = books.get(&(relay.to_owned(), partition));
        book.cloned().unwrap_or_default()
    }
}

impl RelayMarks for MemoryRelayMarks {
    async fn latest(
        &self,
        relay: &str,
        partition: Partition,
    ) -> Result<Option<RelayMark>, RelayMarksError> {
        Ok(self.book(relay, partition).pop())
    }

    async fn insert(
        &self,
        relay: &str,
        partition: Partition,
        mark: &RelayMark,
    ) -> Result<bool, RelayMarksError> {
        // Nothing panics under this lock half-way through a change.
        let mut books = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let book = books.entry((relay.to_owned(), partition)).or_default();
        let next = book.last().map_or(1, |last| last.seq + 1);
        if mark.seq > next || mark.seq == 0 {
            let source = format!("mark {} does not follow: the next is {next}", mark.seq);
            return Err(RelayMarksError {
                source: source.into(),
            });
        }
        let free = mark.seq == next;
        if free {
            book.push(mark.clone());
        }
        Ok(free)
    }
}
