//! What the projection runner, the reactor runner and the relay have in common: follow a partition, slice by slice.
//!
//! Invariants:
//!
//! - A step is never dropped half-way by a shutdown: that is looked for between steps and during waits.
//! - Whatever is away is waited for, for as long as it takes, with growing pauses.
//! - Nothing is waited for in silence: what fails is told the first, second, fourth, eighth … time in a row, a step
//!   that does not end after 5, 15, 35 … seconds.
//! - Only what no waiting can mend ends a partition, and then only that one, with a typed error.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, Shared, join_all, select};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::{Notify, oneshot};

use crate::BoxError;
use crate::bus::{Assigned, Assignment};
use crate::log::{CommitSource, EventId, ReadError, RecordedCommit, SourceError};
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

/// A step that takes longer is told of.
const LONG: Duration = Duration::from_secs(5);
/// How often it is told of at most, each time after twice as long as before: the last time after some hours.
const TOLD: u32 = 12;

/// How a runner works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerOptions {
    /// How many events a slice holds at most, unless a single commit has more.
    pub max_events: usize,
    /// How often an event that cannot be dealt with is tried in all, at least once.
    pub attempts: u32,
    /// The pauses between attempts.
    pub backoff: Backoff,
    /// How long a projection waits at the end of the log at most, before it asks its store where its checkpoint
    /// stands: a database that loses its tail in a crash takes it back, and nobody tells.
    pub look_again: Duration,
}

impl Default for RunnerOptions {
    /// 500 events, 3 attempts, the default pauses, 5 s.
    fn default() -> Self {
        Self {
            max_events: 500,
            attempts: 3,
            backoff: Backoff::default(),
            look_again: Duration::from_secs(5),
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
    /// The bus lacks an event and does not repeat it. A human must look.
    #[error("partition {partition} cannot be followed on the bus")]
    Hole {
        /// The partition.
        partition: Partition,
        /// What is missing.
        source: SourceError,
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
    /// How long it waits at the end of the log at most before it steps again.
    fn patience(&self) -> Option<Duration> {
        None
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
    let partitions = Partition::all(follower.source().partition_count());
    let all = partitions.map(|partition| drive(follower, partition, shutdown.clone(), until));
    join_all(all).await.into_iter().collect()
}

/// Follows the partitions that `group` assigns.
pub(crate) async fn drive_assigned<F, A, S>(
    follower: &F,
    group: &A,
    shutdown: Shared<S>,
) -> Result<(), RunnerError>
where
    F: Follower,
    A: Assigned,
    S: Future<Output = ()> + Send,
{
    let mut assignment = Assignment::default();
    // A partition is here from its start until its drive has ended, so that none is driven twice at once.
    let mut running = BTreeMap::<Partition, (u64, Option<oneshot::Sender<()>>)>::new();
    let mut given_up = BTreeSet::<(Partition, u64)>::new();
    let mut first_error = None;
    let mut drives = FuturesUnordered::new();
    loop {
        for (partition, (term, stop)) in &mut running {
            if assignment.partitions.get(partition) != Some(term) {
                // Dropping the sender is the signal.
                *stop = None;
            }
        }
        for (&partition, &term) in &assignment.partitions {
            if running.contains_key(&partition) || given_up.contains(&(partition, term)) {
                continue;
            }
            let (stop, stopped) = oneshot::channel();
            running.insert(partition, (term, Some(stop)));
            let ends = select(shutdown.clone(), stopped).map(drop).shared();
            drives.push(async move {
                let ended = drive(follower, partition, ends, Until::Shutdown).await;
                (partition, ended)
            });
        }
        if drives.is_empty()
            && let Some(error) = first_error
        {
            return Err(error);
        }
        let ended = async {
            match drives.next().await {
                Some(ended) => ended,
                None => std::future::pending().await,
            }
        };
        let changed = pin!(group.changed(assignment.number));
        match or_shutdown(&shutdown, select(pin!(ended), changed)).await {
            None => break,
            Some(Either::Left(((partition, ended), _))) => {
                let term = running.remove(&partition).map(|(term, _)| term);
                if let Err(error) = ended {
                    given_up.extend(term.map(|term| (partition, term)));
                    first_error.get_or_insert(error);
                }
            }
            Some(Either::Right((changed, _))) => assignment = changed,
        }
    }
    while let Some((_, ended)) = drives.next().await {
        if let Err(error) = ended {
            first_error.get_or_insert(error);
        }
    }
    first_error.map_or(Ok(()), Err)
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
    let ended = follow(follower, partition, shutdown, until).await;
    match &ended {
        Ok(()) => follower.end(partition).await,
        Err(error) => {
            tracing::error!(runner = follower.name(), %partition, error = chain(error), "stopped");
            follower.progress().stop(partition);
        }
    }
    ended
}

async fn follow<F, S>(
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
            told(follower, partition, follower.step(partition)).await
        } else {
            let begins = told(follower, partition, follower.begin(partition)).await;
            begins.map(|()| Step::Went)
        };
        let trouble = match went {
            Ok(Step::Went) => {
                begun = true;
                failures = 0;
                continue;
            }
            Ok(Step::AtEnd(_) | Step::Standby(_)) if until == Until::EndOfLog => return Ok(()),
            Ok(Step::Standby(pause)) => {
                failures = 0;
                or_shutdown(&shutdown, follower.timer().sleep(pause)).await;
                continue;
            }
            Ok(Step::AtEnd(after)) => {
                failures = 0;
                let waited = or_shutdown(&shutdown, wait_or_wake(follower, partition, after)).await;
                match waited {
                    None => return Ok(()),
                    Some(Ok(())) => continue,
                    Some(Err(source)) => Trouble::source(partition, source),
                }
            }
            Err(trouble) => trouble,
        };
        match trouble {
            Trouble::Fatal(error) => return Err(error),
            Trouble::Away(source) => {
                failures = failures.saturating_add(1);
                follower.progress().retried();
                let error = chain(source.as_ref());
                // Seldom enough to be read, and never silent for long.
                if failures.is_power_of_two() {
                    tracing::warn!(runner = follower.name(), %partition, error, failures, "waiting");
                } else {
                    tracing::debug!(runner = follower.name(), %partition, error, failures, "waiting");
                }
                let pause = follower.backoff().pause(failures);
                or_shutdown(&shutdown, follower.timer().sleep(pause)).await;
            }
        }
    }
    Ok(())
}

/// What `work` comes to; where it does not end, that is told again and again.
async fn told<F: Follower, W: Future>(follower: &F, partition: Partition, work: W) -> W::Output {
    let mut work = pin!(work);
    let mut waited = Duration::ZERO;
    for doubled in 0..TOLD {
        let long = LONG * (1 << doubled);
        let timer = pin!(follower.timer().sleep(long));
        match select(work.as_mut(), timer).await {
            Either::Left((done, _)) => return done,
            Either::Right(_) => {
                waited += long;
                let seconds = waited.as_secs();
                tracing::warn!(runner = follower.name(), %partition, seconds, "the same step still runs");
            }
        }
    }
    work.await
}

async fn wait_or_wake<F: Follower>(
    follower: &F,
    partition: Partition,
    after: Position,
) -> Result<(), SourceError> {
    let woken = async {
        match follower.wake(partition) {
            Some(wake) => wake.notified().await,
            None => std::future::pending().await,
        }
    };
    let tired = || async {
        match follower.patience() {
            Some(patience) => follower.timer().sleep(patience).await,
            None => std::future::pending().await,
        }
    };
    let more = follower.source().await_more(partition, after);
    let (mut woken, mut more) = (pin!(woken), pin!(more));
    loop {
        let tired = pin!(tired());
        match select(select(woken.as_mut(), tired), more.as_mut()).await {
            Either::Left((Either::Left(_), _)) => return Ok(()),
            // The source goes on with its wait, which may have a patience of its own.
            Either::Left((Either::Right(_), _)) => {
                if follower.tired(partition, after).await {
                    return Ok(());
                }
            }
            Either::Right((more, _)) => return more,
        }
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
