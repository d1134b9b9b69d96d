//! Consumers that share a topic.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::{
    AppendToLog, ApplyError, Batch, BusSource, Checkpoint, Clock, ConsumeEvents, MemoryRelayMarks,
    MemoryStore, Parked, ParkedStreams, Partition, Position, Projection, ProjectionRunner,
    PublishEvents, Relay, RelayOptions, RunnerOptions, StreamName, TailLog, Timestamp,
};
use cqrs_kafka::{KafkaConfig, KafkaConsumer, ensure_topic};
use tokio::sync::watch;

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
fn member(
    config: &KafkaConfig,
    topic: &str,
    rows: &Rows,
) -> (watch::Sender<bool>, tokio::task::JoinHandle<u64>) {
    let consumer = KafkaConsumer::join(config.clone(), topic, 4, "projector").unwrap();
    let (stop, mut stopped) = watch::channel(false);
    let rows = rows.clone();
    let work = tokio::spawn(async move {
        let source = BusSource::new(consumer.clone(), 4, Wait);
        let runner = ProjectionRunner::new(source, rows, Wait, RunnerOptions::default());
        let shutdown = async {
            stopped.wait_for(|stop| *stop).await.unwrap();
        };
        runner.run_assigned(&consumer, shutdown).await.unwrap();
        consumer.close().await;
        runner.progress().counts().events
    });
    (stop, work)
}

/// Commits are appended, relayed and projected while members come and go.
async fn members_come_and_go(config: KafkaConfig, topic: &str) {
    let log = MemoryStore::new(4);
    let marks = Arc::new(MemoryRelayMarks::new());
    let rows = Rows::default();
    let (stop_relay, mut relay_stopped) = watch::channel(false);
    let relay = Relay::new(
        "relay",
        "a",
        log.clone(),
        marks,
        publisher(&config, topic),
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
    let writer = {
        let log = log.clone();
        tokio::spawn(async move {
            let mut n = 0;
            while !*writer_stopped.borrow() {
                log.append(append(n)).await.unwrap();
                n += 1;
                if n % 20 == 0 {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
            n
        })
    };
    let caught_up = async |what: &str| {
        let mut heads = BTreeMap::new();
        for partition in Partition::all(4) {
            heads.insert(partition, log.head(partition).await.unwrap().get());
        }
        let reached = async {
            while heads
                .iter()
                .any(|(&partition, &head)| rows.last(partition) < head)
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(60), reached).await;
        assert!(waited.is_ok(), "{what}: {heads:?}");
    };
    let first = member(&config, topic, &rows);
    caught_up("one").await;
    let second = member(&config, topic, &rows);
    let third = member(&config, topic, &rows);
    caught_up("three").await;
    first.0.send_replace(true);
    let mut applied = soon(first.1).await.unwrap();
    caught_up("two").await;
    let fourth = member(&config, topic, &rows);
    second.0.send_replace(true);
    applied += soon(second.1).await.unwrap();
    stop_writer.send_replace(true);
    let written = writer.await.unwrap();
    caught_up("the end").await;
    for (stop, work) in [third, fourth] {
        stop.send_replace(true);
        applied += soon(work).await.unwrap();
    }
    stop_relay.send_replace(true);
    soon(relaying).await.unwrap();
    let mut commits = 0;
    for (&partition, positions) in &*rows.0.lock().unwrap() {
        let due: Vec<_> = (1..=positions.len() as u64).collect();
        assert_eq!(*positions, due, "{partition}");
        commits += due.len() as u64;
    }
    assert_eq!(commits, written);
    let events: u64 = (0..written).map(|n| 1 + n % 3).sum();
    assert_eq!(applied, events, "no event was applied twice");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS"]
async fn members_join_and_leave_and_nothing_is_lost_or_doubled() {
    let topic = unique("members");
    ensure_topic(&brokers(), &topic, 4).await.unwrap();
    members_come_and_go(brokers(), &topic).await;
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
