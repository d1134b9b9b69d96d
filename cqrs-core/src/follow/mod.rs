//! What the projection runner, the reactor runner and the relay have in common: follow a partition, slice by slice.
//!
//! Invariants:
//!
//! - A step is never dropped half-way by a shutdown: that is looked for between steps and during waits.
//! - Whatever is away is waited for, for as long as it takes, with growing pauses.
//! - Nothing is waited for in silence: what fails is told the first, second, fourth, eighth … time in a row, a step
//!   that does not end after 5, 15, 35 … seconds.
//! - Only what no waiting can mend ends a partition, and then only that one, with a typed error.

mod assigned;
mod drive;
mod options;

use std::time::Duration;

use tokio::sync::Notify;

use crate::BoxError;
use crate::log::{CommitSource, ReadError, RecordedCommit, SourceError};
use crate::position::{Partition, Position};
use crate::projection::{CheckpointStore, Progress};
use crate::time::Timer;

pub(crate) use assigned::drive_assigned;
pub(crate) use drive::{drive, drive_all};
pub use options::{Backoff, RunnerError, RunnerOptions};

/// How far a step came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// There may be more.
    Went,
    /// The log ends here for now.
    AtEnd(Position),
    /// The partition is somebody else's: look again after so long.
    Standby(Duration),
}

impl Step {
    /// A slice of `source` is dealt with that ended at `to`.
    pub(crate) fn to(source: &impl CommitSource, partition: Partition, to: Position) -> Self {
        if source.has_more(partition, to) {
            Self::Went
        } else {
            Self::AtEnd(to)
        }
    }
}

/// Why a step came nowhere.
pub(crate) enum Trouble {
    /// Something is away: wait, then do the step again.
    Away(BoxError),
    /// Waiting does not help.
    Fatal(RunnerError),
}

impl Trouble {
    pub(crate) fn source(partition: Partition, source: SourceError) -> Self {
        match source {
            SourceError::Log(ReadError::Store { .. }) | SourceError::Bus(_) => {
                Self::Away(source.into())
            }
            SourceError::Log(source) => Self::Fatal(RunnerError::Log { partition, source }),
            SourceError::Hole { .. } => Self::Fatal(RunnerError::Hole { partition, source }),
        }
    }
}

/// Something that follows partitions by itself.
pub(crate) trait Follower: Send + Sync {
    type Source: CommitSource;
    type Timer: Timer;

    fn name(&self) -> &str;
    fn source(&self) -> &Self::Source;
    fn timer(&self) -> &Self::Timer;
    fn backoff(&self) -> Backoff;
    fn progress(&self) -> &Progress;
    /// Wakes one that waits at the end of the log, so that it looks at its checkpoint again.
    fn wake(&self, partition: Partition) -> Option<&Notify> {
        let _ = partition;
        None
    }
    /// How long it waits at the end of `partition` at most before it steps again.
    fn patience(&self, partition: Partition) -> Option<Duration> {
        let _ = partition;
        None
    }
    /// How long it lets commits gather once it has waited for one.
    fn gathering(&self) -> Duration {
        Duration::ZERO
    }
    /// Called where it has waited so long after `after`: whether to step again, and so to begin the wait anew.
    fn tired(&self, partition: Partition, after: Position) -> impl Future<Output = bool> + Send {
        let _ = (partition, after);
        std::future::ready(true)
    }

    /// Forgets what is remembered of `partition` and does what is done once at a start.
    fn begin(&self, partition: Partition) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Does the next slice.
    fn step(&self, partition: Partition) -> impl Future<Output = Result<Step, Trouble>> + Send;

    /// Does what is done once at an orderly end.
    fn end(&self, partition: Partition) -> impl Future<Output = ()> + Send {
        let _ = partition;
        std::future::ready(())
    }
}

pub(crate) fn no_such_partition(source: &impl CommitSource, partition: Partition) -> Trouble {
    let partitions = source.partition_count();
    let missing = ReadError::NoSuchPartition {
        partition,
        partitions,
    };
    Trouble::source(partition, missing.into())
}

pub(crate) async fn read<S: CommitSource>(
    source: &S,
    partition: Partition,
    after: Position,
    max_events: usize,
) -> Result<Vec<RecordedCommit>, Trouble> {
    source
        .slice_after(partition, after, max_events)
        .await
        .map_err(|source| Trouble::source(partition, source))
}

/// Where a follower without rows stands: `known`, or what its store says.
pub(crate) async fn load<K: CheckpointStore, F: Follower>(
    checkpoints: &K,
    follower: &F,
    partition: Partition,
    known: Option<Position>,
) -> Result<Position, Trouble> {
    if let Some(position) = known {
        return Ok(position);
    }
    let loaded = checkpoints.load(follower.name(), partition).await;
    let position = loaded.map_err(|error| Trouble::Away(error.into()))?;
    follower.progress().stand(partition, position, 0);
    Ok(position)
}

/// Moves the checkpoint of a follower without rows; `None` where it stands elsewhere and must be loaded again.
pub(crate) async fn advance<K: CheckpointStore, F: Follower>(
    checkpoints: &K,
    follower: &F,
    partition: Partition,
    from: Position,
    to: Position,
    events: usize,
) -> Result<Option<Position>, Trouble> {
    let moved = checkpoints
        .advance(follower.name(), partition, from, to)
        .await
        .map_err(|error| Trouble::Away(error.into()))?;
    if !moved {
        follower.progress().retried();
        return Ok(None);
    }
    follower.progress().done(events, 0);
    follower.progress().stand(partition, to, 0);
    Ok(Some(to))
}

/// When to end.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    Shutdown,
    EndOfLog,
}

/// The ways to run a [`Follower`], the same for all of them: for use in an `impl` block.
macro_rules! run_methods {
    () => {
        /// How far it has come.
        #[must_use]
        pub fn progress(&self) -> $crate::projection::Progress {
            self.progress.clone()
        }

        /// Follows all partitions until `shutdown` completes.
        ///
        /// # Errors
        ///
        /// [`RunnerError`] of the first partition that was given up, once all have ended. One that was given up does
        /// not hold the others back: watch [`Progress::is_stopped`].
        ///
        /// # Cancel safety
        ///
        /// Dropping the future is a crash: nothing is lost, the last slice may be repeated. `shutdown` lets what is
        /// running end first.
        pub async fn run(
            &self,
            shutdown: impl Future<Output = ()> + Send,
        ) -> Result<(), RunnerError> {
            let shutdown = futures_util::FutureExt::shared(shutdown);
            $crate::follow::drive_all(self, shutdown, $crate::follow::Until::Shutdown).await
        }

        /// Follows one partition until `shutdown` completes; otherwise as [`run`](Self::run).
        ///
        /// # Errors
        ///
        /// [`RunnerError`]: the partition was given up.
        pub async fn run_partition(
            &self,
            partition: Partition,
            shutdown: impl Future<Output = ()> + Send,
        ) -> Result<(), RunnerError> {
            let shutdown = futures_util::FutureExt::shared(shutdown);
            let until = $crate::follow::Until::Shutdown;
            $crate::follow::drive(self, partition, shutdown, until).await
        }

        /// Follows one partition up to its present end, or until `shutdown` completes.
        ///
        /// A process with several cores drives each partition's future in a task of its own.
        ///
        /// # Errors
        ///
        /// [`RunnerError`]: the partition was given up.
        pub async fn catch_up_partition(
            &self,
            partition: Partition,
            shutdown: impl Future<Output = ()> + Send,
        ) -> Result<(), RunnerError> {
            let shutdown = futures_util::FutureExt::shared(shutdown);
            let until = $crate::follow::Until::EndOfLog;
            $crate::follow::drive(self, partition, shutdown, until).await
        }

        /// Follows all partitions up to the present end, or until `shutdown` completes.
        ///
        /// # Errors
        ///
        /// As [`run`](Self::run).
        pub async fn catch_up(
            &self,
            shutdown: impl Future<Output = ()> + Send,
        ) -> Result<(), RunnerError> {
            let shutdown = futures_util::FutureExt::shared(shutdown);
            $crate::follow::drive_all(self, shutdown, $crate::follow::Until::EndOfLog).await
        }
    };
}

/// [`run_methods`], and those of a consumer whose partitions come and go.
macro_rules! run_assigned_methods {
    () => {
        /// Follows exactly the partitions that `group` assigns, until `shutdown` completes.
        ///
        /// One that is revoked ends after its running slice, which is harmless beside the
        /// new owner; one that is assigned begins at its own checkpoint.
        ///
        /// # Errors
        ///
        /// [`RunnerError`] of the first partition that was given up, once `shutdown` completes or no other is left.
        /// One that was given up is tried anew when it is assigned anew.
        ///
        /// # Cancel safety
        ///
        /// As [`run`](Self::run).
        pub async fn run_assigned(
            &self,
            group: &impl $crate::bus::Assigned,
            shutdown: impl Future<Output = ()> + Send,
        ) -> Result<(), RunnerError> {
            let shutdown = futures_util::FutureExt::shared(shutdown);
            $crate::follow::drive_assigned(self, group, shutdown).await
        }
    };
}

pub(crate) use {run_assigned_methods, run_methods};

/// An error and its sources in one line.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}
