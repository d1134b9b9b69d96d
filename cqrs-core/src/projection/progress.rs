//! How far a runner has come, for whoever waits for it or watches it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::position::{LogPosition, Partition, Position};

/// How far a runner has come in each partition, and what it has done. Cheap to clone; all clones show the same.
///
/// Before the runner has loaded its checkpoint, a partition stands at [`Position::START`].
#[derive(Debug, Clone)]
pub struct Progress(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    partitions: Box<[watch::Sender<State>]>,
    events: AtomicU64,
    batches: AtomicU64,
    retries: AtomicU64,
    parked: AtomicU64,
    given_up: AtomicU64,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    position: Position,
    parked: usize,
    stopped: bool,
}

/// What a runner has done since it was made. Only ever grows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProgressCounts {
    /// Events applied, reacted to or published, repeats included.
    pub events: u64,
    /// Times that the checkpoint was moved.
    pub batches: u64,
    /// Times that something had to be tried again.
    pub retries: u64,
    /// Events parked.
    pub parked: u64,
    /// Events given up and skipped.
    pub given_up: u64,
}

impl Progress {
    pub(crate) fn new(partitions: u16) -> Self {
        Self(Arc::new(Shared {
            partitions: (0..partitions)
                .map(|_| watch::Sender::new(State::default()))
                .collect(),
            events: AtomicU64::new(0),
            batches: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            parked: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
        }))
    }

    /// How many partitions are followed.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        u16::try_from(self.0.partitions.len()).unwrap_or(u16::MAX)
    }

    /// The last position of `partition` that is done.
    #[must_use]
    pub fn position(&self, partition: Partition) -> Position {
        self.state(partition).position
    }

    /// Completes once everything up to `at` is done, which may be at once.
    ///
    /// Never completes where `at` is never reached (a partition that the log lacks, a
    /// position far beyond its end): give it a deadline. A parked event counts as done here;
    /// ask the projection's store, in the same read as the rows, whether the stream is parked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn reached(&self, at: LogPosition) {
        let watch = self.0.partitions.get(usize::from(at.partition.index()));
        let Some(watch) = watch else {
            return std::future::pending().await;
        };
        // The sender lives as long as `self`, so that the wait cannot fail.
        let mut changes = watch.subscribe();
        let _ = changes
            .wait_for(|state| state.position >= at.position)
            .await;
    }

    /// How many streams are parked, over all partitions.
    #[must_use]
    pub fn parked_count(&self) -> usize {
        self.0.partitions.iter().map(|p| p.borrow().parked).sum()
    }

    /// Whether the runner gave `partition` up, see [`RunnerError`](crate::RunnerError).
    #[must_use]
    pub fn is_stopped(&self, partition: Partition) -> bool {
        self.state(partition).stopped
    }

    /// What was done so far.
    #[must_use]
    pub fn counts(&self) -> ProgressCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ProgressCounts {
            events: read(&self.0.events),
            batches: read(&self.0.batches),
            retries: read(&self.0.retries),
            parked: read(&self.0.parked),
            given_up: read(&self.0.given_up),
        }
    }

    pub(crate) fn stand(&self, partition: Partition, position: Position, parked: usize) {
        self.change(partition, |state| {
            *state = State {
                position,
                parked,
                stopped: false,
            };
        });
    }

    pub(crate) fn stop(&self, partition: Partition) {
        self.change(partition, |state| state.stopped = true);
    }

    pub(crate) fn done(&self, events: usize, parked: usize) {
        self.0.events.fetch_add(events as u64, Ordering::Relaxed);
        self.0.parked.fetch_add(parked as u64, Ordering::Relaxed);
        self.0.batches.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self) {
        self.0.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn gave_up(&self) {
        self.0.given_up.fetch_add(1, Ordering::Relaxed);
    }

    fn state(&self, partition: Partition) -> State {
        let watch = self.0.partitions.get(usize::from(partition.index()));
        watch.map_or_else(State::default, |watch| *watch.borrow())
    }

    fn change(&self, partition: Partition, change: impl FnOnce(&mut State)) {
        if let Some(watch) = self.0.partitions.get(usize::from(partition.index())) {
            watch.send_modify(change);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const FIRST: Partition = Partition::new(0);
    const SECOND: Partition = Partition::new(1);

    fn at(partition: Partition, position: u64) -> LogPosition {
        LogPosition::new(partition, Position::new(position))
    }

    #[tokio::test]
    async fn whoever_waits_for_a_position_is_let_go_when_it_is_done() {
        let progress = Progress::new(2);
        let seen = progress.clone();
        assert!(seen.reached(at(FIRST, 0)).now_or_never().is_some());
        let mut waits = std::pin::pin!(seen.reached(at(FIRST, 3)));
        assert!(waits.as_mut().now_or_never().is_none());
        progress.stand(FIRST, Position::new(2), 0);
        progress.stand(SECOND, Position::new(9), 0);
        assert!(waits.as_mut().now_or_never().is_none());
        progress.stand(FIRST, Position::new(5), 0);
        waits.await;
        assert_eq!(seen.position(FIRST), Position::new(5));
    }

    #[test]
    fn a_partition_that_is_not_followed_is_never_reached() {
        let progress = Progress::new(2);
        let beyond = Partition::new(2);
        progress.stand(beyond, Position::new(9), 7);
        progress.stop(beyond);
        assert!(progress.reached(at(beyond, 0)).now_or_never().is_none());
        assert_eq!(progress.position(beyond), Position::START);
        assert_eq!((progress.partitions(), progress.parked_count()), (2, 0));
        assert!(!progress.is_stopped(beyond));
    }

    #[test]
    fn parked_streams_are_summed_and_a_stopped_partition_goes_on_when_it_moves() {
        let progress = Progress::new(2);
        progress.stand(FIRST, Position::new(1), 2);
        progress.stand(SECOND, Position::new(1), 3);
        assert_eq!(progress.parked_count(), 5);
        progress.stop(SECOND);
        assert!(progress.is_stopped(SECOND) && !progress.is_stopped(FIRST));
        assert_eq!(progress.parked_count(), 5);
        progress.stand(SECOND, Position::new(2), 0);
        assert!(!progress.is_stopped(SECOND));
        assert_eq!(progress.parked_count(), 2);
    }
}
