//! A bus in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};

use crate::bus::{Assigned, Assignment, BusError, BusRecord, ConsumeEvents, PublishEvents};
use crate::log::{CommitHeader, RecordedCommit};
use crate::position::{Partition, Position};

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

    /// A consumer that nothing is assigned to yet.
    #[must_use]
    pub fn consumer(&self) -> MemoryConsumer {
        MemoryConsumer(Arc::new(Member {
            bus: self.clone(),
            assignment: watch::Sender::new(Assignment::default()),
            cursors: Mutex::default(),
            done: Mutex::default(),
        }))
    }

    /// All records of `partition`.
    #[must_use]
    pub fn records(&self, partition: Partition) -> Vec<BusRecord> {
        self.lock().get(&partition).cloned().unwrap_or_default()
    }

    /// Loses the records of `partition` from `offset` on, as a bus would that was made anew.
    pub fn truncate(&self, partition: Partition, offset: u64) {
        let keep = usize::try_from(offset).unwrap_or(usize::MAX);
        if let Some(records) = self.lock().get_mut(&partition) {
            records.truncate(keep);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Partition, Vec<BusRecord>>> {
        lock(&self.0.records)
    }
}

// Nothing under these locks panics half-way.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl PublishEvents for MemoryBus {
    async fn publish(
        &self,
        partition: Partition,
        slice: &[RecordedCommit],
    ) -> Result<u64, BusError> {
        let mut partitions = self.lock();
        let records = partitions.entry(partition).or_default();
        for commit in slice {
            for event in commit.recorded_events() {
                records.push(BusRecord {
                    id: event.id,
                    count: u32::try_from(commit.events.len()).unwrap_or(u32::MAX),
                    offset: records.len() as u64,
                    stream: commit.stream.clone(),
                    version: event.version,
                    header: CommitHeader {
                        request: None,
                        ..commit.header.clone()
                    },
                    data: event.data.clone(),
                });
            }
        }
        let end = records.len() as u64;
        drop(partitions);
        self.0.more.notify_waiters();
        Ok(end)
    }

    async fn end(&self, partition: Partition) -> Result<u64, BusError> {
        let partitions = self.lock();
        Ok(partitions
            .get(&partition)
            .map_or(0, |records| records.len() as u64))
    }

    async fn holds(
        &self,
        partition: Partition,
        position: Position,
        offset: u64,
    ) -> Result<bool, BusError> {
        let records = self.records(partition);
        let mut before = records.iter().filter(|record| record.offset + 1 == offset);
        Ok(before.any(|record| record.id.at.position == position))
    }
}

/// A consumer of a [`MemoryBus`], to which partitions are assigned by hand. Cheap to clone.
///
/// Strict: a partition that was assigned anew gives nothing before its cursor was moved.
#[derive(Debug, Clone)]
pub struct MemoryConsumer(Arc<Member>);

#[derive(Debug)]
struct Member {
    bus: MemoryBus,
    assignment: watch::Sender<Assignment>,
    /// The term in which each cursor was moved, and where it is.
    cursors: Mutex<BTreeMap<Partition, (u64, usize)>>,
    done: Mutex<BTreeMap<Partition, (Position, u64)>>,
}

impl MemoryConsumer {
    /// Assigns exactly `partitions` from now on; those that it has already keep their term.
    pub fn assign(&self, partitions: impl IntoIterator<Item = Partition>) {
        let partitions: Vec<_> = partitions.into_iter().collect();
        self.0.assignment.send_modify(|assignment| {
            let had: Vec<_> = assignment.partitions.keys().copied().collect();
            for gone in had.iter().filter(|had| !partitions.contains(had)) {
                assignment.revoke(*gone);
            }
            for new in partitions.iter().filter(|new| !had.contains(new)) {
                assignment.assign(*new);
            }
        });
    }

    /// What was last noted as done in `partition`: a position, and an offset.
    #[must_use]
    pub fn noted(&self, partition: Partition) -> Option<(Position, u64)> {
        lock(&self.0.done).get(&partition).copied()
    }

    fn term(&self, partition: Partition) -> Option<u64> {
        let assignment = self.0.assignment.borrow();
        assignment.partitions.get(&partition).copied()
    }
}

impl Assigned for MemoryConsumer {
    async fn changed(&self, seen: u64) -> Assignment {
        let mut changes = self.0.assignment.subscribe();
        loop {
            let now = changes.borrow_and_update().clone();
            if now.number != seen {
                return now;
            }
            // The sender lives as long as `self`.
            if changes.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }
}

impl ConsumeEvents for MemoryConsumer {
    async fn seek(&self, partition: Partition, after: Position) -> Result<(), BusError> {
        let Some(term) = self.term(partition) else {
            let source = format!("partition {partition} is not assigned").into();
            return Err(BusError { source });
        };
        let records = self.0.bus.records(partition);
        let first = records.iter().position(|r| r.id.at.position > after);
        let offset = match after {
            Position::START => 0,
            _ => first.unwrap_or(records.len()),
        };
        lock(&self.0.cursors).insert(partition, (term, offset));
        Ok(())
    }

    async fn next(&self, partition: Partition, max: usize) -> Result<Vec<BusRecord>, BusError> {
        let mut changes = self.0.assignment.subscribe();
        loop {
            // Made before the look, so that what is published in between wakes it.
            let more = self.0.bus.0.more.notified();
            let term = changes
                .borrow_and_update()
                .partitions
                .get(&partition)
                .copied();
            if let Some(term) = term {
                let mut cursors = lock(&self.0.cursors);
                let cursor = cursors.get_mut(&partition).filter(|(at, _)| *at == term);
                let Some((_, cursor)) = cursor else {
                    let source = format!("partition {partition} was assigned anew").into();
                    return Err(BusError { source });
                };
                let partitions = self.0.bus.lock();
                let records = partitions.get(&partition).map_or(&[][..], Vec::as_slice);
                let found = records.get(*cursor..).unwrap_or_default();
                let found = &found[..found.len().min(max.max(1))];
                if !found.is_empty() {
                    *cursor += found.len();
                    return Ok(found.to_vec());
                }
            }
            let changed = std::pin::pin!(changes.changed());
            futures_util::future::select(std::pin::pin!(more), changed).await;
        }
    }

    fn done(&self, partition: Partition, done: Position, offset: u64) {
        lock(&self.0.done).insert(partition, (done, offset));
    }
}
