//! Each partition in a task of its own.

use std::panic::resume_unwind;
use std::pin::pin;
use std::sync::Arc;

use cqrs_core::{
    CommitSource, ParkedStreams, Partition, Projection, ProjectionRunner, RunnerError, Timer,
};
use futures_util::future::{Either, select};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tracing::Instrument;

/// Lets `runner` catch up with all partitions at once, on as many cores as there are, or until `shutdown` completes; the
/// first error, once all have ended.
///
/// Dropping the future ends the tasks where they wait next: a crash of each.
pub(super) async fn side_by_side<S, P, T>(
    runner: &Arc<ProjectionRunner<S, P, T>>,
    partitions: u16,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), RunnerError>
where
    S: CommitSource + 'static,
    P: Projection + ParkedStreams + 'static,
    T: Timer + 'static,
{
    let (stop, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for partition in Partition::all(partitions) {
        let (runner, mut stopped) = (Arc::clone(runner), stopped.clone());
        let work = async move {
            let shutdown = async move {
                // Without a sender nobody waits for it any more: an end as good.
                drop(stopped.wait_for(|stopped| *stopped).await);
            };
            runner.catch_up_partition(partition, shutdown).await
        };
        tasks.spawn(work.in_current_span());
    }
    let mut first_error = Ok(());
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.unwrap_or_else(|failed| match failed.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Nobody else has the tasks, so none is cancelled before the set is dropped.
                Err(_) => Ok(()),
            });
            first_error = std::mem::replace(&mut first_error, Ok(())).and(ended);
        }
    };
    match select(pin!(all), pin!(shutdown)).await {
        Either::Left(((), _)) => {}
        Either::Right(((), rest)) => {
            stop.send_replace(true);
            rest.await;
        }
    }
    first_error
}
