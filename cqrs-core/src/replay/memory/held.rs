//! What transactions hold.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{MemoryVersions, Shared};

/// Something that one transaction holds at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lock {
    /// The right to replay.
    Replaying,
    /// Which version is live.
    Pointer,
    /// What a version is.
    Row(u32),
    /// Where a version stands.
    Checkpoints(u32),
    /// Whether others than its owner write a version.
    Gate(u32),
}

/// What is held by anybody.
#[derive(Debug, Default)]
pub(super) struct Held(BTreeSet<Lock>);

impl Held {
    pub(super) fn has(&self, lock: Lock) -> bool {
        self.0.contains(&lock)
    }
}

/// What one transaction holds, until it is dropped.
pub(super) struct Hold<S: Clone + Send + Sync> {
    shared: Arc<Shared<S>>,
    locks: Vec<Lock>,
}

impl<S: Clone + Send + Sync> MemoryVersions<S> {
    pub(super) fn hold(&self) -> Hold<S> {
        Hold {
            shared: Arc::clone(&self.shared),
            locks: Vec::new(),
        }
    }
}

impl<S: Clone + Send + Sync> Hold<S> {
    pub(super) fn try_replaying(&mut self) -> bool {
        self.try_take(Lock::Replaying)
    }

    pub(super) fn is_replaying(&self) -> bool {
        self.locks.contains(&Lock::Replaying)
    }

    pub(super) async fn pointer(&mut self) {
        self.take(Lock::Pointer).await;
    }

    pub(super) async fn row(&mut self, version: u32) {
        self.take(Lock::Row(version)).await;
    }

    pub(super) async fn checkpoints(&mut self, version: u32) {
        self.take(Lock::Checkpoints(version)).await;
    }

    pub(super) async fn gate(&mut self, version: u32) {
        self.take(Lock::Gate(version)).await;
    }

    async fn take(&mut self, lock: Lock) {
        if self.locks.contains(&lock) {
            return;
        }
        let shared = Arc::clone(&self.shared);
        loop {
            // Made before the look: whoever lets go after it wakes this.
            let released = shared.released.notified();
            if self.try_take(lock) {
                return;
            }
            released.await;
        }
    }

    fn try_take(&mut self, lock: Lock) -> bool {
        let taken = self.shared.state().held.0.insert(lock);
        if taken {
            self.locks.push(lock);
        }
        taken
    }
}

impl<S: Clone + Send + Sync> Drop for Hold<S> {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        for lock in &self.locks {
            state.held.0.remove(lock);
        }
        drop(state);
        self.shared.released.notify_waiters();
    }
}
