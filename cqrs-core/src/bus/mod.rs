//! The bus: the log's events for consumers that do not read the log.
//!
//! Partition *i* of the log is partition *i* of the bus. A [`Relay`] follows the log and publishes; nothing is
//! published from the command path. Duplicates come in order, nothing is lost; a consumer that takes what its
//! [`Sequencer`] takes sees every event once, in order.

mod marks;
mod memory;
mod relay;
mod sequencer;

use crate::BoxError;
use crate::log::{EventId, RecordedCommit};
use crate::position::Partition;

pub use marks::{MemoryRelayMarks, RelayMark, RelayMarks, RelayMarksError};
pub use memory::MemoryBus;
pub use relay::Relay;
pub use sequencer::{Accept, Sequencer};

/// The bus did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the bus did not answer")]
pub struct BusError {
    /// What the bus said.
    pub source: BoxError,
}

/// Publishes commits.
pub trait PublishEvents: Send + Sync {
    /// Publishes every event of `slice` to `partition`, in order.
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
    ) -> impl Future<Output = Result<(), BusError>> + Send;
}

/// One event on the bus, with its place in its commit.
#[derive(Debug, Clone)]
pub struct BusRecord {
    /// Its id: partition, position, index.
    pub id: EventId,
    /// How many events its commit has.
    pub count: u32,
    /// Its number on this partition of the bus, from 0; repeats have numbers of their own.
    pub offset: u64,
    /// The commit; shared by its records.
    pub commit: std::sync::Arc<RecordedCommit>,
}

/// Reads a bus.
pub trait ConsumeEvents: Send + Sync {
    /// The records of `partition` from `offset` on, at least one and at most `max`; waits where there is none.
    ///
    /// # Errors
    ///
    /// [`BusError`]: ask again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    fn next(
        &self,
        partition: Partition,
        offset: u64,
        max: usize,
    ) -> impl Future<Output = Result<Vec<BusRecord>, BusError>> + Send;
}
