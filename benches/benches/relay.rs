//! How many events per second the relay publishes: against a bare producer of the same records, on the same brokers.
//!
//! `KAFKA_BROKERS=host:port cargo bench -p benches --bench relay`; without brokers it measures nothing, and says so.
//!
//! One iteration publishes the whole log: one partition, commits of one event, 280 bytes of text each.
//!
//! - `relay`: reads a log in memory slice by slice, makes the records, awaits each slice whole, marks its place in memory.
//! - `bare producer`: librdkafka's threaded producer under the same settings, with the same
//!   headers made beforehand as text. It queues everything, polls where the queue is full, awaits the last delivery: it is the
//!   limit, not a peer.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use benches::{TEXT, envelope};
use cqrs_core::{
    AppendToLog, Clock, Commit, CommitHeader, Encoding, EventData, EventType, ExpectedVersion,
    MemoryRelayMarks, MemoryStore, Partition, Position, ReadLog, RecordedCommit, Relay,
    RelayOptions, Reservations, StreamName, Timer, Timestamp,
};
use cqrs_kafka::{KafkaConfig, KafkaPublisher, PublisherOptions, ensure_topic};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer, ProducerContext, ThreadedProducer};
use tokio::runtime::Runtime;

const EVENTS: usize = 20_000;
const FIRST: Partition = Partition::new(0);

fn relay(c: &mut Criterion) {
    let Ok(brokers) = std::env::var("KAFKA_BROKERS") else {
        eprintln!("relay: KAFKA_BROKERS is not set, nothing is measured");
        return;
    };
    let runtime = Runtime::new().expect("a runtime");
    let log = runtime.block_on(log());
    let read = log.read_partition(FIRST, Position::START, EVENTS);
    let commits = runtime.block_on(read).expect("the log");
    let mut group = c.benchmark_group("relay");
    group.sample_size(10);
    group.warm_up_time(Duration::from_secs(1));
    group.measurement_time(Duration::from_secs(5));
    group.throughput(Throughput::Elements(EVENTS as u64));
    group.bench_function("relay", |bench| {
        let topic = runtime.block_on(topic(&brokers));
        let config = KafkaConfig::new(&brokers, "bench");
        let options = PublisherOptions::default();
        let publisher = KafkaPublisher::new(config, &topic, "urn:bench", options);
        let publisher = Arc::new(publisher.expect("a publisher"));
        bench.iter_custom(|rounds| runtime.block_on(relayed(&log, &publisher, rounds)));
    });
    group.bench_function("bare producer", |bench| {
        let topic = runtime.block_on(topic(&brokers));
        let producer = Bare::new(&brokers, topic, &commits);
        bench.iter_custom(|rounds| {
            let start = Instant::now();
            for _ in 0..rounds {
                producer.produce();
            }
            start.elapsed()
        });
    });
    group.finish();
}

async fn log() -> MemoryStore {
    let log = MemoryStore::new(1);
    for number in 0..EVENTS {
        let text = "x".repeat(TEXT);
        let commit = Commit {
            stream: StreamName::new("note", &number).expect("a name"),
            expected: ExpectedVersion::NoStream,
            header: CommitHeader::from(&envelope()),
            events: vec![EventData {
                event_type: EventType::new("note-written", 1),
                encoding: Encoding::Json,
                payload: format!("{{\"text\":\"{text}\"}}").into(),
            }],
            reservations: Reservations::none(),
        };
        log.append(commit).await.expect("it is appended");
    }
    log
}

/// A topic of its own for each measurement.
async fn topic(brokers: &str) -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
    let since = since.expect("after 1970").as_millis();
    let topic = format!("bench-{since}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let config = KafkaConfig::new(brokers, "bench");
    ensure_topic(&config, &topic, 1).await.expect("a topic");
    topic
}

/// Each round is another relay's, which begins at the first position.
async fn relayed(log: &MemoryStore, publisher: &Arc<KafkaPublisher>, rounds: u64) -> Duration {
    let marks = Arc::new(MemoryRelayMarks::new());
    let start = Instant::now();
    for round in 0..rounds {
        let relay = Relay::new(
            format!("relay-{round}"),
            "bench",
            log.clone(),
            Arc::clone(&marks),
            Arc::clone(publisher),
            Time,
            RelayOptions::default(),
        );
        relay.catch_up(pending()).await.expect("it catches up");
        assert_eq!(relay.progress().position(FIRST).get(), EVENTS as u64);
    }
    start.elapsed()
}

struct Time;

impl Clock for Time {
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed();
        let millis = since.expect("after 1970").as_millis();
        Timestamp::from_millis(i64::try_from(millis).expect("a moment"))
    }
}

impl Timer for Time {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The bare producer and the records that the relay would make.
struct Bare {
    topic: String,
    producer: ThreadedProducer<Delivered>,
    records: Vec<Made>,
}

/// One record, made beforehand.
struct Made {
    key: String,
    payload: Vec<u8>,
    headers: Vec<(&'static str, String)>,
}

#[derive(Default)]
struct Delivered(Arc<AtomicUsize>);

impl ClientContext for Delivered {}

impl ProducerContext for Delivered {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        assert!(result.is_ok(), "it is delivered");
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

impl Bare {
    fn new(brokers: &str, topic: String, commits: &[RecordedCommit]) -> Self {
        let producer = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("socket.nagle.disable", "true")
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("linger.ms", "1")
            .create_with_context(Delivered::default())
            .expect("a producer");
        let records = commits.iter().map(|commit| {
            let event = &commit.events[0];
            Made {
                key: commit.stream.to_string(),
                payload: event.payload.to_vec(),
                headers: headers(commit),
            }
        });
        Self {
            topic,
            producer,
            records: records.collect(),
        }
    }

    fn produce(&self) {
        let delivered = &self.producer.context().0;
        delivered.store(0, Ordering::Release);
        for made in &self.records {
            let mut headers = OwnedHeaders::new_with_capacity(made.headers.len());
            for (key, value) in &made.headers {
                let value = Some(value);
                headers = headers.insert(Header { key, value });
            }
            let mut next = BaseRecord::to(&self.topic)
                .partition(0)
                .key(&made.key)
                .payload(&made.payload)
                .headers(headers);
            while let Err((error, unsent)) = self.producer.send(next) {
                let full = KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull);
                assert_eq!(error, full);
                self.producer.poll(Duration::from_millis(1));
                next = unsent;
            }
        }
        self.producer
            .flush(Duration::from_secs(60))
            .expect("all is delivered");
        assert_eq!(delivered.load(Ordering::Acquire), self.records.len());
    }
}

/// Those of the relay's records.
fn headers(commit: &RecordedCommit) -> Vec<(&'static str, String)> {
    let header = &commit.header;
    vec![
        ("ce_specversion", "1.0".to_owned()),
        ("ce_id", format!("{}-0", commit.at)),
        ("ce_source", "urn:bench".to_owned()),
        ("ce_type", "note-written".to_owned()),
        ("ce_dataschema", "urn:event:note-written:1".to_owned()),
        ("ce_time", "2023-11-14T22:13:20Z".to_owned()),
        ("ce_subject", commit.stream.to_string()),
        ("content-type", "application/json".to_owned()),
        ("position", commit.at.position.to_string()),
        ("index", "0".to_owned()),
        ("count", "1".to_owned()),
        ("version", "1".to_owned()),
        ("command", header.command_id.to_string()),
        ("actor", header.actor.to_string()),
        ("correlation", header.correlation_id.to_string()),
        ("causation", header.causation_id.to_string()),
        ("encoding", "json".to_owned()),
    ]
}

criterion_group!(benches, relay);
criterion_main!(benches);
