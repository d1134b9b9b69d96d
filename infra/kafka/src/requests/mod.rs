//! Answers the requests of one topic on another.
//!
//! Invariants:
//!
//! - A request's offset is kept only once its reply is delivered, and those of all requests before it in its partition:
//!   none is lost, some are handled again after a crash or a rebalance. The handler must bear that.
//! - Requests of one key in one partition are handled one after another, in order, the reply of one delivered before the
//!   next begins.
//! - What is held is bounded; past the bound the partitions are paused, and polled on.
//!
//! | what happens | what is done |
//! |---|---|
//! | crash before the reply is delivered | handled again |
//! | crash between the reply and the offset | handled again: the handler gives the same reply |
//! | the reply is not delivered | delivered again, for as long as it takes; its key waits |
//! | the reply is larger than a record may be | it never can be delivered: an error in the trace, and on |
//! | a partition is revoked | what is held of it is answered all the same, its new owner may do it again |

mod held;

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::future::{Either, select};
use futures_util::stream::FuturesUnordered;
use rdkafka::Offset;
use rdkafka::consumer::{CommitMode, Consumer, StreamConsumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Header, Headers, Message, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::util::Timeout;

use held::{Held, Place};

use crate::error::client;
use crate::{ClientError, KafkaConfig, topic};

/// One message of the request topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Its key.
    pub key: Option<Bytes>,
    /// Its value.
    pub payload: Bytes,
    /// Its headers, in order.
    pub headers: Vec<(String, Bytes)>,
    /// The partition of the request topic.
    pub partition: i32,
    /// Its number there.
    pub offset: i64,
}

/// One message for the reply topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its key: replies of one key are in order.
    pub key: Bytes,
    /// Its value.
    pub payload: Bytes,
    /// Its headers, in order.
    pub headers: Vec<(String, Bytes)>,
}

/// Makes replies.
pub trait HandleRequest: Send + Sync {
    /// The reply to `request`. What is busy or away is waited for in here; a request that makes no sense has a reply too.
    ///
    /// # Delivery
    ///
    /// At least once: the same request may come again, and must get the same reply.
    fn handle(&self, request: Request) -> impl Future<Output = Reply> + Send;
}

/// Which topics, and how many at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestOptions {
    /// The topic of the requests.
    pub requests: String,
    /// The topic of the replies.
    pub replies: String,
    /// The group of servers that share the requests.
    pub group: String,
    /// How many requests are handled at once; four times as many are held.
    pub concurrency: usize,
}

/// A member of a group of servers.
pub struct RequestServer {
    consumer: StreamConsumer,
    producer: FutureProducer,
    options: RequestOptions,
}

impl RequestServer {
    /// A server that begins when [`serve`](Self::serve) is called. Both topics must exist.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the settings are refused.
    pub fn new(config: &KafkaConfig, options: RequestOptions) -> Result<Self, ClientError> {
        let consumer = config
            .client()
            .set("group.id", &options.group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", "10000")
            .set("heartbeat.interval.ms", "1000")
            .set("enable.auto.offset.store", "false")
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "1000")
            .set("auto.offset.reset", "earliest")
            .set("queued.min.messages", "1000")
            .set("queued.max.messages.kbytes", "16384")
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.wait.max.ms", "100")
            .create()
            .map_err(client)?;
        let producer = config
            .client()
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("compression.type", "lz4")
            .set("linger.ms", "1")
            .set("message.timeout.ms", "30000")
            .set("message.max.bytes", topic::MAX_RECORD)
            .set("partitioner", "murmur2_random")
            .create()
            .map_err(client)?;
        Ok(Self {
            consumer,
            producer,
            options,
        })
    }

    /// Answers requests until `shutdown` completes; then ends what is running and keeps its offsets.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the client cannot go on; make another server.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is a crash: what was not replied to is handled again.
    pub async fn serve(
        &self,
        handler: &impl HandleRequest,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), ClientError> {
        self.consumer
            .subscribe(&[&self.options.requests])
            .map_err(client)?;
        let mut shutdown = pin!(shutdown);
        let mut held = Held::default();
        let mut running = FuturesUnordered::new();
        let concurrency = self.options.concurrency.max(1);
        let most = concurrency.saturating_mul(4);
        loop {
            while running.len() < concurrency
                && let Some(request) = held.ready.pop_front()
            {
                running.push(self.answer(handler, request));
            }
            let finished = async {
                match running.next().await {
                    Some(finished) => finished,
                    None => std::future::pending().await,
                }
            };
            let happened = {
                let (finished, received) = (pin!(finished), pin!(self.consumer.recv()));
                match select(shutdown.as_mut(), select(finished, received)).await {
                    Either::Left(_) => break,
                    Either::Right((Either::Left((finished, _)), _)) => Ok(finished),
                    Either::Right((Either::Right((received, _)), _)) => Err(received),
                }
            };
            match happened {
                Ok(place) => {
                    self.keep(&mut held, place);
                    if held.paused && held.count < most / 2 {
                        held.paused = self.turn(Consumer::resume).is_err();
                    }
                }
                Err(Ok(message)) => {
                    held.add(request(&message));
                    // Also a partition that was assigned since.
                    if held.count >= most {
                        held.paused |= self.turn(Consumer::pause).is_ok();
                    }
                }
                Err(Err(error)) => {
                    tracing::warn!(topic = self.options.requests, %error, "consuming");
                    if self.consumer.client().fatal_error().is_some() {
                        return Err(client(error));
                    }
                }
            }
        }
        while let Some(place) = running.next().await {
            self.keep(&mut held, place);
        }
        match self.consumer.commit_consumer_state(CommitMode::Sync) {
            Ok(()) | Err(KafkaError::ConsumerCommit(RDKafkaErrorCode::NoOffset)) => {}
            Err(error) => {
                tracing::warn!(topic = self.options.requests, %error, "offsets not kept: some are handled again");
            }
        }
        self.consumer.unsubscribe();
        Ok(())
    }

    /// Handles one request and delivers its reply.
    async fn answer(&self, handler: &impl HandleRequest, request: Request) -> Place {
        let place = Place {
            lane: (request.partition, request.key.clone()),
            offset: request.offset,
        };
        let reply = handler.handle(request).await;
        let mut pause = Duration::from_millis(50);
        loop {
            let mut headers = OwnedHeaders::new_with_capacity(reply.headers.len());
            for (key, value) in &reply.headers {
                headers = headers.insert(Header {
                    key,
                    value: Some(&value[..]),
                });
            }
            let record = FutureRecord::to(&self.options.replies)
                .key(&reply.key[..])
                .payload(&reply.payload[..])
                .headers(headers);
            let Err((error, _)) = self.producer.send(record, Timeout::Never).await else {
                return place;
            };
            let code = error.rdkafka_error_code();
            if code == Some(RDKafkaErrorCode::MessageSizeTooLarge) {
                let bytes = reply.payload.len();
                tracing::error!(
                    topic = self.options.replies,
                    bytes,
                    "a reply can never be delivered"
                );
                return place;
            }
            tracing::warn!(topic = self.options.replies, %error, "a reply is delivered again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Keeps how far the partition is answered without a gap.
    fn keep(&self, held: &mut Held, place: Place) {
        let partition = place.lane.0;
        let Some(next) = held.finish(place) else {
            return;
        };
        let mut list = TopicPartitionList::new();
        let kept = list
            .add_partition_offset(&self.options.requests, partition, Offset::Offset(next))
            .and_then(|()| self.consumer.store_offsets(&list));
        if let Err(error) = kept {
            // The partition is another's by now, who handles them again.
            tracing::debug!(topic = self.options.requests, partition, %error, "offset not kept");
        }
    }

    /// Pauses or resumes everything that is assigned.
    fn turn(
        &self,
        turn: impl Fn(&StreamConsumer, &TopicPartitionList) -> Result<(), KafkaError>,
    ) -> Result<(), ()> {
        let assigned = self.consumer.assignment();
        let turned = assigned.and_then(|assigned| turn(&self.consumer, &assigned));
        turned.map_err(|error| {
            tracing::warn!(topic = self.options.requests, %error, "not paused or resumed");
        })
    }
}

fn request(message: &BorrowedMessage<'_>) -> Request {
    let headers = message.headers().map(|headers| {
        let pairs = headers.iter().map(|header| {
            let value = header.value.unwrap_or_default();
            (header.key.to_owned(), Bytes::copy_from_slice(value))
        });
        pairs.collect()
    });
    Request {
        key: message.key().map(Bytes::copy_from_slice),
        payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
        headers: headers.unwrap_or_default(),
        partition: message.partition(),
        offset: message.offset(),
    }
}

impl std::fmt::Debug for RequestServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestServer")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}
