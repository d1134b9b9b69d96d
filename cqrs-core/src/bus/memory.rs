//! A bus in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::bus::{BusError, BusRecord, ConsumeEvents, PublishEvents};
use crate::log::RecordedCommit;
use crate::position::Partition;

/// A bus in memory that keeps all records; repeats included, as a real one would. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct MemoryBus(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    records: Mutex<BTreeMap<Partition, Vec<BusRecord>>>,
    more: Notify,
}

impl MemoryBus {
    /// An empty bus.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Partition, Vec<BusRecord>>> {
        // Nothing under the lock panics half-way.
        self.0
            .records
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl PublishEvents for MemoryBus {
    async fn publish(
        &self,
        partition: Partition,
        slice: &[RecordedCommit],
    ) -> Result<(), BusError> {
        let mut partitions = self.lock();
        let records = partitions.entry(partition).or_default();
        for commit in slice {
            let shared = Arc::new(commit.clone());
            for event in commit.recorded_events() {
                records.push(BusRecord {
                    id: event.id,
                    count: u32::try_from(commit.events.len()).unwrap_or(u32::MAX),
                    offset: records.len() as u64,
                    commit: Arc::clone(&shared),
                });
            }
        }
        drop(partitions);
        self.0.more.notify_waiters();
        Ok(())
    }
}

impl ConsumeEvents for MemoryBus {
    async fn next(
        &self,
        partition: Partition,
        offset: u64,
        max: usize,
    ) -> Result<Vec<BusRecord>, BusError> {
        let from = usize::try_from(offset).unwrap_or(usize::MAX);
        loop {
            // Made before the look, so that what is published in between wakes it.
            let more = self.0.more.notified();
            let found: Vec<_> = self
                .lock()
                .get(&partition)
                .map(|records| {
                    records
                        .iter()
                        .skip(from)
                        .take(max.max(1))
                        .cloned()
                        .collect()
                })
                .unwrap_or_default();
            if !found.is_empty() {
                return Ok(found);
            }
            more.await;
        }
    }
}
