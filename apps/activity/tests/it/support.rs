//! A topic of one's own, and what happens on it.

use std::collections::BTreeMap;

use cqrs_core::{
    Actor, Codec, CommandId, CommitHeader, Envelope, LogPosition, Partition, Position,
    PublishEvents, RecordedCommit, Reservations, StreamName, Timestamp, Version,
};
use cqrs_kafka::{KafkaConfig, KafkaPublisher, PublisherOptions, ensure_topic};
use social_domain::{PostEvent, PostLiked};
use social_test_kit::{Process, command};
use uuid::Uuid;

/// A topic with what was published on it, and a schema for who reads it.
pub(crate) struct World {
    topic: String,
    schema: String,
    partitions: u16,
    publisher: KafkaPublisher,
    versions: BTreeMap<Uuid, u64>,
    /// By partition: what happened, and how much of that was published.
    log: BTreeMap<Partition, (Vec<RecordedCommit>, usize)>,
    events: i64,
}

impl World {
    pub(crate) async fn new(partitions: u16) -> Self {
        let random = getrandom::u64().unwrap();
        let topic = format!("activity-{random:016x}");
        let kafka = KafkaConfig::new(engine("KAFKA_BROKERS"), "test");
        ensure_topic(&kafka, &topic, partitions).await.unwrap();
        let options = PublisherOptions::default();
        let publisher = KafkaPublisher::new(kafka, &topic, "urn:store:test", options).unwrap();
        Self {
            topic,
            schema: format!("a{random:016x}"),
            partitions,
            publisher,
            versions: BTreeMap::new(),
            log: BTreeMap::new(),
            events: 0,
        }
    }

    /// A process that reads the topic and is ready.
    pub(crate) fn start(&self) -> Process {
        let mut command = command(super::BINARY);
        command
            .env("KAFKA_BROKERS", engine("KAFKA_BROKERS"))
            .env("POSTGRES_URL", engine("POSTGRES_URL"))
            .env("SOCIAL_EVENTS_TOPIC", &self.topic)
            .env("SOCIAL_PARTITIONS", self.partitions.to_string())
            .env("SOCIAL_ACTIVITY_SCHEMA", &self.schema);
        Process::start(&mut command)
    }

    /// Something happens to `post`, by `actor`, a second after what happened last.
    pub(crate) fn happen(&mut self, actor: &str, post: Uuid, event: impl Into<PostEvent>) {
        self.events += 1;
        let time = Timestamp::from_millis(1_700_000_000_000 + self.events * 1_000);
        let id = CommandId::new(Uuid::from_u128(self.events.unsigned_abs().into()));
        let envelope = Envelope::new(id, Actor::parse(actor).unwrap(), time);
        let count = u128::from(self.partitions);
        let partition = Partition::new(u16::try_from(post.as_u128() % count).unwrap());
        let version = self.versions.entry(post).or_default();
        *version += 1;
        let (log, _) = self.log.entry(partition).or_default();
        let position = Position::new(log.len() as u64 + 1);
        log.push(RecordedCommit {
            at: LogPosition::new(partition, position),
            stream: StreamName::new("post", &post).unwrap(),
            version: Version::new(*version),
            header: CommitHeader::from(&envelope),
            events: vec![Codec::<PostEvent>::new().encode(&event.into()).unwrap()],
            reservations: Reservations::none(),
        });
    }

    /// Publishes what was not yet.
    pub(crate) async fn publish(&mut self) {
        for (partition, (log, published)) in &mut self.log {
            let slice = &log[*published..];
            self.publisher.publish(*partition, slice).await.unwrap();
            *published = log.len();
        }
    }

    /// Publishes the last `count` of each partition once more.
    pub(crate) async fn publish_again(&self, count: usize) {
        for (partition, (log, published)) in &self.log {
            let slice = &log[published.saturating_sub(count)..*published];
            self.publisher.publish(*partition, slice).await.unwrap();
        }
    }

    /// What was not published never will be.
    pub(crate) fn lose(&mut self) {
        for (log, published) in self.log.values_mut() {
            *published = log.len();
        }
    }
}

pub(crate) fn liked(actor: &str) -> PostLiked {
    let actor = actor.to_owned();
    PostLiked { actor }
}

fn engine(variable: &str) -> String {
    std::env::var(variable).unwrap()
}
