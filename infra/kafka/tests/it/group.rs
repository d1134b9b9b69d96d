//! Consumers that share a topic.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::{
    AppendToLog, ApplyError, Batch, BusSource, Checkpoint, Clock, ConsumeEvents, MemoryRelayMarks,
    MemoryStore, Parked, ParkedStreams, Partition, Position, Progress, Projection,
    ProjectionRunner, PublishEvents, Relay, RelayOptions, RunnerOptions, StreamName, TailLog,
    Timestamp,
};
use cqrs_kafka::{KafkaConfig, KafkaConsumer, ensure_topic};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::support::{FIRST, Wait, append, brokers, commits, mock, publisher, soon, unique};

/// The positions that were applied, by partition; shared by all members, with a compare-and-set.
#[derive(Clone, Default)]
struct Rows(Arc<Mutex<BTreeMap<Partition, Vec<u64>>>>);

impl Rows {
    fn last(&self, partition: Partition) -> u64 {
        let rows = self.0.lock().unwrap();
        rows.get(&partition)
            .and_then(|rows| rows.last())
            .copied()
            .unwrap_or(0)
    }
}

impl Projection for Rows {
    fn name(&self) -> &str {
        "rows"
    }

    fn handles(&self, _: &str) -> bool {
        true
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Checkpoint, ApplyError> {
        Ok(Checkpoint {
            position: Position::new(self.last(partition)),
            epoch: 0,
        })
    }

    async fn apply(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        tokio::task::yield_now().await;
        let mut all = self.0.lock().unwrap();
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

struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap())
    }
}

/// A member at work, until it is told to stop; then it has left.
struct Member {
    stop: watch::Sender<bool>,
    progress: Progress,
    work: JoinHandle<()>,
}

impl Member {
    fn join(config: &KafkaConfig, topic: &str, rows: &Rows) -> Self {
        let consumer = KafkaConsumer::join(config.clone(), topic, 4, "projector").unwrap();
        let (stop, mut stopped) = watch::channel(false);
        let source = BusSource::new(consumer.clone(), 4, Wait);
        let options = RunnerOptions::default();
        let runner = ProjectionRunner::new(source, rows.clone(), Wait, options);
        let progress = runner.progress();
        let work = tokio::spawn(async move {
            let shutdown = async {
                stopped.wait_for(|stop| *stop).await.unwrap();
            };
            runner.run_assigned(&consumer, shutdown).await.unwrap();
            consumer.close().await;
        });
        Self {
            stop,
            progress,
            work,
        }
    }

    /// Leaves; how many events it has applied.
    async fn leave(self) -> u64 {
        self.stop.send_replace(true);
        soon(self.work).await.unwrap();
        self.progress.counts().events
    }
}

/// Commits that are appended and relayed all the time.
struct Scene {
    log: MemoryStore,
    rows: Rows,
    stop_relay: watch::Sender<bool>,
    relaying: JoinHandle<()>,
    stop_writer: watch::Sender<bool>,
    writing: JoinHandle<u64>,
}

impl Scene {
    fn begin(config: &KafkaConfig, topic: &str) -> Self {
        let log = MemoryStore::new(4);
        let (stop_relay, mut relay_stopped) = watch::channel(false);
        let relay = Relay::new(
            "relay",
            "a",
            log.clone(),
            Arc::new(MemoryRelayMarks::new()),
            publisher(config, topic),
            (System, Wait),
            RelayOptions::default(),
        );
        let relaying = tokio::spawn(async move {
            let shutdown = async {
                relay_stopped.wait_for(|stop| *stop).await.unwrap();
            };
            relay.run(shutdown).await.unwrap();
        });
        let (stop_writer, writer_stopped) = watch::channel(false);
        let written = log.clone();
        let writing = tokio::spawn(async move {
            let mut n = 0;
            while !*writer_stopped.borrow() {
                written.append(append(n)).await.unwrap();
                n += 1;
                if n % 20 == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            n
        });
        Self {
            log,
            rows: Rows::default(),
            stop_relay,
            relaying,
            stop_writer,
            writing,
        }
    }

    /// Waits until everything is applied that is in the log by now.
    async fn caught_up(&self, what: &str) {
        let mut heads = BTreeMap::new();
        for partition in Partition::all(4) {
            heads.insert(partition, self.log.head(partition).await.unwrap().get());
        }
        let reached = async {
            while heads
                .iter()
                .any(|(&partition, &head)| self.rows.last(partition) < head)
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(90), reached).await;
        assert!(waited.is_ok(), "{what}: {heads:?}");
    }

    /// Stops the writer, lets `members` finish, and checks that each commit was applied once; how many events those were.
    async fn end(self, members: Vec<Member>) -> u64 {
        self.stop_writer.send_replace(true);
        while !self.writing.is_finished() {
            tokio::task::yield_now().await;
        }
        self.caught_up("the end").await;
        for member in members {
            member.leave().await;
        }
        self.stop_relay.send_replace(true);
        soon(self.relaying).await.unwrap();
        let written = self.writing.await.unwrap();
        let mut commits = 0;
        for (&partition, positions) in &*self.rows.0.lock().unwrap() {
            let due: Vec<_> = (1..=positions.len() as u64).collect();
            assert_eq!(*positions, due, "{partition}");
            commits += due.len() as u64;
        }
        assert_eq!(commits, written);
        (0..written).map(|n| 1 + n % 3).sum()
    }
}

/// Commits are appended, relayed and projected while members come and go.
async fn members_come_and_go(config: KafkaConfig, topic: &str) {
    let scene = Scene::begin(&config, topic);
    let member = || Member::join(&config, topic, &scene.rows);
    let first = member();
    scene.caught_up("one").await;
    let (second, third) = (member(), member());
    scene.caught_up("three").await;
    let mut applied = first.leave().await;
    scene.caught_up("two").await;
    let fourth = member();
    applied += second.leave().await;
    let progress = [third.progress.clone(), fourth.progress.clone()];
    let events = scene.end(vec![third, fourth]).await;
    applied += progress
        .iter()
        .map(|progress| progress.counts().events)
        .sum::<u64>();
    assert_eq!(applied, events, "no event was applied twice");
}

/// Members come faster than the group agrees about who has what; some leave in good order, some are dropped as they stand.
async fn a_storm_of_rebalances(config: KafkaConfig, topic: &str) {
    let scene = Scene::begin(&config, topic);
    let mut members = VecDeque::new();
    for round in 0..20_u64 {
        members.push_back(Member::join(&config, topic, &scene.rows));
        // From none to a good part of a rebalance.
        tokio::time::sleep(Duration::from_millis(round * 37 % 200)).await;
        if members.len() > 3 {
            let member = members.pop_front().unwrap();
            match round % 3 {
                0 => member.work.abort(),
                _ => drop(member.stop.send_replace(true)),
            }
        }
    }
    scene.end(members.into()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS"]
async fn members_join_and_leave_and_nothing_is_lost_or_doubled() {
    let topic = unique("members");
    ensure_topic(&brokers(), &topic, 4).await.unwrap();
    members_come_and_go(brokers(), &topic).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS"]
async fn in_a_storm_of_rebalances_nothing_is_lost_or_doubled() {
    let topic = unique("storm");
    ensure_topic(&brokers(), &topic, 4).await.unwrap();
    a_storm_of_rebalances(brokers(), &topic).await;
}

/// Joins, and gives the first record that comes after a cursor was moved behind `after`.
async fn first_after(config: &KafkaConfig, topic: &str, after: u64, note: Option<u64>) -> u64 {
    let consumer = KafkaConsumer::join(config.clone(), topic, 1, "starts").unwrap();
    let after = Position::new(after);
    while consumer.seek(FIRST, after).await.is_err() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let record = consumer.next(FIRST, 1).await.unwrap().remove(0);
    if let Some(offset) = note {
        consumer.done(FIRST, after, offset);
    }
    consumer.close().await;
    record.offset
}

async fn begins_where_the_checkpoint_allows(config: KafkaConfig, topic: &str) {
    let all = commits(FIRST, 1, 9);
    publisher(&config, topic)
        .publish(FIRST, &all)
        .await
        .unwrap();
    let start = async |after, note| soon(first_after(&config, topic, after, note)).await;
    // Positions 1 to 5 have 2 + 3 + 1 + 2 + 3 events.
    assert_eq!(start(5, Some(11)).await, 0, "nothing was kept yet");
    assert_eq!(start(5, None).await, 11, "where the group's offset is");
    assert_eq!(
        start(7, None).await,
        11,
        "the kept one is behind the checkpoint"
    );
    assert_eq!(
        start(4, None).await,
        0,
        "the kept one is beyond the checkpoint"
    );
    assert_eq!(start(0, None).await, 0, "a rebuild");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_the_mock_a_member_begins_where_its_checkpoint_allows() {
    let (_cluster, config) = mock(1);
    begins_where_the_checkpoint_allows(config, "events").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS"]
async fn a_member_begins_where_its_checkpoint_allows() {
    let topic = unique("starts");
    ensure_topic(&brokers(), &topic, 1).await.unwrap();
    begins_where_the_checkpoint_allows(brokers(), &topic).await;
}
