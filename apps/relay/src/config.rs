//! The configuration: flags and environment, read once, all mistakes told at once.

use std::net::SocketAddr;

use cqrs_kafka::KafkaConfig;
use cqrs_mongo::MongoOptions;
use http_kit::{ConfigError, Settings};

/// The usage, with every key.
pub(crate) const HELP: &str = "\
relay: publishes the log to Kafka; several share the partitions

usage:
  relay [flags]           run until SIGTERM or SIGINT
  relay --help | --version

flags, and the environment variables of the same meaning:
  --listen ADDR         SOCIAL_LISTEN        where /livez, /readyz and /metrics are (127.0.0.1:8083; port 0: a free one)
  --mongodb-uri URI     MONGODB_URI          the log; its path names the database (social)
  --partitions N        SOCIAL_PARTITIONS    partitions of the log and of the topic, fixed when they are made (4)
  --kafka-brokers LIST  KAFKA_BROKERS        host:port,…, or a kafka:// URL with TLS and login
  --events-topic NAME   SOCIAL_EVENTS_TOPIC  where the events go (social.events)
  RUST_LOG chooses what is logged to stderr (info).
";

/// What the service is told.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where it listens; port 0 picks a free one.
    pub(crate) listen: SocketAddr,
    /// The log.
    pub(crate) log: MongoOptions,
    /// The brokers.
    pub(crate) kafka: KafkaConfig,
    /// Where the events go.
    pub(crate) topic: String,
}

impl Config {
    /// Reads everything.
    ///
    /// # Errors
    ///
    /// Every mistake, by key.
    pub(crate) fn read<L: Fn(&str) -> Option<String>>(
        mut settings: Settings<L>,
    ) -> Result<Self, ConfigError> {
        let listen = social_service::listen(&mut settings, 8083);
        let mistake = "not a MongoDB connection string";
        let log = social_service::engine_as(&mut settings, "MONGODB_URI", mistake, |uri| {
            MongoOptions::parse(uri, social_service::log_database(uri))
        });
        let partitions = social_service::partitions(&mut settings);
        let mistake = "neither host:port,… nor a kafka:// URL that can be used";
        let kafka = social_service::engine_as(&mut settings, "KAFKA_BROKERS", mistake, |brokers| {
            KafkaConfig::parse(brokers, "relay")
        });
        let topic = social_service::events_topic(&mut settings);
        let config = || {
            let (log, partitions) = (log?, partitions?);
            Some(Self {
                listen: listen?,
                log: MongoOptions { partitions, ..log },
                kafka: kafka?,
                topic: topic?,
            })
        };
        settings.finish_with(config())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(environment: &[(&str, &str)]) -> Result<Config, String> {
        let lookup = |key: &str| {
            let found = environment.iter().find(|(known, _)| *known == key);
            found.map(|(_, value)| (*value).to_owned())
        };
        let read = Config::read(Settings::new("SOCIAL", lookup, []));
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_not_set_is_told_at_once_or_has_a_default() {
        let told = read(&[]).unwrap_err();
        assert_eq!(told, "MONGODB_URI: missing\nKAFKA_BROKERS: missing");
        let config = read(&[("MONGODB_URI", "mongodb://h"), ("KAFKA_BROKERS", "a:1,b:2")]);
        let config = config.unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8083");
        assert_eq!(config.log.database, "social");
        assert_eq!(config.topic, "social.events");
    }

    #[test]
    fn the_usage_and_the_example_name_every_key() {
        let example = include_str!("../.env.example");
        for key in [
            "SOCIAL_LISTEN",
            "MONGODB_URI",
            "SOCIAL_PARTITIONS",
            "KAFKA_BROKERS",
            "SOCIAL_EVENTS_TOPIC",
        ] {
            let told = HELP.contains(key) && example.contains(&format!("{key}="));
            assert!(told, "{key}");
        }
    }
}
