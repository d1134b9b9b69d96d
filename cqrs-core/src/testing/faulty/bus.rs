//! A faulty bus, and faulty books of its relays.

use crate::BoxError;
use crate::bus::{RelayMark, RelayMarks, RelayMarksError};
use crate::position::Partition;

use super::Faulty;

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
