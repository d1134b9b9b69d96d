//! Finishes that wait for the ledger. All of it may be lost: the fold does it again.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use futures_util::future::select;
use tokio::sync::Notify;

use super::Landed;

pub(super) struct Finishes {
    limit: usize,
    waiting: Mutex<VecDeque<Landed>>,
    more: Notify,
    /// Others may wait for the values of one.
    urgent: Notify,
}

impl Finishes {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            waiting: Mutex::default(),
            more: Notify::new(),
            urgent: Notify::new(),
        }
    }

    /// Adds one; past the limit the oldest is left to the fold.
    pub(super) fn push(&self, landed: Landed) {
        let urgent = !(landed.reserve.is_empty() && landed.release.is_empty());
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= self.limit {
                waiting.pop_front();
            }
            waiting.push_back(landed);
        }
        if urgent {
            self.urgent.notify_one();
        }
        self.more.notify_one();
    }

    /// The oldest, at most `limit`.
    pub(super) fn take(&self, limit: usize) -> Vec<Landed> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(limit);
        waiting.drain(..count).collect()
    }

    /// Puts a batch back that was not finished.
    pub(super) fn put_back(&self, batch: Vec<Landed>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let room = self.limit.saturating_sub(waiting.len());
        for landed in batch.into_iter().rev().take(room) {
            waiting.push_front(landed);
        }
    }

    /// Completes when one was added, perhaps earlier, and a `pause` after that is over or others may wait for one.
    pub(super) async fn gathered<P: Future>(&self, pause: impl FnOnce() -> P) {
        self.more.notified().await;
        select(pin!(self.urgent.notified()), pin!(pause())).await;
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures_util::FutureExt;

    use super::*;
    use crate::{CommandId, ReservedValue, StreamName, Timestamp, Version};

    fn landed(reserve: &[&str]) -> Landed {
        Landed {
            command: CommandId::new(uuid::Uuid::from_u128(1)),
            request: None,
            time: Timestamp::default(),
            stream: StreamName::parse("a-1").unwrap(),
            before: Version::EMPTY,
            version: Version::new(1),
            reserve: reserve
                .iter()
                .map(|value| ReservedValue::new("handle", *value))
                .collect(),
            release: Vec::new(),
        }
    }

    #[test]
    fn what_others_may_wait_for_does_not_gather() {
        let finishes = Finishes::new(9);
        assert!(finishes.gathered(|| async {}).now_or_never().is_none());
        finishes.push(landed(&[]));
        assert!(finishes.gathered(pending::<()>).now_or_never().is_none());
        finishes.push(landed(&[]));
        assert!(finishes.gathered(|| async {}).now_or_never().is_some());
        finishes.push(landed(&["ada"]));
        assert!(finishes.gathered(pending::<()>).now_or_never().is_some());
        assert_eq!(finishes.take(9).len(), 3);
    }
}
