//! Asks the brokers how they do.

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::BusError;
use rdkafka::producer::{BaseProducer, Producer};

use crate::error::{bus, client};
use crate::{ClientError, KafkaConfig};

/// How long the brokers may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// A client that does nothing but ask. Cheap to clone.
#[derive(Clone)]
pub struct KafkaProbe {
    client: Arc<BaseProducer>,
    topic: Arc<str>,
}

impl KafkaProbe {
    /// Asks for `topic`. Does not connect yet.
    ///
    /// # Errors
    ///
    /// [`ClientError`]: the settings are refused.
    pub fn new(config: &KafkaConfig, topic: &str) -> Result<Self, ClientError> {
        let asking = config.client().create().map_err(client)?;
        Ok(Self {
            client: Arc::new(asking),
            topic: topic.into(),
        })
    }

    /// Asks for the topic's partitions, all of which must have a leader.
    ///
    /// # Errors
    ///
    /// [`BusError`]: nobody answered within four seconds, or the topic is not there, or not whole.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing; the question may go on for four seconds.
    pub async fn ask(&self) -> Result<(), BusError> {
        let (client, topic) = (Arc::clone(&self.client), Arc::clone(&self.topic));
        let asked = tokio::task::spawn_blocking(move || {
            let metadata = client.client().fetch_metadata(Some(&topic), PATIENCE);
            let metadata = metadata.map_err(bus)?;
            let found = metadata
                .topics()
                .iter()
                .find(|found| found.name() == &*topic);
            let partitions = found.map_or(&[][..], |found| found.partitions());
            match partitions.iter().all(|partition| partition.leader() >= 0) {
                true if !partitions.is_empty() => Ok(()),
                true => Err(bus(format!("there is no topic `{topic}`"))),
                false => Err(bus(format!("a partition of `{topic}` has no leader"))),
            }
        });
        asked.await.map_err(bus)?
    }
}

impl std::fmt::Debug for KafkaProbe {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaProbe")
            .field("topic", &self.topic)
            .finish_non_exhaustive()
    }
}
