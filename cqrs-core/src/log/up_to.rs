//! A log that ends where it is told to.

use std::sync::Arc;

use crate::log::{CommitSource, ReadLog, RecordedCommit, SourceError, TailLog};
use crate::position::{Partition, Position};

/// The commits of a log up to a position in each partition: what a rebuild copies, and a promotion waits for.
#[derive(Debug)]
pub struct UpTo<L> {
    log: Arc<L>,
    until: Vec<Position>,
}

impl<L> UpTo<L> {
    /// Those of `log` up to `until`, by partition; none of a partition that is not in there.
    #[must_use]
    pub fn new(log: &Arc<L>, until: &[Position]) -> Self {
        Self {
            log: Arc::clone(log),
            until: until.to_vec(),
        }
    }

    fn until(&self, partition: Partition) -> Position {
        let until = self.until.get(usize::from(partition.index()));
        until.copied().unwrap_or_default()
    }
}

impl<L: ReadLog + TailLog> CommitSource for UpTo<L> {
    fn partition_count(&self) -> u16 {
        self.log.partitions()
    }

    async fn slice_after(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, SourceError> {
        let until = self.until(partition);
        if after >= until {
            return Ok(Vec::new());
        }
        let mut slice = self
            .log
            .read_partition(partition, after, max_events)
            .await?;
        slice.truncate(slice.partition_point(|commit| commit.at.position <= until));
        Ok(slice)
    }

    fn has_more(&self, partition: Partition, after: Position) -> bool {
        after < self.until(partition) && self.log.goes_on(partition, after)
    }

    async fn await_more(&self, partition: Partition, after: Position) -> Result<(), SourceError> {
        Ok(self.log.wait_past(partition, after).await?)
    }
}
