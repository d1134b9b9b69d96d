//! The engines as processes reach them: over a wire.

pub(crate) mod bus;
#[cfg(test)]
mod contracts;
pub(crate) mod group;
pub(crate) mod ledger;
pub(crate) mod marks;
pub(crate) mod models;

use std::time::Duration;

use futures_util::FutureExt;

/// How long a process waits for an engine.
pub(crate) const LIMIT: Duration = Duration::from_secs(1);

/// What a store in memory answers: at once.
pub(crate) fn at_once<T>(answer: impl Future<Output = T>) -> T {
    let Some(answer) = answer.now_or_never() else {
        unreachable!("a store in memory never waits");
    };
    answer
}
