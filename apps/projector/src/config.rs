//! The settings of the projector.

use std::net::SocketAddr;

use cqrs_kafka::KafkaConfig;
use cqrs_postgres::{PgOptions, SchemaName};
use http_kit::{ConfigError, Secret, Settings};

/// The usage, with every key.
pub(crate) const HELP: &str = "\
projector: feeds the read model in PostgreSQL from the topic; any number of them share the work

usage:
  projector [flags]             work until SIGTERM or SIGINT
  projector --help | --version

flags, and the environment variables of the same meaning:
  --kafka-brokers LIST     KAFKA_BROKERS         host:port,…, or a kafka:// URL with TLS and login
  --postgres-url URL       POSTGRES_URL          where the read model is
  --mongodb-uri URI        MONGODB_URI           where the log is, read only where the topic lacks something
  --listen ADDR            SOCIAL_LISTEN         where /livez, /readyz and /metrics are (127.0.0.1:8084; port 0: a free one)
  --events-topic NAME      SOCIAL_EVENTS_TOPIC   the topic of the events (social.events)
  --partitions N           SOCIAL_PARTITIONS     partitions of log and topic (4)
  --schema-prefix NAME     SOCIAL_SCHEMA_PREFIX  what the read model's schemas begin with (rm)
  --group NAME             SOCIAL_GROUP          what its consumer groups begin with, the schema follows (social-projector)
  RUST_LOG chooses what is logged to stderr (info).
";

/// What the projector is told.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) kafka: KafkaConfig,
    pub(crate) postgres: PgOptions,
    pub(crate) mongodb: Secret,
    pub(crate) topic: String,
    pub(crate) partitions: u16,
    pub(crate) prefix: SchemaName,
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
        let listen = social_service::listen(&mut settings, 8084);
        let mistake = "neither host:port,… nor a kafka:// URL that can be used";
        let kafka = social_service::engine_as(&mut settings, "KAFKA_BROKERS", mistake, |brokers| {
            KafkaConfig::parse(brokers, "projector")
        });
        let postgres = settings.read("POSTGRES_URL", None);
        let mongodb = social_service::engine(&mut settings, "MONGODB_URI");
        let topic = social_service::events_topic(&mut settings);
        let partitions = social_service::partitions(&mut settings);
        let prefix = social_service::schema_prefix(&mut settings);
        let prefix = prefix.and_then(|prefix| match SchemaName::parse(&prefix) {
            Ok(prefix) => Some(prefix),
            Err(_) => {
                let message = "must be 1 to 40 of a-z, 0-9 and _, a letter first";
                settings.problem("SOCIAL_SCHEMA_PREFIX", message);
                None
            }
        });
        let group = settings.read("SOCIAL_GROUP", Some("social-projector".to_owned()));
        let config = || {
            Some(Self {
                listen: listen?,
                kafka: kafka?,
                postgres: postgres?,
                mongodb: mongodb?,
                topic: topic?,
                partitions: partitions?,
                prefix: prefix?,
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
            "MONGODB_URI",
            "SOCIAL_LISTEN",
            "SOCIAL_EVENTS_TOPIC",
            "SOCIAL_PARTITIONS",
            "SOCIAL_SCHEMA_PREFIX",
            "SOCIAL_GROUP",
        ] {
            assert!(HELP.contains(key) && example.contains(key), "{key}");
        }
    }

    #[test]
    fn the_engines_must_be_named() {
        let problems = Config::read(Settings::new("SOCIAL", |_: &str| None, []));
        let told = problems.unwrap_err().to_string();
        let keys: Vec<_> = told.lines().filter_map(|l| l.split(':').next()).collect();
        assert_eq!(keys, ["KAFKA_BROKERS", "POSTGRES_URL", "MONGODB_URI"]);
    }
}
