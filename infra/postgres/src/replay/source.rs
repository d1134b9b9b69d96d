//! A log that ends where it is told to.

use std::sync::Arc;

use cqrs_core::{CommitSource, Partition, Position, ReadLog, RecordedCommit, SourceError, TailLog};

/// The commits of `log` up to a position in each partition.
#[derive(Debug)]
pub(super) struct UpTo<L> {
    log: Arc<L>,
    until: Vec<Position>,
}

impl<L> UpTo<L> {
    pub(super) fn new(log: &Arc<L>, until: &[Position]) -> Self {
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
