//! What a bus promises, on the mock and on real brokers.

use cqrs_core::testing::contract::Brokers;
use cqrs_kafka::{KafkaConfig, KafkaConsumer, KafkaPublisher, ensure_topic};

use crate::support::{Mock, Wait, brokers, mock, publisher, unique};

/// A topic of its own.
struct Topic {
    config: KafkaConfig,
    name: String,
    /// Ends with it.
    _cluster: Option<Mock>,
}

impl Topic {
    fn on_the_mock() -> Self {
        let (cluster, config) = mock(Self::PARTITIONS.into());
        Self {
            config,
            name: "events".to_owned(),
            _cluster: Some(cluster),
        }
    }

    async fn on_the_brokers() -> Self {
        let name = unique("contract");
        ensure_topic(&brokers(), &name, Self::PARTITIONS)
            .await
            .unwrap();
        Self {
            config: brokers(),
            name,
            _cluster: None,
        }
    }
}

impl Brokers for Topic {
    type Publisher = KafkaPublisher;
    type Consumer = KafkaConsumer;
    type Timer = Wait;

    fn publisher(&self) -> KafkaPublisher {
        publisher(&self.config, &self.name)
    }

    fn reader(&self) -> KafkaConsumer {
        KafkaConsumer::read_all(self.config.clone(), &self.name, Self::PARTITIONS).unwrap()
    }

    fn join(&self, group: &str) -> KafkaConsumer {
        let group = format!("{}-{group}", self.name);
        KafkaConsumer::join(self.config.clone(), &self.name, Self::PARTITIONS, group).unwrap()
    }

    async fn leave(&self, member: KafkaConsumer) {
        member.close().await;
    }

    fn timer(&self) -> Wait {
        Wait
    }
}

// Not its groups: the mock has each new one wait for three seconds, and more at each change.
mod on_the_mock {
    cqrs_core::bus_contract!(super::Topic::on_the_mock());
}

mod on_the_brokers {
    cqrs_core::bus_contract!(
        super::Topic::on_the_brokers().await,
        ignore = "needs KAFKA_BROKERS"
    );
    cqrs_core::bus_groups_contract!(
        super::Topic::on_the_brokers().await,
        ignore = "needs KAFKA_BROKERS"
    );
}
