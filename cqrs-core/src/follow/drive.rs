//! Follows partitions, each step by step.

use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, Shared, join_all, select};

use super::{Follower, RunnerError, Step, Trouble, Until, chain};
use crate::log::{CommitSource, SourceError};
use crate::position::{Partition, Position};
use crate::time::Timer;

/// A step that takes longer is told of.
const LONG: Duration = Duration::from_secs(5);
/// How often it is told of at most, each time after twice as long as before: the last time after some hours.
const TOLD: u32 = 12;

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
        match follower.patience(partition) {
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
            Either::Right((Ok(()), _)) => {
                let gathering = follower.gathering();
                if !gathering.is_zero() {
                    select(woken, pin!(follower.timer().sleep(gathering))).await;
                }
                return Ok(());
            }
            Either::Right((failed, _)) => return failed,
        }
    }
}

/// What `wait` gives; `None` where the shutdown comes first.
pub(super) async fn or_shutdown<S, W>(shutdown: &Shared<S>, wait: W) -> Option<W::Output>
where
    S: Future<Output = ()> + Send,
    W: Future,
{
    match select(shutdown.clone(), pin!(wait)).await {
        Either::Left(_) => None,
        Either::Right((output, _)) => Some(output),
    }
}
