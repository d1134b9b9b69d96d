//! The settings of `activity`.

use std::net::SocketAddr;

use cqrs_kafka::KafkaConfig;
use cqrs_postgres::{PgOptions, SchemaName};
use http_kit::{ConfigError, Settings};

/// The usage, with every key.
pub(crate) const HELP: &str = "\
activity: for each author what happened to their posts, from the topic alone

usage:
  activity [flags]              work and serve HTTP until SIGTERM or SIGINT
  activity --help | --version

flags, and the environment variables of the same meaning:
  --kafka-brokers LIST     KAFKA_BROKERS           host:port,…, or a kafka:// URL with TLS and login
  --postgres-url URL       POSTGRES_URL            where it keeps what it needs
  --listen ADDR            SOCIAL_LISTEN           where to listen (127.0.0.1:8085; port 0: a free one)
  --events-topic NAME      SOCIAL_EVENTS_TOPIC     the topic of the events (social.events)
  --partitions N           SOCIAL_PARTITIONS       partitions of the topic (4)
  --activity-schema NAME   SOCIAL_ACTIVITY_SCHEMA  what its schemas begin with (activity)
  --group NAME             SOCIAL_GROUP            its consumer group, the schema follows (social-activity)
  RUST_LOG chooses what is logged to stderr (info).
";

/// What it is told.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) kafka: KafkaConfig,
    pub(crate) postgres: PgOptions,
    pub(crate) topic: String,
    pub(crate) partitions: u16,
    pub(crate) schema: SchemaName,
    pub(crate) group: String,
}

impl Config {
    /// Reads all settings.
    ///
    /// # Errors
    ///
    /// All mistakes, by key.
    pub(crate) fn read<L: Fn(&str) -> Option<String>>(
        mut settings: Settings<L>,
    ) -> Result<Self, ConfigError> {
        let listen = social_service::listen(&mut settings, 8085);
        let mistake = "neither host:port,… nor a kafka:// URL that can be used";
        let kafka = social_service::engine_as(&mut settings, "KAFKA_BROKERS", mistake, |brokers| {
            KafkaConfig::parse(brokers, "activity")
        });
        let postgres = settings.read("POSTGRES_URL", None);
        let topic = social_service::events_topic(&mut settings);
        let partitions = social_service::partitions(&mut settings);
        let schema = SchemaName::parse("activity").ok();
        let schema = settings.read("SOCIAL_ACTIVITY_SCHEMA", schema);
        let group = settings.read("SOCIAL_GROUP", Some("social-activity".to_owned()));
        let config = || {
            Some(Self {
                listen: listen?,
                kafka: kafka?,
                postgres: postgres?,
                topic: topic?,
                partitions: partitions?,
                schema: schema?,
                group: group?,
            })
        };
        settings.finish_with(config())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_and_the_example_name_every_key() {
        let example = include_str!("../.env.example");
        for key in [
            "KAFKA_BROKERS",
            "POSTGRES_URL",
            "SOCIAL_LISTEN",
            "SOCIAL_EVENTS_TOPIC",
            "SOCIAL_PARTITIONS",
            "SOCIAL_ACTIVITY_SCHEMA",
            "SOCIAL_GROUP",
        ] {
            assert!(HELP.contains(key) && example.contains(key), "{key}");
        }
    }
}
