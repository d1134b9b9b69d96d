//! A bus: partitions of records, idempotent producers, and consumer groups.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cqrs_core::testing::sim::{Node, NodeId, Sim, Wire};
use cqrs_core::{
    BusError, BusRecord, CommitHeader, Partition, Position, PublishEvents, RecordedCommit,
};
use tokio::sync::{Mutex as Turn, Notify};

use super::LIMIT;

/// How long a member may be silent.
const SESSION: Duration = Duration::from_millis(1_500);

/// The brokers. Cheap to clone; clones are the same.
#[derive(Clone)]
pub(crate) struct Bus(Arc<Shared>);

struct Shared {
    sim: Sim,
    state: Mutex<State>,
    more: Notify,
}

#[derive(Default)]
struct State {
    partitions: Vec<Vec<BusRecord>>,
    /// The next number of each producer's session in each partition, and the end after the one before.
    sessions: BTreeMap<(u64, Partition), (u64, u64)>,
    groups: BTreeMap<String, Group>,
}

/// Who shares the partitions.
#[derive(Default)]
struct Group {
    generation: u64,
    /// When each was last heard of.
    members: BTreeMap<String, Duration>,
}

/// What a member is told: the group's generation, and its own partitions.
pub(crate) type Share = (u64, Vec<Partition>);

impl Bus {
    pub(crate) fn new(sim: &Sim, partitions: u16) -> Self {
        let partitions = vec![Vec::new(); usize::from(partitions)];
        Self(Arc::new(Shared {
            sim: sim.clone(),
            state: Mutex::new(State {
                partitions,
                ..State::default()
            }),
            more: Notify::new(),
        }))
    }

    pub(crate) fn records(&self, partition: Partition) -> Vec<BusRecord> {
        self.state().partitions[usize::from(partition.index())].clone()
    }

    pub(crate) fn end(&self, partition: Partition) -> usize {
        self.state().partitions[usize::from(partition.index())].len()
    }

    /// At most `max` records from `offset` on.
    pub(crate) fn read(&self, partition: Partition, offset: usize, max: usize) -> Vec<BusRecord> {
        let state = self.state();
        let records = &state.partitions[usize::from(partition.index())];
        let found = records.get(offset..).unwrap_or_default();
        found[..found.len().min(max)].to_vec()
    }

    /// An offset at or before the first record of position `after + 1`.
    pub(crate) fn offset_after(&self, partition: Partition, after: Position) -> usize {
        let state = self.state();
        let records = &state.partitions[usize::from(partition.index())];
        let first = records.iter().position(|r| r.id.at.position > after);
        match after {
            Position::START => 0,
            _ => first.unwrap_or(records.len()),
        }
    }

    /// Completes when something is published after the call.
    pub(crate) async fn more(&self) {
        self.0.more.notified().await;
    }

    /// Appends `records` where `number` is the producer's next; the end after them, or `None` where something before
    /// them is missing.
    fn append(
        &self,
        producer: u64,
        partition: Partition,
        number: u64,
        records: Vec<BusRecord>,
    ) -> Option<u64> {
        let mut state = self.state();
        let state = &mut *state;
        let (next, end) = state.sessions.entry((producer, partition)).or_default();
        let of_partition = &mut state.partitions[usize::from(partition.index())];
        if number > *next {
            return None;
        }
        if number == *next {
            *next += 1;
            for mut record in records {
                record.offset = of_partition.len() as u64;
                of_partition.push(record);
            }
            *end = of_partition.len() as u64;
        }
        let end = *end;
        self.0.more.notify_waiters();
        Some(end)
    }

    /// A sign of life; what is the member's now.
    pub(crate) fn beat(&self, group: &str, member: &str) -> Share {
        let now = self.0.sim.elapsed();
        let mut state = self.state();
        let partitions = u16::try_from(state.partitions.len()).unwrap_or(u16::MAX);
        let group = state.groups.entry(group.to_owned()).or_default();
        let before = group.members.len();
        let new = group.members.insert(member.to_owned(), now).is_none();
        group.members.retain(|_, heard| now - *heard < SESSION);
        if new || group.members.len() != before {
            group.generation += 1;
        }
        let index = group.members.keys().position(|name| name == member);
        let (index, count) = (index.unwrap_or(0), group.members.len());
        // Another spread each time, so that partitions wander.
        let turn = usize::try_from(group.generation).unwrap_or(0);
        let its = Partition::all(partitions)
            .filter(|p| (usize::from(p.index()) + turn) % count == index)
            .collect();
        (group.generation, its)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

/// An idempotent producer.
pub(crate) struct BusPublisher {
    node: Node,
    wire: Wire,
    bus: Bus,
    sessions: BTreeMap<Partition, Turn<Session>>,
}

#[derive(Clone, Copy)]
struct Session {
    producer: u64,
    next: u64,
}

impl BusPublisher {
    pub(crate) fn new(node: &Node, at: NodeId, bus: &Bus, partitions: u16) -> Self {
        let session = |partition| (partition, Turn::new(Session::new(node)));
        Self {
            node: node.clone(),
            wire: node.wire(at),
            bus: bus.clone(),
            sessions: Partition::all(partitions).map(session).collect(),
        }
    }

    /// Sends one message until the brokers have it, or for as long as it may take.
    async fn send(
        &self,
        session: Session,
        partition: Partition,
        records: &[BusRecord],
    ) -> Result<u64, BusError> {
        for _ in 0..3 {
            let (bus, records) = (self.bus.clone(), records.to_vec());
            let Session { producer, next } = session;
            let run = move || bus.append(producer, partition, next, records);
            match self.wire.call("produce", LIMIT / 2, run).await {
                Ok(Some(end)) => {
                    self.node
                        .note(|| format!("published {partition} up to record {end}"));
                    return Ok(end);
                }
                Ok(None) => return Err(lost("out of sequence")),
                Err(_) => {}
            }
        }
        Err(lost("message timed out"))
    }
}

impl Session {
    fn new(node: &Node) -> Self {
        use cqrs_core::Random;
        Self {
            producer: node.next_u64(),
            next: 0,
        }
    }
}

pub(crate) fn lost(source: impl Into<cqrs_core::BoxError>) -> BusError {
    BusError {
        source: source.into(),
    }
}

fn records(commit: &RecordedCommit) -> impl Iterator<Item = BusRecord> {
    let count = u32::try_from(commit.events.len()).unwrap_or(u32::MAX);
    commit.recorded_events().map(move |event| BusRecord {
        id: event.id,
        count,
        offset: 0,
        stream: commit.stream.clone(),
        version: event.version,
        header: CommitHeader {
            request: None,
            ..commit.header.clone()
        },
        data: event.data.clone(),
    })
}

impl PublishEvents for BusPublisher {
    async fn publish(
        &self,
        partition: Partition,
        slice: &[RecordedCommit],
    ) -> Result<u64, BusError> {
        let Some(session) = self.sessions.get(&partition) else {
            return Err(lost("no such partition"));
        };
        let all: Vec<_> = slice.iter().flat_map(records).collect();
        if all.is_empty() {
            return self.end(partition).await;
        }
        let mut session = session.lock().await;
        // Should this end early, what was sent belongs to a session that is over.
        let mut current = std::mem::replace(&mut *session, Session::new(&self.node));
        let mut end = 0;
        let mut rest = &all[..];
        while !rest.is_empty() {
            let size = 1 + usize::try_from(self.node.sim().below(4)).unwrap_or(0);
            let (message, later) = rest.split_at(size.min(rest.len()));
            end = self.send(current, partition, message).await?;
            current.next += 1;
            rest = later;
        }
        *session = current;
        Ok(end)
    }

    async fn holds(
        &self,
        partition: Partition,
        position: Position,
        offset: u64,
    ) -> Result<bool, BusError> {
        let bus = self.bus.clone();
        let run = move || {
            let before = offset.checked_sub(1).and_then(|n| usize::try_from(n).ok());
            let found = before.map(|before| bus.read(partition, before, 1));
            let found = found.and_then(|found| found.first().map(|record| record.id.at.position));
            found == Some(position)
        };
        self.wire.call("holds", LIMIT, run).await.map_err(lost)
    }

    async fn end(&self, partition: Partition) -> Result<u64, BusError> {
        let bus = self.bus.clone();
        let run = move || bus.end(partition) as u64;
        self.wire.call("end", LIMIT, run).await.map_err(lost)
    }
}
