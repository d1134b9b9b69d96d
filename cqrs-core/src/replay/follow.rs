//! Applying a part of the log, its partitions side by side.

use std::pin::pin;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Either, Shared, join_all, select};
use tokio::sync::oneshot;

use super::{BuildVersions, Failed, ModelState, Replay, ReplayError, ReplayPhase, Versioned};
use crate::follow::{RunnerError, RunnerOptions};
use crate::log::{ReadError, ReadLog, TailLog, UpTo};
use crate::position::{Partition, Position};
use crate::projection::{Progress, ProjectionRunner};
use crate::time::Timer;

/// One partition's work, which ends by itself.
pub type Work = BoxFuture<'static, Result<(), RunnerError>>;

/// Runs works side by side; gives the first error, once all have ended.
///
/// Dropping its future ends them where they wait next: a crash of each.
pub type SideBySide = fn(Vec<Work>) -> Work;

/// [`SideBySide`], on one core.
#[must_use]
pub fn in_one_task(works: Vec<Work>) -> Work {
    join_all(works)
        .map(|ended| ended.into_iter().collect())
        .boxed()
}

impl<V, L, T> Replay<V, L, T>
where
    V: BuildVersions,
    L: ReadLog + TailLog + 'static,
    T: Timer + Clone + 'static,
{
    /// Where the log ends.
    pub(super) async fn heads(&self) -> Result<Vec<Position>, ReadError> {
        let mut heads = Vec::new();
        for partition in Partition::all(self.log.partitions()) {
            heads.push(self.log.head(partition).await?);
        }
        Ok(heads)
    }

    /// Applies the log up to `until`, by `projection`. Whether it got there; else `shutdown` came first.
    pub(super) async fn apply_up_to(
        &self,
        phase: ReplayPhase,
        projection: V::Projection,
        until: &[Position],
        max_events: usize,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<bool, RunnerError> {
        let options = RunnerOptions {
            max_events,
            attempts: self.options.attempts,
            backoff: self.options.backoff,
            read_ahead: true,
            ..RunnerOptions::default()
        };
        let source = UpTo::new(&self.log, until);
        let runner = ProjectionRunner::new(source, projection, self.timer.clone(), options);
        let progress: Progress = runner.progress();
        self.progress.enter(phase, Some((progress.clone(), until)));
        self.follow(Arc::new(runner), shutdown).await?;
        Ok(Partition::all(self.log.partitions())
            .zip(until)
            .all(|(partition, until)| progress.position(partition) >= *until))
    }

    /// Lets `runner` catch up with all partitions at once, or until `shutdown` completes; the first error, once all have
    /// ended.
    async fn follow(
        &self,
        runner: Arc<ProjectionRunner<UpTo<L>, V::Projection, T>>,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), RunnerError> {
        let (stop, stopped) = oneshot::channel::<()>();
        // Without a sender nobody waits for it any more: an end as good.
        let stopped = stopped.map(drop).shared();
        let work = |partition| {
            let (runner, stopped) = (Arc::clone(&runner), stopped.clone());
            async move { runner.catch_up_partition(partition, stopped).await }.boxed()
        };
        let works = Partition::all(self.log.partitions()).map(work).collect();
        let all = (self.side_by_side)(works);
        match select(all, pin!(shutdown)).await {
            Either::Left((ended, _)) => ended,
            Either::Right(((), rest)) => {
                drop(stop);
                rest.await
            }
        }
    }

    /// Completes with `shutdown`, or once `version` is retired.
    pub(super) async fn stop<S>(&self, version: &V::Version, shutdown: Shared<S>)
    where
        S: Future<Output = ()> + Send,
    {
        let retired = async {
            loop {
                self.timer.sleep(self.options.look).await;
                // A server that is away is waited for by whoever writes.
                let found = self.find(version.number()).await;
                if found.is_ok_and(|found| found.state() == ModelState::Retired) {
                    break;
                }
            }
        };
        select(shutdown, pin!(retired)).await;
    }

    /// What a run that got there, or was stopped, comes to.
    pub(super) async fn ended(
        &self,
        version: &V::Version,
        ended: Result<bool, RunnerError>,
    ) -> Result<(), Failed<V>> {
        if ended? {
            return Ok(());
        }
        match self.find(version.number()).await?.state() {
            ModelState::Retired => Err(super::unfit::<V>(version, ModelState::Retired)),
            _ => Err(ReplayError::Interrupted),
        }
    }
}
