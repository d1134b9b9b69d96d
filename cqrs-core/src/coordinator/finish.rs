//! Finishes that wait for the ledger. All of it may be lost: the fold does it again.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::Landed;

pub(super) struct Finishes {
    limit: usize,
    waiting: Mutex<VecDeque<Landed>>,
    more: Notify,
}

impl Finishes {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            waiting: Mutex::default(),
            more: Notify::new(),
        }
    }

    /// Adds one; past the limit the oldest is left to the fold.
    pub(super) fn push(&self, landed: Landed) {
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if waiting.len() >= self.limit {
                waiting.pop_front();
            }
            waiting.push_back(landed);
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

    /// Completes when one was added, perhaps earlier.
    pub(super) async fn more(&self) {
        self.more.notified().await;
    }
}
