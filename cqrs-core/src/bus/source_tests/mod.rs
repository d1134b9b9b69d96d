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

mod assignment;

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
