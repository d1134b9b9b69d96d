//! Tests of runners that are fed from a bus.

use std::collections::BTreeMap;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::projection::tests::{Pages, Paused};
use crate::*;
use proptest::prelude::*;

const FIRST: Partition = Partition::new(0);

/// The ids of the events, in the order in which they were applied.
type Seen = Vec<String>;

fn seen() -> MemoryProjection<Seen> {
    MemoryProjection::new("seen", ["noted"], Seen::new(), |seen, event| {
        seen.push(event.id.to_string());
        Ok(())
    })
}

fn applied<S, T>(runner: &ProjectionRunner<S, MemoryProjection<Seen>, T>) -> Seen
where
    S: CommitSource,
    T: Timer,
{
    runner.projection().read(Clone::clone)
}

fn log() -> Pages {
    let log = Pages::default();
    log.append("a-1", &[("noted", "1"), ("other", "2"), ("noted", "3")]);
    log.append("a-2", &[("noted", "4"), ("noted", "5")]);
    log.append("a-1", &[("noted", "6")]);
    log.append("a-3", &[("noted", "7"), ("noted", "8")]);
    log
}

const ALL: [&str; 7] = [
    "0-1-0", "0-1-2", "0-2-0", "0-2-1", "0-3-0", "0-4-0", "0-4-1",
];

async fn commits(log: &Pages) -> Vec<RecordedCommit> {
    log.read_partition(FIRST, Position::START, 99)
        .await
        .unwrap()
}

fn consumer(bus: &MemoryBus) -> MemoryConsumer {
    let consumer = bus.consumer();
    consumer.assign([FIRST]);
    consumer
}

async fn reached(progress: Progress, position: u64) {
    let at = LogPosition::new(FIRST, Position::new(position));
    progress.reached(at).await;
}

#[tokio::test(start_paused = true)]
async fn commits_come_whole_as_they_were_published() {
    let bus = MemoryBus::new();
    let published = commits(&log()).await;
    bus.publish(FIRST, &published).await.unwrap();
    let source = BusSource::new(consumer(&bus), 1, Paused);
    let slice = source.slice_after(FIRST, Position::START, 4).await.unwrap();
    assert_eq!(slice, published[..1], "the second would exceed four events");
    let slice = source
        .slice_after(FIRST, Position::new(1), 4)
        .await
        .unwrap();
    assert_eq!(slice, published[1..3]);
    // Asked again, as after a failed write: given again.
    let slice = source
        .slice_after(FIRST, Position::new(1), 1)
        .await
        .unwrap();
    assert_eq!(slice, published[1..2], "one is always given");
    let slice = source
        .slice_after(FIRST, Position::new(3), 99)
        .await
        .unwrap();
    assert_eq!(slice, published[3..]);
    let slice = source
        .slice_after(FIRST, Position::new(4), 99)
        .await
        .unwrap();
    assert!(slice.is_empty());
}

#[tokio::test(start_paused = true)]
async fn repeats_are_applied_once_and_what_is_done_is_noted() {
    let bus = MemoryBus::new();
    let commits = commits(&log()).await;
    for slice in [&commits[..2], &commits[..3], &commits[1..], &commits[..]] {
        bus.publish(FIRST, slice).await.unwrap();
    }
    let consumer = consumer(&bus);
    let source = BusSource::new(consumer.clone(), 1, Paused);
    let runner = ProjectionRunner::new(source, seen(), Paused, RunnerOptions::default());
    runner.catch_up(pending()).await.unwrap();
    assert_eq!(applied(&runner), ALL);
    // The first record of use after the end of position 4: (3 + 2) + (3 + 2 + 1) + (2 + 1 + 2).
    assert_eq!(consumer.noted(FIRST), Some((Position::new(4), 16)));
}

#[tokio::test(start_paused = true)]
async fn a_hole_is_filled_by_the_relays_repeat() {
    let bus = MemoryBus::new();
    let commits = commits(&log()).await;
    bus.publish(FIRST, &commits[..1]).await.unwrap();
    bus.publish(FIRST, &commits[2..]).await.unwrap();
    let source = BusSource::new(consumer(&bus), 1, Paused);
    let runner = ProjectionRunner::new(source, seen(), Paused, RunnerOptions::default());
    let progress = runner.progress();
    let repeat = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        assert_eq!(progress.position(FIRST).get(), 1);
        bus.publish(FIRST, &commits[..]).await.unwrap();
        reached(progress.clone(), 4).await;
    };
    runner.run(repeat).await.unwrap();
    assert_eq!(applied(&runner), ALL);
}

#[tokio::test(start_paused = true)]
async fn a_hole_that_nobody_fills_is_read_from_the_log() {
    let bus = MemoryBus::new();
    let log = log();
    let all = commits(&log).await;
    bus.publish(FIRST, &all[..1]).await.unwrap();
    bus.publish(FIRST, &all[2..3]).await.unwrap();
    let source = BusSource::new(consumer(&bus), 1, Paused).with_log(log.clone());
    let runner = ProjectionRunner::new(source, seen(), Paused, RunnerOptions::default());
    let progress = runner.progress();
    let started = Instant::now();
    let script = async {
        reached(progress.clone(), 3).await;
        assert_eq!(started.elapsed().as_secs(), 5);
        log.append("a-1", &[("noted", "9")]);
        // The bus goes on where the log left off.
        bus.publish(FIRST, &commits(&log).await[2..]).await.unwrap();
        reached(progress.clone(), 5).await;
        assert_eq!(started.elapsed().as_secs(), 5);
    };
    runner.run(script).await.unwrap();
    let mut due = ALL.to_vec();
    due.push("0-5-0");
    assert_eq!(applied(&runner), due);
}

#[tokio::test(start_paused = true)]
async fn without_a_log_a_hole_stops_the_partition_visibly() {
    let bus = MemoryBus::new();
    let commits = commits(&log()).await;
    bus.publish(FIRST, &commits[..1]).await.unwrap();
    bus.publish(FIRST, &commits[2..]).await.unwrap();
    let source = BusSource::new(consumer(&bus), 1, Paused);
    let runner = ProjectionRunner::new(source, seen(), Paused, RunnerOptions::default());
    let Err(RunnerError::Hole { partition, source }) = runner.run(pending()).await else {
        panic!("it went on");
    };
    assert_eq!(partition, FIRST);
    let text = "event `0-2-0` is missing on the bus, which went on to `0-3-0`";
    assert_eq!(source.to_string(), text);
    assert!(runner.progress().is_stopped(FIRST));
    assert_eq!(applied(&runner), ALL[..2]);
}

/// Begins too far at first, as one does whose kept offset belongs to a topic that was made anew.
#[derive(Clone)]
struct TooFar(MemoryConsumer);

impl ConsumeEvents for TooFar {
    async fn seek(&self, partition: Partition, after: Position) -> Result<(), BusError> {
        let wrong = match after {
            Position::START => after,
            after => after.next().next(),
        };
        self.0.seek(partition, wrong).await
    }

    fn next(
        &self,
        partition: Partition,
        max: usize,
    ) -> impl Future<Output = Result<Vec<BusRecord>, BusError>> + Send {
        self.0.next(partition, max)
    }

    fn done(&self, partition: Partition, done: Position, offset: u64) {
        self.0.done(partition, done, offset);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_log_the_bus_is_looked_through_once_more_before_a_hole_is_one() {
    let bus = MemoryBus::new();
    bus.publish(FIRST, &commits(&log()).await).await.unwrap();
    let source = BusSource::new(TooFar(consumer(&bus)), 1, Paused);
    let found = source.slice_after(FIRST, Position::new(1), 99).await;
    assert!(found.unwrap().is_empty());
    source.await_more(FIRST, Position::new(1)).await.unwrap();
    let found = source
        .slice_after(FIRST, Position::new(1), 99)
        .await
        .unwrap();
    let found: Vec<_> = found.iter().map(|c| c.at.position.get()).collect();
    assert_eq!(found, [2, 3, 4]);
}

/// Gives one record at a time, each after a second, and begins too far as [`TooFar`] does.
struct Sluggish(TooFar);

impl ConsumeEvents for Sluggish {
    fn seek(
        &self,
        partition: Partition,
        after: Position,
    ) -> impl Future<Output = Result<(), BusError>> + Send {
        self.0.seek(partition, after)
    }

    async fn next(&self, partition: Partition, _: usize) -> Result<Vec<BusRecord>, BusError> {
        Paused.sleep(Duration::from_secs(1)).await;
        self.0.next(partition, 1).await
    }

    fn done(&self, partition: Partition, done: Position, offset: u64) {
        self.0.done(partition, done, offset);
    }
}

#[tokio::test(start_paused = true)]
async fn looking_through_a_long_bus_may_take_longer_than_the_wait_for_a_repeat() {
    let (log, bus) = (log(), MemoryBus::new());
    for _ in 0..16 {
        log.append("a-1", &[("noted", "x")]);
    }
    bus.publish(FIRST, &commits(&log).await).await.unwrap();
    let source = BusSource::new(Sluggish(TooFar(consumer(&bus))), 1, Paused);
    let mut found = Vec::new();
    while found.is_empty() {
        source.await_more(FIRST, Position::new(17)).await.unwrap();
        let slice = source.slice_after(FIRST, Position::new(17), 99).await;
        found = slice.unwrap();
    }
    assert_eq!(found[0].at.position, Position::new(18));
}

/// A bus that lacks its first commit, and whose next record is always there.
struct Endless(Vec<BusRecord>, AtomicU64);

impl ConsumeEvents for Endless {
    async fn seek(&self, _: Partition, _: Position) -> Result<(), BusError> {
        Ok(())
    }

    async fn next(&self, _: Partition, _: usize) -> Result<Vec<BusRecord>, BusError> {
        let asked = self.1.fetch_add(1, Ordering::Relaxed);
        assert!(asked < 1_000, "it never stops");
        let mut record = self.0[0].clone();
        record.id.at.position = Position::new(asked + 2);
        Ok(vec![record])
    }

    fn done(&self, _: Partition, _: Position, _: u64) {}
}

#[tokio::test(start_paused = true)]
async fn behind_a_hole_a_bus_that_never_pauses_is_not_drained() {
    let bus = MemoryBus::new();
    bus.publish(FIRST, &commits(&log()).await).await.unwrap();
    let endless = Endless(bus.records(FIRST), AtomicU64::new(0));
    let source = BusSource::new(endless, 1, Paused).with_log(log());
    let slice = source.slice_after(FIRST, Position::START, 99).await;
    assert!(slice.unwrap().is_empty());
    // No patience at all: the log is read although the bus has more to give.
    let source = source.with_patience(Duration::ZERO);
    source.await_more(FIRST, Position::START).await.unwrap();
    let slice = source.slice_after(FIRST, Position::START, 99).await;
    assert_eq!(slice.unwrap(), commits(&log()).await);
}

#[tokio::test(start_paused = true)]
async fn exactly_the_assigned_partitions_are_followed() {
    let (log, bus) = (MemoryStore::new(3), MemoryBus::new());
    let partitions: Vec<_> = Partition::all(3).collect();
    let publish = async |stream: &str, n: u128| {
        let stream = StreamName::parse(stream).unwrap();
        let id = CommandId::new(uuid::Uuid::from_u128(n));
        let envelope = Envelope::new(id, Actor::parse("ada").unwrap(), Timestamp::default());
        let commit = Commit {
            stream,
            expected: ExpectedVersion::Any,
            header: CommitHeader::from(&envelope),
            events: vec![EventData {
                event_type: EventType::new("noted", 1),
                encoding: Encoding::Json,
                payload: "{}".into(),
            }],
            reservations: Reservations::none(),
        };
        let at = log.append(commit).await.unwrap().at;
        let before = Position::new(at.position.get() - 1);
        let slice = log.read_partition(at.partition, before, 1).await.unwrap();
        bus.publish(at.partition, &slice).await.unwrap();
    };
    // Streams of which each partition has some.
    let names: Vec<_> = (0..30).map(|n| format!("s-{n}")).collect();
    let (a, b) = (bus.consumer(), bus.consumer());
    // One read model, two members of its group.
    let shared = Arc::new(tokio::sync::Mutex::new(
        BTreeMap::<Partition, Vec<u64>>::new(),
    ));
    let member = |consumer: &MemoryConsumer| {
        let source = BusSource::new(consumer.clone(), 3, Paused);
        let rows = Rows(Arc::clone(&shared));
        ProjectionRunner::new(source, rows, Paused, RunnerOptions::default())
    };
    let (first, second) = (member(&a), member(&b));
    let stop = Notify::new();
    let script = async {
        let mut n = 0;
        let splits: [[&[Partition]; 2]; 6] = [
            [&partitions, &[]],
            [&partitions[..1], &partitions[1..]],
            [&[], &partitions],
            // A zombie: both believe that the second partition is theirs.
            [&partitions[..2], &partitions[1..]],
            [&partitions[1..], &partitions[..1]],
            [&partitions, &[]],
        ];
        for [to_a, to_b] in splits {
            a.assign(to_a.iter().copied());
            b.assign(to_b.iter().copied());
            for name in &names {
                n += 1;
                publish(name, n).await;
                tokio::task::yield_now().await;
            }
            for &partition in &partitions {
                let head = log.head(partition).await.unwrap().get();
                while shared.lock().await.get(&partition).map_or(0, Vec::len) as u64 != head {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        stop.notify_waiters();
    };
    let runs = join(
        first.run_assigned(&a, stop.notified()),
        second.run_assigned(&b, stop.notified()),
    );
    let ((ended_a, ended_b), ()) = join(runs, script).await;
    ended_a.unwrap();
    ended_b.unwrap();
    for (partition, positions) in &*shared.lock().await {
        let head = log.head(*partition).await.unwrap().get();
        assert_eq!(*positions, (1..=head).collect::<Vec<_>>());
    }
    assert!(first.progress().counts().events > 0 && second.progress().counts().events > 0);
}

/// The positions that were applied, by partition; shared by all members of a group, with a compare-and-set.
struct Rows(Arc<tokio::sync::Mutex<BTreeMap<Partition, Vec<u64>>>>);

impl Projection for Rows {
    fn name(&self) -> &str {
        "rows"
    }

    fn handles(&self, _: &str) -> bool {
        true
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Checkpoint, ApplyError> {
        let rows = self.0.lock().await;
        let last = rows.get(&partition).and_then(|rows| rows.last());
        Ok(Checkpoint {
            position: Position::new(last.copied().unwrap_or(0)),
            epoch: 0,
        })
    }

    async fn apply(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        tokio::task::yield_now().await;
        let mut all = self.0.lock().await;
        let rows = all.entry(batch.partition).or_default();
        if rows.last().copied().unwrap_or(0) != batch.expected.position.get() {
            return Err(ApplyError::Stale);
        }
        rows.extend(batch.commits.iter().map(|c| c.at.position.get()));
        Ok(())
    }
}

impl ParkedStreams for Rows {
    async fn parked(&self, _: Partition) -> Result<Vec<Parked>, ApplyError> {
        Ok(Vec::new())
    }

    async fn release(&self, _: Partition, _: &StreamName) -> Result<(), ApplyError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_stopped_is_tried_anew_when_it_is_assigned_anew() {
    let bus = MemoryBus::new();
    let commits = commits(&log()).await;
    bus.publish(FIRST, &commits[1..]).await.unwrap();
    let consumer = consumer(&bus);
    let source = BusSource::new(consumer.clone(), 1, Paused);
    let runner = ProjectionRunner::new(source, seen(), Paused, RunnerOptions::default());
    let ended = runner.run_assigned(&consumer, pending()).await;
    assert!(matches!(ended, Err(RunnerError::Hole { .. })));
    bus.publish(FIRST, &commits).await.unwrap();
    let progress = runner.progress();
    runner
        .run_assigned(&consumer, reached(progress, 4))
        .await
        .unwrap();
    assert_eq!(applied(&runner), ALL);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the bus repeats, leaves out and is rebalanced, every commit is applied once and in order.
    #[test]
    fn whatever_the_bus_does_each_commit_is_applied_once(
        moves in prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, any::<bool>()), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (log, bus) = (log(), MemoryBus::new());
            for _ in 0..6 {
                log.append("a-1", &[("noted", "x"), ("noted", "y")]);
            }
            let all = commits(&log).await;
            let consumer = consumer(&bus);
            let source = BusSource::new(consumer.clone(), 1, Paused).with_log(log.clone());
            let runner = ProjectionRunner::new(source, seen(), Paused, RunnerOptions { max_events: 3, ..RunnerOptions::default() });
            let progress = runner.progress();
            let over = AtomicBool::new(false);
            let script = async {
                for (from, count, rebalance) in moves {
                    let from = from.index(all.len());
                    bus.publish(FIRST, &all[from..(from + count).min(all.len())]).await.unwrap();
                    if rebalance {
                        consumer.assign([]);
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        consumer.assign([FIRST]);
                    }
                    tokio::time::sleep(Duration::from_millis(700)).await;
                }
                bus.publish(FIRST, &all).await.unwrap();
                reached(progress, 10).await;
                over.store(true, Ordering::Relaxed);
            };
            runner.run_assigned(&consumer, script).await.unwrap();
            assert!(over.load(Ordering::Relaxed));
            let due: Vec<_> = all
                .iter()
                .flat_map(RecordedCommit::recorded_events)
                .filter(|event| event.data.event_type.name() == "noted")
                .map(|event| event.id.to_string())
                .collect();
            assert_eq!(applied(&runner), due);
        });
    }
}
