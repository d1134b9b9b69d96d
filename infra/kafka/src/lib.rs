//! The event bus on Kafka, and commands by message.
//!
//! Records are CloudEvents 1.0 in binary mode, one an event; partition *i* of the log is partition *i* of the topic, the
//! key is the stream. A [`KafkaPublisher`] publishes whole slices for a relay; a [`KafkaConsumer`] gives the records of
//! the partitions that its group assigns, to be judged by [`BusSource`](cqrs_core::BusSource).
//! A [`RequestServer`] answers the requests of one topic on another. Nothing here knows what the events mean.
//!
//! Every constructor that starts a client starts threads of librdkafka's; futures need a Tokio runtime.

mod config;
mod consumer;
mod error;
mod probe;
mod publisher;
mod record;
mod requests;
mod topic;

pub use config::{KafkaConfig, KafkaUrlError, Sasl, SaslMechanism, Secret, Tls};
pub use consumer::KafkaConsumer;
pub use error::{ClientError, TopicError};
pub use probe::KafkaProbe;
pub use publisher::{KafkaPublisher, PublisherOptions};
pub use record::RecordError;
pub use requests::{HandleRequest, Reply, Request, RequestOptions, RequestServer};
pub use topic::ensure_topic;
