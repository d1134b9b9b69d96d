//! Sees what other processes append, while somebody waits for it.
//!
//! A change stream where the server has them, and looking again: after 5 to 250 ms where there is no change stream,
//! every second beside one, and where nobody is in a hurry ([`Tailing`]). All of it only wakes readers: what they are given is read from the log.

use std::sync::Arc;
use std::time::Duration;

use crate::engine::Engine;
use crate::tail::Tail;

const POLL_MIN: Duration = Duration::from_millis(5);
const POLL_MAX: Duration = Duration::from_millis(250);
/// How long the server may hold a question for changes; the log's head is read as often besides.
pub(crate) const AWAIT: Duration = Duration::from_secs(1);

/// How a store learns what other processes append, while somebody waits for it. Of its own appends it always knows at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tailing {
    /// At once: by a change stream where the server has them, else by a look after 5 to 250 ms.
    Close,
    /// By a look each second: where nobody is in a hurry, the server has that much less to do.
    Loose,
}

/// Looks at one partition's head while somebody waits, until its tail is closed.
pub(crate) async fn look<E: Engine>(engine: E, tail: Arc<Tail>, tailing: Tailing) {
    let mut pause = POLL_MIN;
    while tail.wanted().await {
        let span = match tailing {
            Tailing::Close if !tail.is_streaming() => pause,
            Tailing::Close | Tailing::Loose => AWAIT,
        };
        tail.pause(&engine, span).await;
        let before = tail.head();
        read_head(&engine, &tail).await;
        pause = match tail.head() > before {
            true => POLL_MIN,
            false => (pause * 2).min(POLL_MAX),
        };
    }
}

pub(crate) async fn read_head<E: Engine>(engine: &E, tail: &Tail) {
    match engine.head(tail.head()).await {
        Ok(head) => tail.reached(head),
        Err(failure) => tail.failed(failure),
    }
}
