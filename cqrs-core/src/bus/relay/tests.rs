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
async fn a_dead_owner_is_followed_when_its_lease_is_over() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let log = log();
    let relay = |owner: &str| {
        let marks = Arc::clone(&marks);
        Relay::new(
            "relay",
            owner,
            log.clone(),
            marks,
            bus.clone(),
            time,
            options(2),
        )
    };
    let dead = relay("dead");
    // Dropped in the middle of its run: a crash.
    let crash = tokio::time::timeout(Duration::from_millis(1), dead.run(pending())).await;
    assert!(crash.is_err());
    log.append("a-3", &[("noted", "7")]);
    let heir = relay("heir");
    let started = Instant::now();
    let published = heir.progress();
    let at = LogPosition::new(FIRST, Position::new(4));
    let done = async { published.reached(at).await };
    heir.run(done).await.unwrap();
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(9), "{waited:?}");
    assert!(waited < Duration::from_secs(11), "{waited:?}");
    assert_eq!(
        bus.records(FIRST).len(),
        7,
        "it went on where the mark stood"
    );
    let owners: Vec<_> = marks
        .book("relay", FIRST)
        .into_iter()
        .map(|m| m.owner)
        .collect();
    assert_eq!(owners.iter().filter(|owner| *owner == "heir").count(), 3);
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

#[tokio::test(start_paused = true)]
async fn what_was_not_marked_is_published_again_by_whoever_takes_over() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let relay = |owner: &str| {
        let marks = Arc::clone(&marks);
        let options = RelayOptions {
            max_events: 1,
            ..RelayOptions::default()
        };
        Relay::new("relay", owner, log(), marks, bus.clone(), time, options)
    };
    let dead = relay("dead");
    let crash = tokio::time::timeout(Duration::from_millis(50), dead.run(pending())).await;
    assert!(crash.is_err());
    let book = marks.book("relay", FIRST);
    assert_eq!(book.last().map(|mark| mark.position), Some(Position::START));
    assert_eq!(bus.records(FIRST).len(), 6);
    tokio::time::sleep(Duration::from_secs(11)).await;
    relay("heir").catch_up(pending()).await.unwrap();
    assert_eq!(bus.records(FIRST).len(), 12);
    assert_eq!(taken(&bus, FIRST), ALL);
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_is_followed_at_once_and_a_lease_is_renewed_until_then() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let log = log();
    let relay = |owner: &str| {
        let marks = Arc::clone(&marks);
        Relay::new(
            "relay",
            owner,
            log.clone(),
            marks,
            bus.clone(),
            time,
            options(9),
        )
    };
    let (first, second) = (relay("first"), relay("second"));
    let stop = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(first.owns(FIRST) && !second.owns(FIRST));
    };
    let took_over = async {
        tokio::time::sleep(Duration::from_secs(65)).await;
        assert!(second.owns(FIRST) && !first.owns(FIRST));
    };
    let (first_ended, second_ended) = join(first.run(stop), second.run(took_over)).await;
    first_ended.unwrap();
    second_ended.unwrap();
    assert_eq!(bus.records(FIRST).len(), 6, "nothing was published twice");
}

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

#[tokio::test(start_paused = true)]
async fn a_relay_that_joins_gets_its_share_and_nothing_is_lost_by_the_change() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let log = wide();
    fill(&log, 0, 40).await;
    let relay = |owner: &str| {
        let marks = Arc::clone(&marks);
        Relay::new(
            "relay",
            owner,
            log.clone(),
            marks,
            bus.clone(),
            time,
            options(3),
        )
    };
    let (first, second, third) = (relay("first"), relay("second"), relay("third"));
    let counts =
        || [&first, &second, &third].map(|r| Partition::all(4).filter(|&p| r.owns(p)).count());
    let over = Notify::new();
    let later = |relay, seconds| {
        let over = &over;
        async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Relay::run(relay, over.notified()).await.unwrap();
        }
    };
    let script = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(counts(), [4, 0, 0]);
        for round in 1..=30 {
            fill(&log, round * 40, round * 40 + 40).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(counts(), [2, 2, 0]);
        tokio::time::sleep(Duration::from_secs(40)).await;
        let mut shares = counts();
        shares.sort_unstable();
        assert_eq!(shares, [1, 1, 2]);
        over.notify_waiters();
    };
    let relays = join(join(later(&first, 0), later(&second, 6)), later(&third, 40));
    join(relays, script).await;
    let mut all = 0;
    for partition in Partition::all(4) {
        let head = log.head(partition).await.unwrap();
        let taken = taken(&bus, partition);
        assert_eq!(taken.len() as u64, 2 * head.get());
        all += taken.len();
    }
    assert_eq!(all, 31 * 80);
}

#[tokio::test(start_paused = true)]
async fn two_owners_at_once_cost_repeats_and_the_slower_stops() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let log = log();
    /// Publishes, but answers only when it is let go on.
    struct Slow(MemoryBus, Notify);
    impl PublishEvents for &Slow {
        async fn publish(
            &self,
            partition: Partition,
            slice: &[RecordedCommit],
        ) -> Result<u64, BusError> {
            let end = self.0.publish(partition, slice).await?;
            self.1.notified().await;
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
    let slow_bus = Slow(bus.clone(), Notify::new());
    let slow = Relay::new(
        "relay",
        "slow",
        log.clone(),
        Arc::clone(&marks),
        &slow_bus,
        // A long pause: it shows no life.
        (time, Never),
        options(3),
    );
    let fast = Relay::new(
        "relay",
        "fast",
        log.clone(),
        Arc::clone(&marks),
        bus.clone(),
        time,
        options(3),
    );
    let stop = Notify::new();
    let script = async {
        // Long past the slow one's lease.
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(fast.owns(FIRST));
        slow_bus.1.notify_one();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!slow.owns(FIRST), "it has lost its next mark");
        log.append("a-1", &[("noted", "7")]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.notify_waiters();
    };
    let late = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        fast.run(stop.notified()).await.unwrap();
    };
    let (ended, ..) = join(slow.run(stop.notified()), join(late, script)).await;
    ended.unwrap();
    assert_eq!(taken(&bus, FIRST).len(), 7);
    assert_eq!(
        bus.records(FIRST).len(),
        10,
        "only the slice in doubt came twice"
    );
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_lost_records_is_filled_again_from_the_first_position() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let log = log();
    let relay = |owner: &str| {
        let marks = Arc::clone(&marks);
        Relay::new(
            "relay",
            owner,
            log.clone(),
            marks,
            bus.clone(),
            time,
            options(9),
        )
    };
    relay("a").catch_up(pending()).await.unwrap();
    assert_eq!(taken(&bus, FIRST), ALL);
    bus.truncate(FIRST, 0);
    // Found out at the take-over.
    relay("b").catch_up(pending()).await.unwrap();
    assert_eq!(taken(&bus, FIRST), ALL);
    // Found out by the offset of the next slice.
    let running = relay("c");
    let script = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bus.truncate(FIRST, 2);
        log.append("a-9", &[("noted", "7")]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    running.run(script).await.unwrap();
    let records = bus.records(FIRST);
    let ids: Vec<_> = records.iter().map(|r| r.id.to_string()).collect();
    let mut due = vec!["0-1-0", "0-1-1", "0-4-0"];
    due.extend(ALL);
    due.push("0-4-0");
    assert_eq!(ids, due);
}

/// A timer that never ends.
#[derive(Clone, Copy)]
struct Never;

impl Timer for Never {
    fn sleep(&self, _: Duration) -> impl Future<Output = ()> + Send {
        pending()
    }
}

/// Takes so long for each slice.
struct Sluggish(MemoryBus, Duration);

impl PublishEvents for &Sluggish {
    async fn publish(
        &self,
        partition: Partition,
        slice: &[RecordedCommit],
    ) -> Result<u64, BusError> {
        Paused.sleep(self.1).await;
        self.0.publish(partition, slice).await
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
async fn a_slice_that_takes_longer_than_a_lease_is_not_taken_over() {
    let marks = Arc::new(MemoryRelayMarks::new());
    let bus = Sluggish(MemoryBus::new(), Duration::from_secs(25));
    let (time, log) = (Time::new(), log());
    let relay = |owner: &str| {
        let marks = Arc::clone(&marks);
        Relay::new("relay", owner, log.clone(), marks, &bus, time, options(3))
    };
    let (first, second) = (relay("first"), relay("second"));
    let stop = Notify::new();
    let script = async {
        tokio::time::sleep(Duration::from_secs(300)).await;
        stop.notify_waiters();
    };
    let relays = join(first.run(stop.notified()), second.run(stop.notified()));
    let ((first_ended, second_ended), ()) = join(relays, script).await;
    first_ended.unwrap();
    second_ended.unwrap();
    assert_eq!(taken(&bus.0, FIRST), ALL);
    assert_eq!(bus.0.records(FIRST).len(), 6, "nothing was published twice");
}

#[tokio::test(start_paused = true)]
async fn a_dead_owner_whose_clock_was_ahead_is_followed_all_the_same() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let log = log();
    let dead = Relay::new(
        "relay",
        "dead",
        log.clone(),
        Arc::clone(&marks),
        bus.clone(),
        (Ahead(time), Paused),
        options(9),
    );
    let crash = tokio::time::timeout(Duration::from_millis(1), dead.run(pending())).await;
    assert!(crash.is_err());
    log.append("a-3", &[("noted", "7")]);
    let heir = Relay::new("relay", "heir", log, marks, bus, time, options(9));
    let started = Instant::now();
    let published = heir.progress();
    let at = LogPosition::new(FIRST, Position::new(4));
    heir.run(async { published.reached(at).await })
        .await
        .unwrap();
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(10), "{waited:?}");
    assert!(waited < Duration::from_secs(20), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn relays_that_take_from_each_other_for_ever_get_on_all_the_same() {
    let marks = Arc::new(MemoryRelayMarks::new());
    let bus = Sluggish(MemoryBus::new(), Duration::from_millis(30));
    let (time, log) = (Time::new(), wide());
    fill(&log, 0, 2_000).await;
    let options = RelayOptions {
        max_events: 2,
        mark_every: Duration::from_secs(2),
        lease: Duration::from_secs(3),
        ..RelayOptions::default()
    };
    let (one, other) = (Arc::clone(&marks), Arc::clone(&marks));
    let right = Relay::new("relay", "right", log.clone(), one, &bus, time, options);
    let ahead = (Ahead(time), Paused);
    let ahead = Relay::new("relay", "ahead", log.clone(), other, &bus, ahead, options);
    let over = Notify::new();
    let script = async {
        for partition in Partition::all(4) {
            let head = log.head(partition).await.unwrap();
            let marked = || marks.book("relay", partition).pop().map(|m| m.position);
            while marked() != Some(head) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        over.notify_waiters();
    };
    let relays = join(right.run(over.notified()), ahead.run(over.notified()));
    let all = tokio::time::timeout(Duration::from_secs(600), join(relays, script));
    let ((right, ahead), ()) = all.await.expect("they stand still");
    right.unwrap();
    ahead.unwrap();
    let owners = Partition::all(4).map(|p| marks.book("relay", p).into_iter().map(|m| m.owner));
    let changes = owners.map(|owners| {
        let owners: Vec<_> = owners.collect();
        owners.windows(2).filter(|two| two[0] != two[1]).count()
    });
    let changes: usize = changes.sum();
    assert!(changes > 5, "they took {changes} times from each other");
    for partition in Partition::all(4) {
        let head = log.head(partition).await.unwrap();
        assert_eq!(taken(&bus.0, partition).len() as u64, 2 * head.get());
    }
}

/// Is made anew before it takes a slice, and then loses the answer.
#[derive(Default)]
struct Renewed(MemoryBus, AtomicBool);

impl PublishEvents for &Renewed {
    async fn publish(
        &self,
        partition: Partition,
        slice: &[RecordedCommit],
    ) -> Result<u64, BusError> {
        if !self.1.swap(false, Ordering::Relaxed) {
            return self.0.publish(partition, slice).await;
        }
        self.0.truncate(partition, 0);
        self.0.publish(partition, slice).await?;
        Err(BusError {
            source: "lost".into(),
        })
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
async fn a_topic_made_anew_is_noticed_though_it_has_grown_past_the_mark() {
    let (log, bus) = (log(), Renewed::default());
    let marks = Arc::new(MemoryRelayMarks::new());
    let relay = Relay::new(
        "relay",
        "a",
        log.clone(),
        marks,
        &bus,
        Time::new(),
        options(100),
    );
    relay.catch_up(pending()).await.unwrap();
    assert_eq!(taken(&bus.0, FIRST), ALL);
    // The slice alone is longer than all that was there.
    log.append("a-3", &[("noted", "7"); 9]);
    bus.1.store(true, Ordering::Relaxed);
    relay.catch_up(pending()).await.unwrap();
    // What came before the relay noticed is a hole to a consumer, which waits for the repeat.
    let mut sequencer = Sequencer::after(Position::START);
    let records = bus.0.records(FIRST);
    let taken = records.iter().filter(|record| {
        let accept = sequencer.accept(record.id.at.position, record.id.index, record.count);
        accept == Accept::Take
    });
    let taken: Vec<_> = taken.map(|record| record.id.to_string()).collect();
    assert_eq!(taken.len(), 15);
    assert_eq!(taken[..6], ALL);
}
