//! A faulty bus, and faulty books of its relays.

use crate::BoxError;
use crate::bus::{
    BusError, BusRecord, ConsumeEvents, PublishEvents, RelayMark, RelayMarks, RelayMarksError,
};
use crate::log::RecordedCommit;
use crate::position::{Partition, Position};

use super::Faulty;

fn no_bus(source: BoxError) -> BusError {
    BusError { source }
}

impl<B: PublishEvents> PublishEvents for Faulty<B> {
    async fn publish(
        &self,
        partition: Partition,
        slice: &[RecordedCommit],
    ) -> Result<u64, BusError> {
        let call = self.inner.publish(partition, slice);
        self.call(call, no_bus).await
    }

    async fn end(&self, partition: Partition) -> Result<u64, BusError> {
        self.call(self.inner.end(partition), no_bus).await
    }

    async fn holds(
        &self,
        partition: Partition,
        position: Position,
        offset: u64,
    ) -> Result<bool, BusError> {
        let call = self.inner.holds(partition, position, offset);
        self.call(call, no_bus).await
    }
}

impl<B: ConsumeEvents> ConsumeEvents for Faulty<B> {
    async fn seek(&self, partition: Partition, after: Position) -> Result<(), BusError> {
        self.call(self.inner.seek(partition, after), no_bus).await
    }

    /// Where the outcome is unknown, the cursor moved and the records are lost to the caller until it seeks.
    async fn next(&self, partition: Partition, max: usize) -> Result<Vec<BusRecord>, BusError> {
        self.call(self.inner.next(partition, max), no_bus).await
    }

    fn done(&self, partition: Partition, done: Position, offset: u64) {
        self.inner.done(partition, done, offset);
    }
}
fn no_marks(source: BoxError) -> RelayMarksError {
    RelayMarksError { source }
}

impl<T: RelayMarks> RelayMarks for Faulty<T> {
    async fn latest(
        &self,
        relay: &str,
        partition: Partition,
    ) -> Result<Option<RelayMark>, RelayMarksError> {
        let call = self.inner.latest(relay, partition);
        self.call(call, no_marks).await
    }

    async fn insert(
        &self,
        relay: &str,
        partition: Partition,
        mark: &RelayMark,
    ) -> Result<bool, RelayMarksError> {
        let call = self.inner.insert(relay, partition, mark);
        self.call(call, no_marks).await
    }
}
