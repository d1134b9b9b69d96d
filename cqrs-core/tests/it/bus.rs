//! The bus in memory keeps what it is the reference for.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use cqrs_core::testing::contract::Brokers;
use cqrs_core::{
    Assigned, Assignment, BusError, BusRecord, ConsumeEvents, MemoryBus, MemoryConsumer, Partition,
    Position,
};

use crate::contract::replays::TokioTimer;

cqrs_core::bus_contract!(InMemory::default());
cqrs_core::bus_groups_contract!(InMemory::default());

/// A bus in memory, and what it lacks: groups, which assign.
#[derive(Default)]
struct InMemory {
    bus: MemoryBus,
    groups: Mutex<BTreeMap<String, Group>>,
}

/// Its members by number, each with its share: the partitions in turn.
type Group = Arc<Mutex<BTreeMap<usize, MemoryConsumer>>>;

fn share(members: &BTreeMap<usize, MemoryConsumer>) {
    let count = members.len();
    for (turn, member) in members.values().enumerate() {
        let all = Partition::all(InMemory::PARTITIONS);
        member.assign(all.filter(|p| usize::from(p.index()) % count == turn));
    }
}

/// A member, for as long as it is not dropped.
struct Member {
    consumer: MemoryConsumer,
    group: Group,
    number: usize,
}

impl Member {
    fn join(consumer: MemoryConsumer, group: Group) -> Self {
        let mut members = group.lock().unwrap();
        let number = members.keys().last().map_or(0, |last| last + 1);
        members.insert(number, consumer.clone());
        share(&members);
        drop(members);
        Self {
            consumer,
            group,
            number,
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let mut members = self.group.lock().unwrap();
        members.remove(&self.number);
        share(&members);
    }
}

impl Assigned for Member {
    async fn changed(&self, seen: u64) -> Assignment {
        self.consumer.changed(seen).await
    }
}

impl ConsumeEvents for Member {
    async fn seek(&self, partition: Partition, after: Position) -> Result<(), BusError> {
        self.consumer.seek(partition, after).await
    }

    async fn next(&self, partition: Partition, max: usize) -> Result<Vec<BusRecord>, BusError> {
        self.consumer.next(partition, max).await
    }

    fn done(&self, partition: Partition, done: Position, offset: u64) {
        self.consumer.done(partition, done, offset);
    }
}

impl Brokers for InMemory {
    type Publisher = MemoryBus;
    type Consumer = Member;
    type Timer = TokioTimer;

    fn publisher(&self) -> MemoryBus {
        self.bus.clone()
    }

    fn reader(&self) -> Member {
        Member::join(self.bus.consumer(), Group::default())
    }

    fn join(&self, group: &str) -> Member {
        let mut groups = self.groups.lock().unwrap();
        let group = groups.entry(group.to_owned()).or_default();
        Member::join(self.bus.consumer(), Arc::clone(group))
    }

    async fn leave(&self, member: Member) {
        drop(member);
    }

    fn timer(&self) -> TokioTimer {
        TokioTimer
    }
}
