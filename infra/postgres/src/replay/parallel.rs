//! Each partition in a task of its own.

use std::panic::resume_unwind;

use cqrs_core::Work;
use futures_util::FutureExt;
use tokio::task::JoinSet;
use tracing::Instrument;

/// Runs `works` at once, on as many cores as there are; the first error, once all have ended.
///
/// Dropping the future ends the tasks where they wait next: a crash of each.
pub(super) fn side_by_side(works: Vec<Work>) -> Work {
    let all = async move {
        let mut tasks = JoinSet::new();
        for work in works {
            tasks.spawn(work.in_current_span());
        }
        let mut first_error = Ok(());
        while let Some(ended) = tasks.join_next().await {
            let ended = ended.unwrap_or_else(|failed| match failed.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                // Nobody else has the tasks, so none is cancelled before the set is dropped.
                Err(_) => Ok(()),
            });
            first_error = std::mem::replace(&mut first_error, Ok(())).and(ended);
        }
        first_error
    };
    all.boxed()
}
