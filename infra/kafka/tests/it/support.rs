//! Events, topics and brokers for tests.

use std::time::Duration;

use cqrs_core::{
    Actor, CommandId, Commit, CommitHeader, Encoding, Envelope, EventData, EventType,
    ExpectedVersion, LogPosition, Partition, Position, RecordedCommit, Reservations, StreamName,
    Timer, Timestamp, TraceContext, Version,
};
use cqrs_kafka::{KafkaConfig, KafkaPublisher, PublisherOptions};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use uuid::Uuid;

pub(crate) const FIRST: Partition = Partition::new(0);
pub(crate) const SOURCE: &str = "urn:store:test";

pub(crate) type Mock = MockCluster<'static, DefaultProducerContext>;

/// A cluster in this process, with a topic `events`.
pub(crate) fn mock(partitions: i32) -> (Mock, KafkaConfig) {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic("events", partitions, 1).unwrap();
    let config = KafkaConfig::new(cluster.bootstrap_servers(), "test");
    (cluster, config)
}

/// The brokers that `KAFKA_BROKERS` names.
pub(crate) fn brokers() -> KafkaConfig {
    KafkaConfig::new(std::env::var("KAFKA_BROKERS").unwrap(), "test")
}

/// A name that no other test has.
pub(crate) fn unique(prefix: &str) -> String {
    format!("{prefix}-{:016x}", getrandom::u64().unwrap())
}

pub(crate) fn publisher(config: &KafkaConfig, topic: &str) -> KafkaPublisher {
    let options = PublisherOptions {
        message_timeout: Duration::from_secs(5),
        ..PublisherOptions::default()
    };
    KafkaPublisher::new(config.clone(), topic, SOURCE, options).unwrap()
}

/// The commit at `position`, of `events` events.
pub(crate) fn recorded(partition: Partition, position: u64, events: usize) -> RecordedCommit {
    let event = |n| EventData {
        event_type: EventType::new("noted", 3),
        encoding: Encoding::Json,
        payload: format!("{{\"n\":{n},\"text\":\"é\"}}").into(),
    };
    RecordedCommit {
        at: LogPosition::new(partition, Position::new(position)),
        stream: StreamName::new("note", &(position % 7)).unwrap(),
        version: Version::new(position + events as u64),
        header: CommitHeader {
            command_id: CommandId::new(Uuid::from_u128(position.into())),
            request: None,
            actor: Actor::parse("ada").unwrap(),
            time: Timestamp::from_millis(1_700_000_000_000 + position.cast_signed()),
            correlation_id: Uuid::from_u128(2),
            causation_id: Uuid::from_u128(3),
            trace: TraceContext::parse(
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                Some("vendor=1"),
            ),
        },
        events: (0..events).map(event).collect(),
        reservations: Reservations::none(),
    }
}

/// Commits `from..=to`, of one to three events.
pub(crate) fn commits(partition: Partition, from: u64, to: u64) -> Vec<RecordedCommit> {
    (from..=to)
        .map(|position| recorded(partition, position, 1 + (position % 3) as usize))
        .collect()
}

/// A commit to append to a stream of its own.
pub(crate) fn append(number: u64) -> Commit {
    let id = CommandId::new(Uuid::from_u128(u128::from(number) + 1));
    let envelope = Envelope::new(id, Actor::parse("ada").unwrap(), Timestamp::from_millis(7));
    Commit {
        stream: StreamName::new("note", &number).unwrap(),
        expected: ExpectedVersion::NoStream,
        header: CommitHeader::from(&envelope),
        events: recorded(FIRST, 1, 1 + (number % 3) as usize).events,
        reservations: Reservations::none(),
    }
}

/// The runtime's timer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wait;

impl Timer for Wait {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Fails the test where `what` does not come within a minute.
pub(crate) async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), what)
        .await
        .unwrap()
}
