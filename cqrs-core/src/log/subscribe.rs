//! Subscriptions: everything after a position, then whatever comes.

use futures_util::stream::{self, Stream};

use crate::log::{ReadError, ReadLog, RecordedCommit, TailLog};
use crate::position::{Partition, Position};

/// Follows one partition of a log from a position on.
#[derive(Debug)]
pub struct Subscription<'a, L> {
    log: &'a L,
    partition: Partition,
    after: Position,
}

impl<'a, L: ReadLog + TailLog> Subscription<'a, L> {
    /// The position of the last commit that was given out.
    #[must_use]
    pub fn position(&self) -> Position {
        self.after
    }

    /// The next commits, at least one, in order; waits where there is none yet.
    ///
    /// Stops before `max_events` are exceeded, but gives whole commits.
    ///
    /// # Errors
    ///
    /// As [`ReadLog::read_partition`]. The subscription stands where it stood: call again.
    ///
    /// # Delivery
    ///
    /// Each commit once, in order, without a gap.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing: the next call starts at the same place.
    pub async fn next_slice(
        &mut self,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        loop {
            let slice = self
                .log
                .read_partition(self.partition, self.after, max_events)
                .await?;
            if let Some(last) = slice.last() {
                self.after = last.at.position;
                return Ok(slice);
            }
            self.log.wait_past(self.partition, self.after).await?;
        }
    }

    /// The same as a stream of slices. After an error it goes on from the same place.
    pub fn into_stream(
        self,
        max_events: usize,
    ) -> impl Stream<Item = Result<Vec<RecordedCommit>, ReadError>> + use<'a, L> {
        stream::unfold(self, move |mut subscription| async move {
            let slice = subscription.next_slice(max_events).await;
            Some((slice, subscription))
        })
    }
}

/// Opens subscriptions; every log that can be read and followed has it.
pub trait Subscribe: ReadLog + TailLog + Sized {
    /// Everything of `partition` after `from`, then whatever comes.
    fn subscribe(&self, partition: Partition, from: Position) -> Subscription<'_, Self> {
        Subscription {
            log: self,
            partition,
            after: from,
        }
    }
}

impl<L: ReadLog + TailLog> Subscribe for L {}
