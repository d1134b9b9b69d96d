//! Publishing a slice, and showing life meanwhile.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};

use super::Relay;
use super::lane::{Lane, Standing};
use crate::bus::{PublishEvents, RelayMarks};
use crate::follow::Trouble;
use crate::log::{CommitSource, RecordedCommit};
use crate::mutants::mutant;
use crate::position::{Partition, Position};
use crate::time::{Clock, Timer};

/// The shortest pause between signs of life, whatever the lease is.
const SHORTEST: Duration = Duration::from_millis(10);

impl<S, M, B, T> Relay<S, M, B, T>
where
    S: CommitSource,
    M: RelayMarks,
    B: PublishEvents,
    T: Timer + Clock,
{
    /// Publishes `slice` behind `standing`, and marks that where it is time; where it stands then, unless the partition is lost.
    pub(super) async fn publish(
        &self,
        lane: &Lane,
        partition: Partition,
        mut standing: Standing,
        slice: &[RecordedCommit],
        to: Position,
    ) -> Result<Option<Standing>, Trouble> {
        let events: usize = slice.iter().map(|commit| commit.events.len()).sum();
        let mut publishing = pin!(self.bus.publish(partition, slice));
        let end = loop {
            let tired = pin!(self.time.sleep(self.third().max(SHORTEST)));
            match select(publishing.as_mut(), tired).await {
                Either::Left((end, _)) => break end,
                // Else another would take over meanwhile, publish the same, and lose it again in its turn.
                Either::Right(_) => match self.mark(lane, partition, standing).await? {
                    Some(renewed) => standing = renewed,
                    None => return Ok(None),
                },
            }
        };
        let due = standing.offset.saturating_add(events as u64);
        let end = match end {
            Err(_) if mutant("count a slice without its delivery reports") => due,
            end => end.map_err(|error| Trouble::Away(error.source))?,
        };
        if end < due {
            return self.refill(lane, partition, standing, end).await;
        }
        (standing.position, standing.offset) = (to, end);
        let standing = self.mark_if_due(lane, partition, standing).await?;
        if standing.is_some() {
            self.progress.done(events, 0);
            self.progress.stand(partition, to, 0);
        }
        Ok(standing)
    }

    /// Marks where it stands, where no mark says so and the latest one is old enough.
    pub(super) async fn mark_if_due(
        &self,
        lane: &Lane,
        partition: Partition,
        standing: Standing,
    ) -> Result<Option<Standing>, Trouble> {
        let due = standing.is_older(self.time.now(), self.options.mark_every);
        match standing.is_unmarked() && due {
            true => self.mark(lane, partition, standing).await,
            false => Ok(Some(standing)),
        }
    }

    /// Starts again from position 1, because the topic ends at `end`.
    pub(super) async fn refill(
        &self,
        lane: &Lane,
        partition: Partition,
        mut standing: Standing,
        end: u64,
    ) -> Result<Option<Standing>, Trouble> {
        tracing::warn!(
            relay = self.name, %partition, end, offset = standing.offset,
            "the topic has lost records: publishing everything again"
        );
        (standing.position, standing.offset) = (Position::START, end);
        let standing = self.mark(lane, partition, standing).await?;
        if standing.is_some() {
            self.progress.stand(partition, Position::START, 0);
        }
        Ok(standing)
    }
}
