//! Publishes the log to a bus.
//!
//! | what happens | what is done |
//! |---|---|
//! | the bus is away, or its answer is lost | wait, publish the whole slice again: repeats in order |
//! | crash between publishing and the checkpoint | the slice is published again |
//! | the checkpoint stands elsewhere | another relay is at work: go on from where it stands |
//! | the log is corrupt | that partition ends with [`RunnerError::Log`] |

use futures_util::FutureExt;
use tokio::sync::Mutex;

use crate::bus::PublishEvents;
use crate::follow::{self, Backoff, Follower, RunnerError, RunnerOptions, Step, Trouble, Until};
use crate::log::{ReadLog, TailLog};
use crate::position::{Partition, Position};
use crate::projection::{CheckpointStore, Progress};
use crate::time::Timer;

/// Follows a log and publishes all of it to a bus, partition by partition; the checkpoint moves after the publishing.
///
/// # Delivery
///
/// Every event at least once, in the order of its partition; a slice ends at a commit's last event.
#[derive(Debug)]
pub struct Relay<L, K, B, T> {
    name: String,
    log: L,
    checkpoints: K,
    bus: B,
    timer: T,
    options: RunnerOptions,
    progress: Progress,
    /// Where each checkpoint stands, if that is known.
    lanes: Box<[Mutex<Option<Position>>]>,
}

impl<L, K, B, T> Relay<L, K, B, T>
where
    L: ReadLog + TailLog,
    K: CheckpointStore,
    B: PublishEvents,
    T: Timer,
{
    /// A relay from `log` to `bus`, which keeps its place in `checkpoints` under `name`.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        log: L,
        checkpoints: K,
        bus: B,
        timer: T,
        options: RunnerOptions,
    ) -> Self {
        let partitions = log.partitions();
        Self {
            name: name.into(),
            log,
            checkpoints,
            bus,
            timer,
            options,
            progress: Progress::new(partitions),
            lanes: (0..partitions).map(|_| Mutex::default()).collect(),
        }
    }

    /// How far it has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Follows all partitions until `shutdown` completes.
    ///
    /// # Errors
    ///
    /// [`RunnerError`] of the first partition that was given up, once all have ended.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is a crash: the last slice may be published again. `shutdown` lets it end first.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<(), RunnerError> {
        follow::drive_all(self, shutdown.shared(), Until::Shutdown).await
    }

    /// Follows all partitions up to the log's present end, or until `shutdown` completes.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn catch_up(
        &self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), RunnerError> {
        follow::drive_all(self, shutdown.shared(), Until::EndOfLog).await
    }
}

impl<L, K, B, T> Follower for Relay<L, K, B, T>
where
    L: ReadLog + TailLog,
    K: CheckpointStore,
    B: PublishEvents,
    T: Timer,
{
    type Log = L;
    type Timer = T;

    fn name(&self) -> &str {
        &self.name
    }

    fn log(&self) -> &L {
        &self.log
    }

    fn timer(&self) -> &T {
        &self.timer
    }

    fn backoff(&self) -> Backoff {
        self.options.backoff
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }

    async fn begin(&self, partition: Partition) -> Result<(), Trouble> {
        if let Some(lane) = self.lanes.get(usize::from(partition.index())) {
            *lane.lock().await = None;
        }
        Ok(())
    }

    async fn step(&self, partition: Partition) -> Result<Step, Trouble> {
        let Some(lane) = self.lanes.get(usize::from(partition.index())) else {
            return Err(follow::no_such_partition(&self.log, partition));
        };
        let mut known = lane.lock().await;
        let from = follow::load(&self.checkpoints, self, partition, known.take()).await?;
        let slice = follow::read(&self.log, partition, from, self.options.max_events).await?;
        let Some(last) = slice.last() else {
            *known = Some(from);
            return Ok(Step::AtEnd(from));
        };
        let published = self.bus.publish(partition, &slice).await;
        published.map_err(|error| Trouble::Away(error.source))?;
        let events = slice.iter().map(|commit| commit.events.len()).sum();
        let to = last.at.position;
        *known = follow::advance(&self.checkpoints, self, partition, from, to, events).await?;
        Ok(Step::Went)
    }
}
