//! How far the store is durable, for those who must not say more.
//!
//! Groups that wait for the disk are numbered in the order of their commits. A group's number is announced *before* its
//! COMMIT: whoever looks at the number after having read knows that no later group was in what was read.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use crate::error::StoreFailure;

/// How far the store is durable.
pub(crate) struct Durability {
    /// The last group that may be committed.
    begun: AtomicU64,
    /// The last group that is durable; the same as in `settled`, to be looked at without its lock.
    durable: AtomicU64,
    settled: watch::Sender<Settled>,
}

#[derive(Default)]
struct Settled {
    durable: u64,
    /// Why nothing more will be.
    failure: Option<StoreFailure>,
}

impl Durability {
    pub(crate) fn new() -> Self {
        Self {
            begun: AtomicU64::new(0),
            durable: AtomicU64::new(0),
            settled: watch::Sender::new(Settled::default()),
        }
    }

    /// Announces the next group; only the writer does.
    pub(crate) fn begin(&self) -> u64 {
        // Sequentially consistent, as are the looks at it: what is between the two is SQLite's own memory.
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The last group of which something can have been read until now.
    pub(crate) fn seen(&self) -> u64 {
        self.begun.load(Ordering::SeqCst)
    }

    /// Says that `group` is durable, and with it all before.
    pub(crate) fn settle(&self, group: u64) {
        self.durable.store(group, Ordering::Release);
        self.settled.send_modify(|settled| settled.durable = group);
    }

    /// Says that nothing more will be durable. The first reason stays.
    pub(crate) fn fail(&self, failure: &StoreFailure) {
        self.settled.send_modify(|settled| {
            settled.failure.get_or_insert_with(|| failure.clone());
        });
    }

    /// Why nothing more will be durable.
    pub(crate) fn failure(&self) -> Option<StoreFailure> {
        self.settled.borrow().failure.clone()
    }

    /// Waits until `group` is durable.
    pub(crate) async fn reached(&self, group: u64) -> Result<(), StoreFailure> {
        if self.durable.load(Ordering::Acquire) >= group {
            return Ok(());
        }
        let mut settled = self.settled.subscribe();
        let settled = settled
            .wait_for(|settled| settled.durable >= group || settled.failure.is_some())
            .await;
        match settled.as_deref() {
            Ok(settled) if settled.durable >= group => Ok(()),
            Ok(Settled {
                failure: Some(failure),
                ..
            }) => Err(failure.clone()),
            // The sender lives as long as `self`.
            _ => Err(StoreFailure::unanswered()),
        }
    }
}
