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

use cqrs_core::{BusError, Partition, PublishEvents, RecordedCommit, RecordedEvent};
use rdkafka::client::ClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message};
use rdkafka::producer::{
    BaseRecord, NoCustomPartitioner, Producer, ProducerContext, ThreadedProducer,
};
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
    /// Thirty seconds, one millisecond.
    fn default() -> Self {
        Self {
            message_timeout: Duration::from_secs(30),
            linger: Duration::from_millis(1),
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
        let headers = headers.ok_or_else(|| bus("the event's time is out of range"))?;
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
            Ok(message) => {
                let end = u64::try_from(message.offset()).map_or(0, |offset| offset + 1);
                let mut outcome = slice.outcome();
                outcome.end = outcome.end.max(end);
            }
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
}

impl std::fmt::Debug for KafkaPublisher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaPublisher")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
