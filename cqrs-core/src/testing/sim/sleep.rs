//! Waiting.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::time::Timer;

use super::world::{Due, Sim, micros};

impl Timer for Sim {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        Sleep::new(self.clone(), duration)
    }
}

/// A wait.
pub(super) struct Sleep {
    sim: Sim,
    left: Duration,
    until: Option<u64>,
    key: Option<(u64, u64)>,
}

impl Sleep {
    pub(super) fn new(sim: Sim, left: Duration) -> Self {
        Self {
            sim,
            left,
            until: None,
            key: None,
        }
    }

    fn forget(&mut self) {
        if let Some(key) = self.key.take() {
            let due = self.sim.state().timers.remove(&key);
            drop(due);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let now = self.sim.state().now;
        let end = now + micros(self.left);
        let until = *self.until.get_or_insert(end);
        self.forget();
        if now >= until {
            return Poll::Ready(());
        }
        let left = Duration::from_micros(until - now);
        self.key = Some(self.sim.schedule(left, Due::Wake(cx.waker().clone())));
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}
