//! How far a partition is known to have come, for those who wait for more.
//!
//! A wait is for a state, not for an event: it ends whenever the head is past its position, however long it has been. The head
//! is raised by the committer's own commits, by every read, by a change stream of which the opening reads the head, and by a
//! read of the head every second at the latest while somebody waits. So no commit is missed that lands between a read
//! and the wait after it, and a read that comes only to see that nothing follows is needless where the one before it ended
//! at the end: it would say of that moment what the next look says of a later one.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cqrs_core::Position;
use futures_util::future::select;
use tokio::sync::watch;

use crate::engine::Time;
use crate::error::StoreFailure;

/// What is known of the end of a partition.
#[derive(Debug, Clone, Default)]
struct Seen {
    /// The last position known to be durable.
    head: u64,
    /// How often looking failed, and what was said the last time.
    failures: u64,
    failure: Option<StoreFailure>,
    closed: bool,
}

/// Told by the committer, by readers, and by whoever watches the server.
#[derive(Debug, Default)]
pub(crate) struct Tail {
    seen: watch::Sender<Seen>,
    waiting: watch::Sender<usize>,
    /// Whether a change stream tells what others append.
    streaming: AtomicBool,
}

/// Somebody who waits.
struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn on(waiting: &'a watch::Sender<usize>) -> Self {
        waiting.send_modify(|waiting| *waiting += 1);
        Self(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|waiting| *waiting -= 1);
    }
}

impl Tail {
    /// Takes note that `position` is durable.
    pub(crate) fn reached(&self, position: Position) {
        self.seen.send_if_modified(|seen| {
            let moves = seen.head < position.get();
            seen.head = seen.head.max(position.get());
            moves
        });
    }

    /// Tells those who wait that nobody can see how far it is.
    pub(crate) fn failed(&self, failure: StoreFailure) {
        self.seen.send_modify(|seen| {
            seen.failures += 1;
            seen.failure = Some(failure);
        });
    }

    /// Tells those who wait, now or later, that nothing more will be seen.
    pub(crate) fn close(&self) {
        self.seen.send_modify(|seen| seen.closed = true);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.seen.borrow().closed
    }

    /// Waits until nothing more will be seen.
    pub(crate) async fn closed(&self) {
        let mut seen = self.seen.subscribe();
        // The sender lives as long as what is borrowed here.
        drop(seen.wait_for(|seen| seen.closed).await);
    }

    pub(crate) fn head(&self) -> Position {
        Position::new(self.seen.borrow().head)
    }

    /// Whether anybody waits.
    pub(crate) fn is_watched(&self) -> bool {
        *self.waiting.borrow() > 0
    }

    pub(crate) fn is_streaming(&self) -> bool {
        self.streaming.load(Ordering::Acquire)
    }

    pub(crate) fn set_streaming(&self, streaming: bool) {
        self.streaming.store(streaming, Ordering::Release);
    }

    /// Waits until something after `position` is durable, or until looking for it failed.
    pub(crate) async fn passed(&self, position: Position) -> Result<(), StoreFailure> {
        let mut seen = self.seen.subscribe();
        let failures = seen.borrow().failures;
        let _waiting = Waiting::on(&self.waiting);
        let news =
            |seen: &Seen| seen.head > position.get() || seen.failures > failures || seen.closed;
        match seen.wait_for(news).await {
            Ok(seen) if seen.head > position.get() => Ok(()),
            Ok(seen) if seen.closed => Err(StoreFailure::closed()),
            Ok(seen) => Err(seen.failure.clone().unwrap_or_else(StoreFailure::timed_out)),
            // The sender lives as long as the store that is borrowed here.
            Err(_) => Err(StoreFailure::closed()),
        }
    }

    /// Waits until somebody waits; `false` once the tail is closed.
    pub(crate) async fn wanted(&self) -> bool {
        let (mut seen, mut waiting) = (self.seen.subscribe(), self.waiting.subscribe());
        tokio::select! {
            biased;
            _ = seen.wait_for(|seen| seen.closed) => false,
            wanted = waiting.wait_for(|waiting| *waiting > 0) => wanted.is_ok(),
        }
    }

    /// Pauses, no longer than until the tail is closed.
    pub(crate) async fn pause(&self, time: &impl Time, pause: Duration) {
        // Both ends of a pause are as good.
        select(pin!(time.sleep(pause)), pin!(self.closed())).await;
    }
}
