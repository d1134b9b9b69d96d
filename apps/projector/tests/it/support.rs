//! A log, a topic and a read model of one's own.

use std::process::Command;
use std::time::Duration;

use cqrs_core::{
    Actor, AppendToLog, Codec, CommandId, Commit, CommitHeader, Encoding, Envelope, EventData,
    EventType, ExpectedVersion, LogPosition, Partition, Position, PublishEvents, ReadLog,
    Reservations, StreamName, TailLog, Timestamp,
};
use cqrs_kafka::{KafkaConfig, KafkaPublisher, PublisherOptions, ensure_topic};
use cqrs_mongo::{MongoOptions, MongoStore};
use cqrs_postgres::{PgModels, PgOptions, SchemaName};
use social_domain::PostEvent;
use social_read_model::{PgQueries, PostView, QueryError, SocialQueries, Tokens};
use social_test_kit::{Client, Process, command, get};
use uuid::Uuid;

pub(crate) const PARTITIONS: u16 = 4;

/// How long anything may take before a test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// What one installation has, and a relay that is driven by hand.
pub(crate) struct World {
    pub(crate) log: MongoStore,
    pub(crate) models: PgModels,
    database: String,
    topic: String,
    prefix: SchemaName,
    publisher: KafkaPublisher,
    published: Vec<Position>,
    events: i64,
}

impl World {
    pub(crate) async fn new() -> Self {
        let name = format!("p{:016x}", getrandom::u64().unwrap());
        let kafka = KafkaConfig::new(engine("KAFKA_BROKERS"), "test");
        ensure_topic(&kafka, &name, PARTITIONS).await.unwrap();
        let options = PublisherOptions::default();
        let publisher = KafkaPublisher::new(kafka, &name, "urn:store:test", options).unwrap();
        let mongo = MongoOptions::new(engine("MONGODB_URI"), &name);
        let prefix = SchemaName::parse(&name).unwrap();
        let pool = PgOptions::parse(&engine("POSTGRES_URL")).unwrap();
        Self {
            log: MongoStore::open(mongo).await.unwrap(),
            models: PgModels::new(pool.pool().unwrap(), &prefix),
            database: name.clone(),
            topic: name,
            prefix,
            publisher,
            published: vec![Position::START; usize::from(PARTITIONS)],
            events: 0,
        }
    }

    /// A projector of it, ready.
    pub(crate) fn start(&self) -> Process {
        Process::start(&mut self.command())
    }

    /// What starts a projector of it.
    pub(crate) fn command(&self) -> Command {
        let uri = engine("MONGODB_URI");
        let (server, options) = uri.split_once('?').unwrap_or((&uri, ""));
        let server = server.trim_end_matches('/');
        let mut command = command(super::BINARY);
        command
            .env("KAFKA_BROKERS", engine("KAFKA_BROKERS"))
            .env("POSTGRES_URL", engine("POSTGRES_URL"))
            .env(
                "MONGODB_URI",
                format!("{server}/{}?{options}", self.database),
            )
            .env("SOCIAL_EVENTS_TOPIC", &self.topic)
            .env("SOCIAL_PARTITIONS", PARTITIONS.to_string())
            .env("SOCIAL_SCHEMA_PREFIX", self.prefix.as_str());
        command
    }

    /// Something happens to `post`, by `actor`; where it is in the log.
    pub(crate) async fn happen(
        &mut self,
        actor: &str,
        post: Uuid,
        event: impl Into<PostEvent>,
    ) -> LogPosition {
        let event = Codec::<PostEvent>::new().encode(&event.into()).unwrap();
        self.append(actor, post, event).await
    }

    /// What no code can read happens to `post`.
    pub(crate) async fn happen_unreadably(&mut self, post: Uuid) -> LogPosition {
        let event = EventData {
            event_type: EventType::new("post-liked", 1),
            encoding: Encoding::Json,
            payload: "{\"who\":1}".into(),
        };
        self.append("eve", post, event).await
    }

    async fn append(&mut self, actor: &str, post: Uuid, event: EventData) -> LogPosition {
        self.events += 1;
        let time = Timestamp::from_millis(1_700_000_000_000 + self.events);
        let id = CommandId::new(Uuid::from_u128(self.events.unsigned_abs().into()));
        let envelope = Envelope::new(id, Actor::parse(actor).unwrap(), time);
        let commit = Commit {
            stream: StreamName::new("post", &post).unwrap(),
            expected: ExpectedVersion::Any,
            header: CommitHeader::from(&envelope),
            events: vec![event],
            reservations: Reservations::none(),
        };
        self.log.append(commit).await.unwrap().at
    }

    /// Publishes what is in the log and was not published yet.
    pub(crate) async fn publish(&mut self) {
        for partition in Partition::all(PARTITIONS) {
            let published = &mut self.published[usize::from(partition.index())];
            loop {
                let slice = self.log.read_partition(partition, *published, 1_000).await;
                let slice = slice.unwrap();
                let Some(last) = slice.last() else { break };
                *published = last.at.position;
                self.publisher.publish(partition, &slice).await.unwrap();
            }
        }
    }

    /// What is in the log up to here will not be published.
    pub(crate) async fn lose(&mut self) {
        for partition in Partition::all(PARTITIONS) {
            let head = self.log.head(partition).await.unwrap();
            self.published[usize::from(partition.index())] = head;
        }
    }

    /// The post, once the read model has come to `at`.
    pub(crate) async fn post(&self, post: Uuid, at: LogPosition) -> PostView {
        let (queries, tokens) = (PgQueries::new(self.models.clone()), Tokens::from(vec![at]));
        let ask = async || match queries.post(post, &tokens).await {
            Ok(view) => Ok(view),
            Err(error @ (QueryError::Behind { .. } | QueryError::Store { .. })) => {
                Err(error.to_string())
            }
            Err(error) => panic!("{error}"),
        };
        soon(ask).await
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn soon<T>(mut ask: impl AsyncFnMut() -> Result<T, String>) -> T {
    let mut last = String::new();
    let asking = async {
        loop {
            match ask().await {
                Ok(answer) => break answer,
                Err(error) => last = error,
            }
            // Between two questions; what is waited for is the answer.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, asking).await {
        Ok(answer) => answer,
        Err(_) => panic!("not within {PATIENCE:?}: {last}"),
    }
}

/// Waits until `/metrics` has `line`.
pub(crate) async fn metric(client: &mut Client, line: &str) {
    soon(async || {
        let body = client.send(&get("/metrics")).expect(200).body;
        let text = String::from_utf8(body).unwrap();
        match text.lines().any(|found| found == line) {
            true => Ok(()),
            false => Err(format!("`{line}` is not in\n{text}")),
        }
    })
    .await;
}

fn engine(variable: &str) -> String {
    std::env::var(variable).unwrap()
}
