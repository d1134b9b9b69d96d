//! What can go wrong, where a caller branches on it.

use cqrs_core::{BoxError, BusError};

/// A client could not be made: its settings are refused, as by a build without the feature `ssl`.
#[derive(Debug, thiserror::Error)]
#[error("the kafka client refuses its settings")]
pub struct ClientError {
    /// What the client said.
    #[source]
    pub source: BoxError,
}

/// Why a topic is not fit to be the bus.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// Its partitions are not the log's. Partition *i* must be partition *i*, for ever: make another topic.
    #[error("topic `{topic}` has {actual} partitions, the log has {expected}")]
    Partitions {
        /// The topic.
        topic: String,
        /// How many the log has.
        expected: u16,
        /// How many the topic has.
        actual: usize,
    },
    /// It would lose history. A human must change it.
    #[error("topic `{topic}` has {setting}={actual}, expected {expected}")]
    Setting {
        /// The topic.
        topic: String,
        /// Which setting.
        setting: &'static str,
        /// What it must be.
        expected: &'static str,
        /// What it is.
        actual: String,
    },
    /// The brokers did not answer. Ask again.
    #[error("could not look at topic `{topic}`")]
    Broker {
        /// The topic.
        topic: String,
        /// What they said.
        source: BoxError,
    },
}

pub(crate) fn bus(source: impl Into<BoxError>) -> BusError {
    BusError {
        source: source.into(),
    }
}

pub(crate) fn client(source: rdkafka::error::KafkaError) -> ClientError {
    ClientError {
        source: source.into(),
    }
}
