//! The chain without us: one driver after the other does what cannot be done without, and nothing is decided, checked or grouped.
//!
//! Insert one document, as durable as ours, under the same unique indexes; produce one record; see it come back from the topic; insert one
//! row, as durable as ours; read it. No HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use mongodb::options::{CollectionOptions, IndexOptions, WriteConcern};
use mongodb::{Collection, IndexModel};
use rdkafka::ClientConfig;
use rdkafka::Offset;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message;
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::topic_partition_list::TopicPartitionList;
use tokio::sync::mpsc;
use tokio_postgres::{NoTls, Statement};

use crate::latency::{Pace, Times};
use crate::world::{SHORT, World};

const PAYLOAD: usize = 300;

/// Connections that are open, so that none is made while it is measured.
pub(crate) struct Bare<'a> {
    world: &'a World,
    topic: String,
    client: mongodb::Client,
    log: Collection<Document>,
    producer: Arc<ThreadedProducer<DefaultProducerContext>>,
    rows: Arc<Rows>,
}

struct Rows {
    client: tokio_postgres::Client,
    insert: Statement,
    select: Statement,
}

impl<'a> Bare<'a> {
    pub(crate) fn open(world: &'a World) -> Self {
        // Beside the services' own names, and removed with them.
        let topic = world.names.bare.clone();
        let kafka = &world.engines.kafka;
        let producer: ThreadedProducer<_> = ClientConfig::new()
            .set("bootstrap.servers", kafka)
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("socket.nagle.disable", "true")
            .create()
            .unwrap();
        let (client, log, rows) = world.runtime.block_on(async {
            let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
                .set("bootstrap.servers", kafka)
                .create()
                .unwrap();
            let new = NewTopic::new(&topic, 1, TopicReplication::Fixed(1));
            for made in admin
                .create_topics([&new], &AdminOptions::new())
                .await
                .unwrap()
            {
                made.unwrap();
            }
            let (client, log) = log(world).await;
            (client, log, rows(world).await)
        });
        Self {
            world,
            topic,
            client,
            log,
            producer: Arc::new(producer),
            rows: Arc::new(rows),
        }
    }

    /// Sends at the given pace; each command is a task of its own.
    pub(crate) fn measure(&self, pace: &Pace, round: u32) -> Times {
        let ended = AtomicBool::new(false);
        let consumer = self.consumer();
        let (tell, seen) = mpsc::unbounded_channel();
        thread::scope(|scope| {
            let ended = &ended;
            scope.spawn(move || {
                while !ended.load(Ordering::Acquire) {
                    if let Some(record) = consumer.poll(Duration::from_millis(100)) {
                        let record = record.unwrap();
                        let key = record.key().unwrap().try_into().unwrap();
                        tell.send(u64::from_be_bytes(key)).unwrap();
                    }
                }
            });
            let times = self.world.runtime.block_on(self.run(pace, round, seen));
            ended.store(true, Ordering::Release);
            times
        })
    }

    /// One that stands at the topic's end already.
    fn consumer(&self) -> BaseConsumer {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &self.world.engines.kafka)
            .set("group.id", "bare")
            .set("enable.auto.commit", "false")
            .create()
            .unwrap();
        let end = consumer.fetch_watermarks(&self.topic, 0, SHORT).unwrap().1;
        let mut place = TopicPartitionList::new();
        place
            .add_partition_offset(&self.topic, 0, Offset::Offset(end))
            .unwrap();
        consumer.assign(&place).unwrap();
        consumer
    }

    async fn run(&self, pace: &Pace, round: u32, mut seen: mpsc::UnboundedReceiver<u64>) -> Times {
        let begun = Instant::now() + Duration::from_millis(500);
        let first = i64::from(round) * i64::from(pace.count());
        let sending = async {
            let mut started = Vec::new();
            for number in 0..pace.count() {
                let moment = begun + pace.moment(number);
                tokio::time::sleep_until(moment.into()).await;
                started.push(moment.elapsed());
                let (log, producer) = (self.log.clone(), Arc::clone(&self.producer));
                let (topic, id) = (self.topic.clone(), first + i64::from(number));
                tokio::spawn(async move {
                    let payload = "x".repeat(PAYLOAD);
                    let stream = format!("note-{id}");
                    let commit =
                        doc! {"_id": id, "s": &stream, "v": 1, "c": &stream, "e": &payload};
                    log.insert_one(commit).await.unwrap();
                    let key = u64::from(number).to_be_bytes();
                    let record = BaseRecord::to(&topic).key(&key).payload(&payload);
                    producer.send(record).map_err(|(error, _)| error).unwrap();
                });
            }
            started
        };
        let seeing = async {
            let mut reading = Vec::new();
            for _ in 0..pace.count() {
                let number = seen.recv().await.unwrap();
                let rows = Arc::clone(&self.rows);
                let id = first + i64::try_from(number).unwrap();
                let moment = begun + pace.moment(u32::try_from(number).unwrap());
                reading.push(tokio::spawn(async move {
                    let text = "x".repeat(PAYLOAD);
                    let Rows {
                        client,
                        insert,
                        select,
                    } = &*rows;
                    client.execute(insert, &[&id, &text]).await.unwrap();
                    client.query_one(select, &[&id]).await.unwrap();
                    moment.elapsed()
                }));
            }
            let mut visible = Vec::new();
            for read in reading {
                visible.push(read.await.unwrap());
            }
            visible
        };
        let (started, visible) = tokio::join!(sending, seeing);
        let mut times = Times::default();
        times.started.0 = started;
        times.visible.0 = visible;
        times
    }

    pub(crate) fn close(self) {
        self.producer.flush(SHORT).unwrap();
        let closing = self.client.shutdown().immediate(true);
        self.world.runtime.block_on(async { closing.await });
    }
}

async fn log(world: &World) -> (mongodb::Client, Collection<Document>) {
    let client = mongodb::Client::with_uri_str(&world.mongo()).await.unwrap();
    let mut journaled = WriteConcern::majority();
    journaled.journal = Some(true);
    let options = CollectionOptions::builder()
        .write_concern(journaled)
        .build();
    let database = client.database(&world.names.database);
    let log: Collection<Document> = database.collection_with_options("bare", options);
    let unique = |keys| {
        let options = IndexOptions::builder().unique(true).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    log.create_indexes([unique(doc! {"s": 1, "v": 1}), unique(doc! {"c": 1})])
        .await
        .unwrap();
    (client, log)
}

async fn rows(world: &World) -> Rows {
    let (client, connection) = tokio_postgres::connect(&world.postgres(), NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    let sql = "CREATE TABLE bare (id bigint PRIMARY KEY, text text NOT NULL);
        SET synchronous_commit TO off";
    client.batch_execute(sql).await.unwrap();
    let insert = "INSERT INTO bare (id, text) VALUES ($1, $2)";
    let select = "SELECT text FROM bare WHERE id = $1";
    Rows {
        insert: client.prepare(insert).await.unwrap(),
        select: client.prepare(select).await.unwrap(),
        client,
    }
}
