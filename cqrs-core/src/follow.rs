//! What the projection runner, the reactor runner and the relay have in common: follow a partition, slice by slice.
//!
//! Invariants:
//!
//! - A step is never dropped half-way by a shutdown: that is looked for between steps and during waits.
//! - Whatever is away is waited for, for as long as it takes, with growing pauses.
//! - Only what no waiting can mend ends a partition, and then only that one, with a typed error.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, Shared, join_all, select};
use tokio::sync::Notify;

use crate::BoxError;
use crate::log::{EventId, ReadError, ReadLog, RecordedCommit, TailLog};
use crate::position::{Partition, Position};
use crate::projection::{CheckpointStore, Progress};
use crate::time::Timer;

/// Growing pauses between attempts: the first, then twice as long each time, up to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Backoff {
    /// From 50 ms to 5 s.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(50),
            longest: Duration::from_secs(5),
        }
    }
}

impl Backoff {
    /// The pause after `failures` failures in a row; none after 0.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        match failures {
            0 => Duration::ZERO,
            n => self
                .first
                .saturating_mul(1 << (n - 1).min(20))
                .min(self.longest),
        }
    }
}

/// How a runner works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerOptions {
    /// How many events a slice holds at most, unless a single commit has more.
    pub max_events: usize,
    /// How often an event that cannot be dealt with is tried in all, at least once.
    pub attempts: u32,
    /// The pauses between attempts.
    pub backoff: Backoff,
}

impl Default for RunnerOptions {
    /// 500 events, 3 attempts, the default pauses.
    fn default() -> Self {
        Self {
            max_events: 500,
            attempts: 3,
            backoff: Backoff::default(),
        }
    }
}

/// Why a runner gave up a partition. The other partitions go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The log lacks the partition, or is corrupt. A human must look.
    #[error("partition {partition} cannot be followed")]
    Log {
        /// The partition.
        partition: Partition,
        /// What the log said.
        source: ReadError,
    },
    /// A reactor gave an event up, and must not skip it.
    #[error("reactor `{reactor}` gave up event `{event}`")]
    GaveUp {
        /// The reactor.
        reactor: String,
        /// The event.
        event: EventId,
        /// Why.
        source: BoxError,
    },
}

/// How far a step came.
pub(crate) enum Step {
    /// There may be more.
    Went,
    /// The log ends here for now.
    AtEnd(Position),
}

/// Why a step came nowhere.
pub(crate) enum Trouble {
    /// Something is away: wait, then do the step again.
    Away(BoxError),
    /// Waiting does not help.
    Fatal(RunnerError),
}

impl Trouble {
    pub(crate) fn read(partition: Partition, source: ReadError) -> Self {
        match source {
            ReadError::Store { .. } => Self::Away(source.into()),
            ReadError::NoSuchPartition { .. } | ReadError::Corrupt { .. } => {
                Self::Fatal(RunnerError::Log { partition, source })
            }
        }
    }
}

/// Something that follows the partitions of a log by itself.
pub(crate) trait Follower: Send + Sync {
    type Log: TailLog;
    type Timer: Timer;

    fn name(&self) -> &str;
    fn log(&self) -> &Self::Log;
    fn timer(&self) -> &Self::Timer;
    fn backoff(&self) -> Backoff;
    fn progress(&self) -> &Progress;
    /// Wakes one that waits at the end of the log, so that it looks at its checkpoint again.
    fn wake(&self, partition: Partition) -> Option<&Notify> {
        let _ = partition;
        None
    }

    /// Forgets what is remembered of `partition` and does what is done once at a start.
    fn begin(&self, partition: Partition) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Does the next slice.
    fn step(&self, partition: Partition) -> impl Future<Output = Result<Step, Trouble>> + Send;
}

pub(crate) fn no_such_partition(log: &impl TailLog, partition: Partition) -> Trouble {
    let partitions = log.partitions();
    let source = ReadError::NoSuchPartition {
        partition,
        partitions,
    };
    Trouble::read(partition, source)
}

pub(crate) async fn read<L: ReadLog>(
    log: &L,
    partition: Partition,
    after: Position,
    max_events: usize,
) -> Result<Vec<RecordedCommit>, Trouble> {
    log.read_partition(partition, after, max_events)
        .await
        .map_err(|source| Trouble::read(partition, source))
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

/// Follows all partitions at once; the first error, once all have ended.
pub(crate) async fn drive_all<F, S>(
    follower: &F,
    shutdown: Shared<S>,
    until: Until,
) -> Result<(), RunnerError>
where
    F: Follower,
    S: Future<Output = ()> + Send,
{
    let partitions = Partition::all(follower.log().partitions());
    let all = partitions.map(|partition| drive(follower, partition, shutdown.clone(), until));
    join_all(all).await.into_iter().collect()
}

/// Follows one partition.
pub(crate) async fn drive<F, S>(
    follower: &F,
    partition: Partition,
    shutdown: Shared<S>,
    until: Until,
) -> Result<(), RunnerError>
where
    F: Follower,
    S: Future<Output = ()> + Send,
{
    let mut begun = false;
    let mut failures = 0u32;
    while shutdown.clone().now_or_never().is_none() {
        let went = if begun {
            follower.step(partition).await
        } else {
            follower.begin(partition).await.map(|()| Step::Went)
        };
        let trouble = match went {
            Ok(Step::Went) => {
                begun = true;
                failures = 0;
                continue;
            }
            Ok(Step::AtEnd(_)) if until == Until::EndOfLog => return Ok(()),
            Ok(Step::AtEnd(after)) => {
                failures = 0;
                let waited = or_shutdown(&shutdown, wait_or_wake(follower, partition, after)).await;
                match waited {
                    None => return Ok(()),
                    Some(Ok(())) => continue,
                    Some(Err(source)) => Trouble::read(partition, source),
                }
            }
            Err(trouble) => trouble,
        };
        match trouble {
            Trouble::Fatal(error) => {
                tracing::error!(runner = follower.name(), %partition, error = chain(&error), "stopped");
                follower.progress().stop(partition);
                return Err(error);
            }
            Trouble::Away(source) => {
                failures = failures.saturating_add(1);
                follower.progress().retried();
                let error = chain(source.as_ref());
                if failures == 1 {
                    tracing::warn!(runner = follower.name(), %partition, error, "waiting");
                } else {
                    tracing::debug!(runner = follower.name(), %partition, error, failures, "waiting");
                }
                let pause = follower.backoff().pause(failures);
                if or_shutdown(&shutdown, follower.timer().sleep(pause))
                    .await
                    .is_none()
                {
                    return Ok(());
                }
            }
        }
    }
    Ok(())
}

async fn wait_or_wake<F: Follower>(
    follower: &F,
    partition: Partition,
    after: Position,
) -> Result<(), ReadError> {
    let more = follower.log().wait_past(partition, after);
    match follower.wake(partition) {
        None => more.await,
        Some(wake) => match select(pin!(wake.notified()), pin!(more)).await {
            Either::Left(_) => Ok(()),
            Either::Right((more, _)) => more,
        },
    }
}

/// What `wait` gives; `None` where the shutdown comes first.
async fn or_shutdown<S, W>(shutdown: &Shared<S>, wait: W) -> Option<W::Output>
where
    S: Future<Output = ()> + Send,
    W: Future,
{
    match select(shutdown.clone(), pin!(wait)).await {
        Either::Left(_) => None,
        Either::Right((output, _)) => Some(output),
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let backoff = Backoff::default();
        let millis = |n| backoff.pause(n).as_millis();
        assert_eq!([0, 1, 2, 3].map(millis), [0, 50, 100, 200]);
        assert_eq!([20, 1_000, u32::MAX].map(millis), [5_000; 3]);
    }
}
