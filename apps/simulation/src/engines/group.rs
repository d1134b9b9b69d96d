//! A consumer of a group: what is its, it fetches ahead.

use std::collections::{BTreeMap, VecDeque};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cqrs_core::testing::sim::{Node, NodeId, Wire};
use cqrs_core::{
    Assigned, Assignment, BusError, BusRecord, ConsumeEvents, Partition, Position, Timer,
};
use futures_util::future::select;
use tokio::sync::Notify;

use super::LIMIT;
use super::bus::{Bus, lost};

const BEAT: Duration = Duration::from_millis(300);
const AHEAD: usize = 24;

/// A member. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BusConsumer(Arc<Member>);

struct Member {
    node: Node,
    wire: Wire,
    bus: Bus,
    group: String,
    assignment: Mutex<Assignment>,
    /// It became another. Not a `watch`, which wakes in an order that no seed tells.
    assigned: Notify,
    lanes: Mutex<BTreeMap<Partition, Fetched>>,
    /// Something was fetched.
    arrived: Notify,
    /// A cursor was moved.
    moved: Notify,
}

/// What was fetched of a partition in one term.
struct Fetched {
    term: u64,
    next: usize,
    records: VecDeque<BusRecord>,
}

impl BusConsumer {
    /// Joins `group`; its beats and fetches run in `node`.
    pub(crate) fn join(node: &Node, at: NodeId, bus: &Bus, group: &str) -> Self {
        let consumer = Self(Arc::new(Member {
            node: node.clone(),
            wire: node.wire(at),
            bus: bus.clone(),
            group: group.to_owned(),
            assignment: Mutex::default(),
            assigned: Notify::new(),
            lanes: Mutex::default(),
            arrived: Notify::new(),
            moved: Notify::new(),
        }));
        node.spawn(consumer.clone().beat());
        node.spawn(consumer.clone().fetch());
        consumer
    }

    /// Stays a member, and learns what is its.
    async fn beat(self) {
        let name = self.0.node.name();
        loop {
            let (bus, group, member) = (self.0.bus.clone(), self.0.group.clone(), name.clone());
            let run = move || bus.beat(&group, &member);
            if let Ok((generation, its)) = self.0.wire.call("beat", LIMIT, run).await
                && self.assign(&its)
            {
                let group = &self.0.group;
                let text = || format!("has {its:?} in generation {generation} of {group}");
                self.0.node.note(text);
            }
            self.0.node.sleep(BEAT).await;
        }
    }

    /// Takes what is its; whether that is something else than before.
    fn assign(&self, its: &[Partition]) -> bool {
        let mut assignment = self.assignment();
        let had: Vec<_> = assignment.partitions.keys().copied().collect();
        let before = assignment.number;
        for gone in had.iter().filter(|had| !its.contains(had)) {
            assignment.revoke(*gone);
        }
        for new in its.iter().filter(|new| !had.contains(new)) {
            assignment.assign(*new);
        }
        let changed = assignment.number != before;
        drop(assignment);
        if changed {
            self.0.assigned.notify_waiters();
        }
        changed
    }

    fn assignment(&self) -> MutexGuard<'_, Assignment> {
        let assignment = self.0.assignment.lock();
        assignment.unwrap_or_else(PoisonError::into_inner)
    }

    /// Fetches ahead, round and round.
    async fn fetch(self) {
        loop {
            let wanted: Vec<(Partition, u64, usize)> = {
                let lanes = self.lanes();
                let hungry = lanes.iter().filter(|(partition, lane)| {
                    lane.records.len() < AHEAD && lane.next < self.0.bus.end(**partition)
                });
                hungry
                    .map(|(partition, lane)| (*partition, lane.term, lane.next))
                    .collect()
            };
            if wanted.is_empty() {
                let (more, moved) = (pin!(self.0.bus.more()), pin!(self.0.moved.notified()));
                let (woken, late) = (select(more, moved), pin!(self.0.node.sleep(BEAT)));
                // What is published between the look and the wait is found after a while.
                select(woken, late).await;
                continue;
            }
            for (partition, term, next) in wanted {
                self.fetch_some(partition, term, next).await;
            }
        }
    }

    async fn fetch_some(&self, partition: Partition, term: u64, next: usize) {
        let sim = self.0.node.sim();
        // Now and then what was delivered is delivered again.
        let again = if sim.chance(4) { sim.below(4) } else { 0 };
        let from = next.saturating_sub(usize::try_from(again).unwrap_or(0));
        let bus = self.0.bus.clone();
        let run = move || bus.read(partition, from, AHEAD);
        let Ok(records) = self.0.wire.call("fetch", LIMIT, run).await else {
            self.0.node.sleep(Duration::from_millis(20)).await;
            return;
        };
        let mut lanes = self.lanes();
        if let Some(lane) = lanes.get_mut(&partition)
            && (lane.term, lane.next) == (term, next)
        {
            lane.next = from + records.len();
            let count = records.len();
            let text = || format!("fetched {count} records of {partition} from {from} on");
            self.0.node.note(text);
            lane.records.extend(records);
            drop(lanes);
            self.0.arrived.notify_waiters();
        }
    }

    fn term(&self, partition: Partition) -> Option<u64> {
        self.assignment().partitions.get(&partition).copied()
    }

    fn lanes(&self) -> MutexGuard<'_, BTreeMap<Partition, Fetched>> {
        let lanes = self.0.lanes.lock();
        lanes.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Assigned for BusConsumer {
    async fn changed(&self, seen: u64) -> Assignment {
        loop {
            // Made before the look, so that a change in between wakes it.
            let mut assigned = pin!(self.0.assigned.notified());
            assigned.as_mut().enable();
            let now = self.assignment().clone();
            if now.number != seen {
                return now;
            }
            assigned.await;
        }
    }
}

impl ConsumeEvents for BusConsumer {
    async fn seek(&self, partition: Partition, after: Position) -> Result<(), BusError> {
        let Some(term) = self.term(partition) else {
            return Err(lost("not assigned"));
        };
        let bus = self.0.bus.clone();
        let run = move || bus.offset_after(partition, after);
        let next = self.0.wire.call("seek", LIMIT, run).await.map_err(lost)?;
        let text = || format!("goes to record {next} of {partition}, for what is after {after}");
        self.0.node.note(text);
        let fetched = Fetched {
            term,
            next,
            records: VecDeque::new(),
        };
        self.lanes().insert(partition, fetched);
        self.0.moved.notify_one();
        Ok(())
    }

    async fn next(&self, partition: Partition, max: usize) -> Result<Vec<BusRecord>, BusError> {
        loop {
            // Made before the look, so that what is fetched in between wakes it.
            let mut arrived = pin!(self.0.arrived.notified());
            arrived.as_mut().enable();
            let mut assigned = pin!(self.0.assigned.notified());
            assigned.as_mut().enable();
            if let Some(term) = self.term(partition) {
                let mut lanes = self.lanes();
                let lane = lanes.get_mut(&partition).filter(|lane| lane.term == term);
                let Some(lane) = lane else {
                    return Err(lost("assigned anew"));
                };
                let count = lane.records.len().min(max);
                if count > 0 {
                    let taken = lane.records.drain(..count).collect();
                    self.0.moved.notify_one();
                    return Ok(taken);
                }
            }
            select(arrived, assigned).await;
        }
    }

    fn done(&self, _: Partition, _: Position, _: u64) {}
}
