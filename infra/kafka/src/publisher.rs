//! Publishes slices of the log.
//!
//! Invariants:
//!
//! - A slice is answered once every record of it is settled: delivered, or failed for good. One failure fails it.
//! - Records of a partition are queued in the order of the log, one after another: where the queue is full, that record waits
//!   for room, and none behind it is tried. The producer is idempotent: retries of its own neither reorder nor double.
//! - A failed record may leave delivered ones behind it. That is a hole until the slice is published again, which the caller
//!   does; consumers wait for it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use cqrs_core::{
    BusError, BusRecord, Partition, Position, PublishEvents, RecordedCommit, RecordedEvent,
};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{
    BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer,
};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::{ClientConfig, Offset};
use tokio::sync::{Notify, oneshot};

use crate::error::{bus, client};
use crate::{ClientError, KafkaConfig, record, topic};

/// How long a question to the brokers may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How a publisher works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublisherOptions {
    /// How long a record may wait for its delivery before its slice fails.
    pub message_timeout: Duration,
    /// How long a batch waits for more records. Slices are queued at once, so that little is gained by more.
    pub linger: Duration,
}

impl Default for PublisherOptions {
    /// Thirty seconds; nothing waits.
    fn default() -> Self {
        Self {
            message_timeout: Duration::from_secs(30),
            linger: Duration::ZERO,
        }
    }
}

/// Publishes to one topic, with an idempotent producer and acknowledgement by all replicas in sync.
///
/// # Delivery
///
/// As [`PublishEvents::publish`]: at least once, in order; durable as far as the topic's replication is.
pub struct KafkaPublisher {
    config: KafkaConfig,
    options: PublisherOptions,
    topic: String,
    source: String,
    /// Made anew after a fatal error.
    producer: RwLock<Arc<Sender>>,
}

type Sender = ThreadedProducer<Deliveries>;

impl KafkaPublisher {
    /// A publisher to `topic` of the events of the store `source` (the records' `ce_source`). Does not connect yet.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the settings are refused.
    pub fn new(
        config: KafkaConfig,
        topic: impl Into<String>,
        source: impl Into<String>,
        options: PublisherOptions,
    ) -> Result<Self, ClientError> {
        let producer = RwLock::new(Arc::new(sender(&config, options)?));
        Ok(Self {
            config,
            options,
            topic: topic.into(),
            source: source.into(),
            producer,
        })
    }

    /// The producer; a new one where the last has met a fatal error.
    fn sender(&self) -> Result<Arc<Sender>, ClientError> {
        // A pointer: nothing panics half-way through a change.
        let current = Arc::clone(&self.producer.read().unwrap_or_else(PoisonError::into_inner));
        let Some((code, reason)) = current.client().fatal_error() else {
            return Ok(current);
        };
        let mut slot = self
            .producer
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if Arc::ptr_eq(&current, &slot) {
            tracing::warn!(topic = self.topic, %code, reason, "the producer is made anew");
            *slot = Arc::new(sender(&self.config, self.options)?);
        }
        Ok(Arc::clone(&slot))
    }

    /// Queues one record; waits where the queue is full.
    async fn queue(
        &self,
        sender: &Sender,
        slice: &Arc<Slice>,
        event: &RecordedEvent<'_>,
    ) -> Result<(), BusError> {
        let headers = record::headers(&self.source, event, event.commit.events.len());
        // The record's own time is the broker's: one that called itself much younger would be refused, for ever. The event's is
        // in `ce_time`.
        let mut next = BaseRecord::with_opaque_to(&self.topic, Arc::clone(slice))
            .partition(i32::from(event.id.at.partition.index()))
            .key(event.commit.stream.as_str())
            .payload(&event.data.payload[..])
            .headers(headers);
        loop {
            // Made before the attempt, so that a delivery in between wakes it.
            let room = sender.context().room.notified();
            match sender.send(next) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), unsent)) => {
                    next = unsent;
                    room.await;
                }
                Err((error, _)) => return Err(bus(error)),
            }
        }
    }
}

fn sender(config: &KafkaConfig, options: PublisherOptions) -> Result<Sender, ClientError> {
    let mut settings = config.client();
    settings
        .set("enable.idempotence", "true")
        .set("acks", "all")
        .set("compression.type", "lz4")
        .set("linger.ms", options.linger.as_millis().to_string())
        .set(
            "message.timeout.ms",
            options.message_timeout.as_millis().to_string(),
        )
        .set("message.max.bytes", topic::MAX_RECORD)
        .set("queue.buffering.max.messages", "100000")
        .set("queue.buffering.max.kbytes", "131072");
    let deliveries = Deliveries {
        room: Notify::new(),
    };
    settings.create_with_context(deliveries).map_err(client)
}

/// One slice on its way.
struct Slice {
    /// Records that are not settled.
    left: AtomicUsize,
    outcome: Mutex<Outcome>,
}

#[derive(Default)]
struct Outcome {
    error: Option<BusError>,
    /// One past the highest offset.
    end: u64,
    done: Option<oneshot::Sender<()>>,
}

impl Slice {
    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        // Nothing panics under the lock half-way.
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that `count` records are settled.
    fn settle(&self, count: usize) {
        if self.left.fetch_sub(count, Ordering::AcqRel) == count
            && let Some(done) = self.outcome().done.take()
        {
            // Whoever waited may be gone.
            let _ = done.send(());
        }
    }

    fn fail(&self, error: BusError) {
        self.outcome().error.get_or_insert(error);
    }
}

struct Deliveries {
    /// Told of every delivery.
    room: Notify,
}

impl ClientContext for Deliveries {}

impl ProducerContext<NoCustomPartitioner> for Deliveries {
    type DeliveryOpaque = Arc<Slice>;

    fn delivery(&self, result: &DeliveryResult<'_>, slice: Arc<Slice>) {
        match result {
            Ok(message) => match u64::try_from(message.offset()) {
                Ok(offset) => {
                    let mut outcome = slice.outcome();
                    outcome.end = outcome.end.max(offset + 1);
                }
                // A retry that the broker knew already, and not where it was: the slice is published again.
                Err(_) => slice.fail(bus("a record was delivered at an unknown offset")),
            },
            Err((error, _)) => slice.fail(bus(error.clone())),
        }
        slice.settle(1);
        self.room.notify_waiters();
    }
}

impl PublishEvents for KafkaPublisher {
    async fn publish(
        &self,
        partition: Partition,
        slice: &[RecordedCommit],
    ) -> Result<u64, BusError> {
        let records: usize = slice.iter().map(|commit| commit.events.len()).sum();
        if records == 0 {
            return self.end(partition).await;
        }
        let sender = self.sender().map_err(bus)?;
        let (done, settled) = oneshot::channel();
        let counted = Arc::new(Slice {
            left: AtomicUsize::new(records),
            outcome: Mutex::new(Outcome {
                done: Some(done),
                ..Outcome::default()
            }),
        });
        let events = slice.iter().flat_map(RecordedCommit::recorded_events);
        for (queued, event) in events.enumerate() {
            if let Err(error) = self.queue(&sender, &counted, &event).await {
                // Nothing behind it may overtake it.
                counted.fail(error);
                counted.settle(records - queued);
                break;
            }
        }
        settled.await.map_err(bus)?;
        let mut outcome = counted.outcome();
        match outcome.error.take() {
            None => Ok(outcome.end),
            Some(error) => Err(error),
        }
    }

    async fn end(&self, partition: Partition) -> Result<u64, BusError> {
        let sender = self.sender().map_err(bus)?;
        let topic = self.topic.clone();
        let partition = i32::from(partition.index());
        let asked = tokio::task::spawn_blocking(move || {
            sender
                .client()
                .fetch_watermarks(&topic, partition, PATIENCE)
        });
        let (_, high) = asked.await.map_err(bus)?.map_err(bus)?;
        u64::try_from(high).map_err(bus)
    }

    async fn holds(
        &self,
        partition: Partition,
        position: Position,
        offset: u64,
    ) -> Result<bool, BusError> {
        let (settings, topic) = (reading(&self.config), self.topic.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let Some(last) = offset.checked_sub(1) else {
                return Ok(false);
            };
            let record = record_at(&settings, &topic, partition, last)?;
            Ok(record.is_some_and(|record| record.id.at.position == position))
        });
        asked.await.map_err(bus)?
    }
}

/// The settings of a client that reads what was published.
fn reading(config: &KafkaConfig) -> ClientConfig {
    let mut settings = config.client();
    settings
        // Never joined and never committed to: the client wants a name.
        .set("group.id", "none")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "error")
        .set("fetch.wait.max.ms", "100")
        .set("message.max.bytes", topic::MAX_RECORD)
        .set("fetch.message.max.bytes", topic::MAX_RECORD);
    settings
}

/// The event at `offset`; `None` where there is no such record, or it is no event.
fn record_at(
    settings: &ClientConfig,
    topic: &str,
    partition: Partition,
    offset: u64,
) -> Result<Option<BusRecord>, BusError> {
    let consumer: BaseConsumer = settings.create().map_err(bus)?;
    let (number, offset) = (
        i32::from(partition.index()),
        i64::try_from(offset).map_err(bus)?,
    );
    let (low, high) = consumer
        .fetch_watermarks(topic, number, PATIENCE)
        .map_err(bus)?;
    if !(low..high).contains(&offset) {
        return Ok(None);
    }
    let mut place = TopicPartitionList::new();
    place
        .add_partition_offset(topic, number, Offset::Offset(offset))
        .map_err(bus)?;
    consumer.assign(&place).map_err(bus)?;
    let message = consumer.poll(PATIENCE);
    let message = message.ok_or_else(|| bus("no answer in time"))?;
    let message = message.map_err(bus)?;
    Ok(record::read(&message)
        .ok()
        .filter(|_| message.offset() == offset))
}

impl std::fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaPublisher")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
