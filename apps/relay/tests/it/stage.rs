//! A log and a topic of one test's own.

use cqrs_core::{
    Actor, AppendToLog, CommandId, Commit, CommitHeader, Encoding, Envelope, EventData, EventType,
    ExpectedVersion, Reservations, StreamName, Timestamp,
};
use cqrs_mongo::{MongoOptions, MongoStore};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use serde_json::Value;
use social_test_kit::{Client, Process, get, until};
use tokio::runtime::Runtime;
use uuid::Uuid;

/// Events of each commit that is appended.
pub(crate) const EVENTS: u64 = 2;

/// What one test has of the engines.
pub(crate) struct Stage {
    uri: String,
    brokers: String,
    pub(crate) topic: String,
    runtime: Runtime,
    pub(crate) log: MongoStore,
}

impl Stage {
    /// On the engines that the environment names.
    pub(crate) fn new() -> Self {
        let engine = |key: &str| std::env::var(key).unwrap_or_else(|_| panic!("needs {key}"));
        let name = format!("relay_{:016x}", getrandom::u64().unwrap());
        let uri = with_database(&engine("MONGODB_URI"), &name);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let opened = MongoStore::open(MongoOptions::new(&uri, &name));
        let log = runtime.block_on(opened).unwrap();
        Self {
            uri,
            brokers: engine("KAFKA_BROKERS"),
            topic: format!("{name}.events"),
            runtime,
            log,
        }
    }

    pub(crate) fn start(&self) -> Process {
        self.start_on(&self.brokers)
    }

    /// Starts one that speaks to the brokers by another address of theirs.
    pub(crate) fn start_on(&self, brokers: &str) -> Process {
        let mut command = social_test_kit::command(env!("CARGO_BIN_EXE_relay"));
        command
            .env("MONGODB_URI", &self.uri)
            .env("KAFKA_BROKERS", brokers)
            .env("SOCIAL_EVENTS_TOPIC", &self.topic);
        let process = Process::start(&mut command);
        readiness(&mut process.client(), |report| report["status"] == "ok");
        process
    }

    /// Appends the commits `from..to`, each to a stream of its own.
    pub(crate) fn append(&self, from: u128, to: u128) {
        for number in from..to {
            let appended = self.log.append(commit(number));
            self.runtime.block_on(appended).unwrap();
        }
    }

    /// A consumer of the topic's beginning.
    pub(crate) fn consumer(&self) -> BaseConsumer {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", &self.topic)
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&[&self.topic]).unwrap();
        consumer
    }
}

fn commit(number: u128) -> Commit {
    let id = CommandId::new(Uuid::from_u128(number + 1));
    let actor = Actor::parse("ada").unwrap();
    let envelope = Envelope::new(id, actor, Timestamp::from_millis(7));
    let event = EventData {
        event_type: EventType::new("noted", 1),
        encoding: Encoding::Json,
        payload: "{}".into(),
    };
    Commit {
        stream: StreamName::new("note", &number).unwrap(),
        expected: ExpectedVersion::NoStream,
        header: CommitHeader::from(&envelope),
        events: (0..EVENTS).map(|_| event.clone()).collect(),
        reservations: Reservations::none(),
    }
}

/// Waits for a report that is `as_awaited`.
#[track_caller]
pub(crate) fn readiness(client: &mut Client, as_awaited: impl Fn(&Value) -> bool) -> Value {
    until(|| {
        let report = client.send(&get("/readyz")).value();
        match as_awaited(&report) {
            true => Ok(report),
            false => Err(report.to_string()),
        }
    })
}

/// The value of a metric without labels.
#[track_caller]
pub(crate) fn metric(client: &mut Client, name: &str) -> u64 {
    let text = client.send(&get("/metrics")).expect(200).body;
    let text = String::from_utf8(text).unwrap();
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = found.and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

/// Waits until a metric is `value`.
#[track_caller]
pub(crate) fn metric_reaches(client: &mut Client, name: &str, value: u64) {
    until(|| match metric(client, name) {
        found if found == value => Ok(()),
        found => Err(format!("{name} is {found}, not {value}")),
    });
}

fn with_database(url: &str, database: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (address, options) = rest.split_once('?').unwrap_or((rest, ""));
    let server = address.split('/').next().unwrap();
    match options {
        "" => format!("{scheme}://{server}/{database}"),
        options => format!("{scheme}://{server}/{database}?{options}"),
    }
}
