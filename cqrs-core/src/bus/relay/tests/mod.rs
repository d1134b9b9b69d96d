//! Tests of relays that share partitions.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::join;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::projection::tests::{Pages, Paused};
use crate::*;

mod leases;
mod ownership;
mod topic;

const FIRST: Partition = Partition::new(0);

/// The paused time of the test's runtime, as a clock too.
#[derive(Clone, Copy)]
struct Time(Instant);

impl Time {
    fn new() -> Self {
        Self(Instant::now())
    }
}

impl Clock for Time {
    fn now(&self) -> Timestamp {
        let since = self.0.elapsed().as_millis();
        Timestamp::from_millis(1_700_000_000_000 + i64::try_from(since).unwrap())
    }
}

impl Timer for Time {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        Paused.sleep(duration)
    }
}

/// A year ahead.
#[derive(Clone, Copy)]
struct Ahead(Time);

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now().as_millis() + 365 * 86_400_000)
    }
}

fn log() -> Pages {
    let log = Pages::default();
    log.append("a-1", &[("noted", "1"), ("other", "2"), ("noted", "3")]);
    log.append("a-2", &[("noted", "4"), ("noted", "5")]);
    log.append("a-1", &[("noted", "6")]);
    log
}

const ALL: [&str; 6] = ["0-1-0", "0-1-1", "0-1-2", "0-2-0", "0-2-1", "0-3-0"];

/// A log of four partitions, all alike.
fn wide() -> MemoryStore {
    MemoryStore::new(4)
}

async fn fill(log: &MemoryStore, from: u64, to: u64) {
    for n in from..to {
        let stream = StreamName::new("s", &n).unwrap();
        let id = CommandId::new(uuid::Uuid::from_u128(u128::from(n) + 1));
        let envelope = Envelope::new(id, Actor::parse("ada").unwrap(), Timestamp::default());
        let event = EventData {
            event_type: EventType::new("noted", 1),
            encoding: Encoding::Json,
            payload: "{}".into(),
        };
        let commit = Commit {
            stream,
            expected: ExpectedVersion::NoStream,
            header: CommitHeader::from(&envelope),
            events: vec![event; 2],
            reservations: Reservations::none(),
        };
        log.append(commit).await.unwrap();
    }
}

/// A timer that never ends.
#[derive(Clone, Copy)]
struct Never;

impl Timer for Never {
    fn sleep(&self, _: Duration) -> impl Future<Output = ()> + Send {
        pending()
    }
}

/// What a consumer takes that follows the rule; it never meets a hole.
fn taken(bus: &MemoryBus, partition: Partition) -> Vec<String> {
    let mut sequencer = Sequencer::after(Position::START);
    let records = bus.records(partition);
    let taken = records.iter().filter(|record| {
        let accept = sequencer.accept(record.id.at.position, record.id.index, record.count);
        assert_ne!(accept, Accept::Hole, "{}", record.id);
        accept == Accept::Take
    });
    taken.map(|record| record.id.to_string()).collect()
}

/// Every slice is marked.
fn options(max_events: usize) -> RelayOptions {
    RelayOptions {
        max_events,
        mark_every: Duration::ZERO,
        ..RelayOptions::default()
    }
}

/// Refuses every other slice after it took it.
#[derive(Default)]
struct Losing(MemoryBus, AtomicU32);

impl PublishEvents for &Losing {
    async fn publish(
        &self,
        partition: Partition,
        slice: &[RecordedCommit],
    ) -> Result<u64, BusError> {
        let end = self.0.publish(partition, slice).await?;
        if self.1.fetch_add(1, Ordering::Relaxed).is_multiple_of(2) {
            return Err(BusError {
                source: "lost".into(),
            });
        }
        Ok(end)
    }

    async fn end(&self, partition: Partition) -> Result<u64, BusError> {
        self.0.end(partition).await
    }

    async fn holds(
        &self,
        partition: Partition,
        position: Position,
        offset: u64,
    ) -> Result<bool, BusError> {
        self.0.holds(partition, position, offset).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_relay_repeats_and_a_consumer_takes_each_event_once() {
    let (marks, bus) = (Arc::new(MemoryRelayMarks::new()), Losing::default());
    let relay = Relay::new(
        "relay",
        "a",
        log(),
        Arc::clone(&marks),
        &bus,
        Time::new(),
        options(2),
    );
    relay.catch_up(pending()).await.unwrap();
    assert_eq!(bus.0.records(FIRST).len(), 12);
    assert_eq!(taken(&bus.0, FIRST), ALL);
    let book = marks.book("relay", FIRST);
    assert_eq!(
        book.last().map(|m| (m.position.get(), m.offset)),
        Some((3, 12))
    );
}

#[tokio::test(start_paused = true)]
async fn marks_whose_inserts_are_lost_or_unknown_cost_repeats_only() {
    use crate::testing::{Faults, Faulty};
    for seed in 0..50 {
        let marks = Faulty::new(MemoryRelayMarks::new(), Faults::seeded(seed, 60));
        let bus = MemoryBus::new();
        let time = Time::new();
        let relay = Relay::new("relay", "a", log(), marks, bus.clone(), time, options(1));
        relay.catch_up(pending()).await.unwrap();
        assert_eq!(taken(&bus, FIRST), ALL, "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn marks_gather_but_not_for_long() {
    let (marks, bus, log) = (Arc::new(MemoryRelayMarks::new()), MemoryBus::new(), log());
    let relay = Relay::new(
        "relay",
        "a",
        log.clone(),
        Arc::clone(&marks),
        bus.clone(),
        Time::new(),
        RelayOptions::default(),
    );
    let marked = || marks.book("relay", FIRST).pop().map(|m| m.position.get());
    let script = async {
        for _ in 0..100 {
            log.append("a-3", &[("noted", "7")]);
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(taken(&bus, FIRST).len(), 106, "published at once");
        assert_ne!(marked(), Some(103));
        tokio::time::sleep(Duration::from_millis(101)).await;
        assert_eq!(marked(), Some(103), "marked though nothing more came");
        let quiet = marks.book("relay", FIRST).len();
        assert!((9..14).contains(&quiet), "{quiet} marks in a second");
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert_eq!(marks.book("relay", FIRST).len(), quiet, "nothing to mark");
        log.append("a-3", &[("noted", "8")]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    };
    relay.run(script).await.unwrap();
    assert_eq!(marked(), Some(104), "an orderly end marks all");
}
