//! The configuration: flags and environment, read once, all mistakes told at once.

use anyhow::Context;
use cqrs_kafka::KafkaConfig;
use cqrs_mongo::{MongoOptions, MongoStore};
use cqrs_postgres::{PgModels, PgOptions, SchemaName};
use http_kit::{ConfigError, Secret, Settings};

use crate::cli::Task;

/// What the process is told. An engine that the task does without may be missing.
#[derive(Debug)]
pub(crate) struct Config {
    mongodb: Option<Secret>,
    postgres: Option<PgOptions>,
    kafka: Option<KafkaConfig>,
    /// The services' own topic.
    pub(crate) topic: String,
    /// How many partitions the log has.
    pub(crate) partitions: u16,
    prefix: SchemaName,
}

/// Which engines a task needs.
#[derive(Debug, Clone, Copy)]
struct Needs {
    log: bool,
    models: bool,
    bus: bool,
}

impl Needs {
    fn of(task: &Task) -> Self {
        let (log, models, bus) = match task {
            Task::Rebuild { .. }
            | Task::Promote { .. }
            | Task::Rollback { .. }
            | Task::Verify { .. }
            | Task::Status => (true, true, false),
            Task::Cancel
            | Task::Retire { .. }
            | Task::ListParked
            | Task::RetryParked { .. }
            | Task::DropParked { .. } => (false, true, false),
            Task::Republish { .. } => (true, false, true),
            Task::Import { .. } => (true, false, false),
            Task::Help | Task::Version => (false, false, false),
        };
        Self { log, models, bus }
    }
}

impl Config {
    /// Reads everything that `task` needs, and checks the rest as far as it is set.
    ///
    /// # Errors
    ///
    /// Every mistake, by key.
    pub(crate) fn read<L: Fn(&str) -> Option<String>>(
        mut settings: Settings<L>,
        task: &Task,
    ) -> Result<Self, ConfigError> {
        let needs = Needs::of(task);
        let mongodb = settings.optional::<Secret>("MONGODB_URI").flatten();
        let postgres = settings.optional::<Secret>("POSTGRES_URL").flatten();
        let kafka = settings.optional::<Secret>("KAFKA_BROKERS").flatten();
        for (key, missing) in [
            ("MONGODB_URI", needs.log && mongodb.is_none()),
            ("POSTGRES_URL", needs.models && postgres.is_none()),
            ("KAFKA_BROKERS", needs.bus && kafka.is_none()),
        ] {
            if missing {
                settings.problem(key, "missing");
            }
        }
        let postgres = postgres.and_then(|url| match PgOptions::parse(url.expose()) {
            Ok(options) => Some(options),
            Err(error) => {
                settings.problem("POSTGRES_URL", error.to_string());
                None
            }
        });
        let parse = |brokers: Secret| KafkaConfig::parse(brokers.expose(), "replay");
        let kafka = kafka.and_then(|brokers| match parse(brokers) {
            Ok(kafka) => Some(kafka),
            Err(error) => {
                settings.problem("KAFKA_BROKERS", error.to_string());
                None
            }
        });
        let topic = social_service::events_topic(&mut settings);
        let partitions = social_service::partitions(&mut settings);
        let prefix = social_service::schema_prefix(&mut settings);
        let prefix = prefix.and_then(|prefix| SchemaName::parse(&prefix).ok());
        if prefix.is_none() {
            let message = "must be 1 to 40 of a-z, 0-9 and _, a letter first";
            settings.problem("SOCIAL_SCHEMA_PREFIX", message);
        }
        let config = || {
            Some(Self {
                mongodb,
                postgres,
                kafka,
                topic: topic?,
                partitions: partitions?,
                prefix: prefix?,
            })
        };
        settings.finish_with(config())
    }

    /// How the log is opened.
    pub(crate) fn log_options(&self) -> MongoOptions {
        let uri = self.mongodb.as_ref().map_or("", Secret::expose);
        MongoOptions {
            partitions: self.partitions,
            ..MongoOptions::new(uri, social_service::log_database(uri))
        }
    }

    /// Opens the log.
    pub(crate) async fn log(&self) -> anyhow::Result<MongoStore> {
        Ok(MongoStore::open(self.log_options()).await?)
    }

    /// The versions of the read model.
    pub(crate) fn models(&self) -> anyhow::Result<PgModels> {
        let Some(options) = &self.postgres else {
            anyhow::bail!("POSTGRES_URL: missing");
        };
        Ok(PgModels::new(options.pool()?, &self.prefix))
    }

    /// The brokers.
    pub(crate) fn kafka(&self) -> anyhow::Result<KafkaConfig> {
        self.kafka.clone().context("KAFKA_BROKERS: missing")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(environment: &[(&str, &str)], task: &Task) -> Result<Config, String> {
        let lookup = |key: &str| {
            let found = environment.iter().find(|(known, _)| *known == key);
            found.map(|(_, value)| (*value).to_owned())
        };
        let read = Config::read(Settings::new("SOCIAL", lookup, []), task);
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn only_what_the_task_needs_is_missed() {
        let topic = "other".to_owned();
        for (task, told) in [
            (Task::Status, "MONGODB_URI: missing\nPOSTGRES_URL: missing"),
            (Task::Cancel, "POSTGRES_URL: missing"),
            (
                Task::Republish { topic },
                "MONGODB_URI: missing\nKAFKA_BROKERS: missing",
            ),
            (Task::Import { from: None }, "MONGODB_URI: missing"),
        ] {
            assert_eq!(read(&[], &task).unwrap_err(), told);
        }
    }

    #[test]
    fn every_mistake_is_told_and_no_value() {
        let environment = [
            ("POSTGRES_URL", "hunter2"),
            (
                "KAFKA_BROKERS",
                "kafka://hunter2:hunter2@h:1?mechanism=hunter2",
            ),
            ("SOCIAL_PARTITIONS", "hunter2"),
            ("SOCIAL_SCHEMA_PREFIX", "Hunter2"),
        ];
        let told = read(&environment, &Task::Status).unwrap_err();
        let keys: Vec<_> = told.lines().filter_map(|l| l.split(':').next()).collect();
        let wanted = [
            "MONGODB_URI",
            "POSTGRES_URL",
            "KAFKA_BROKERS",
            "SOCIAL_PARTITIONS",
            "SOCIAL_SCHEMA_PREFIX",
        ];
        assert_eq!(keys, wanted);
        assert!(!told.to_lowercase().contains("hunter2"), "{told}");
    }

    #[test]
    fn the_defaults_are_those_of_the_services() {
        let environment = [
            ("MONGODB_URI", "mongodb://h/"),
            ("POSTGRES_URL", "postgres://h/d"),
        ];
        let config = read(&environment, &Task::Status).unwrap();
        let log = config.log_options();
        assert_eq!((log.database.as_str(), log.partitions), ("social", 4));
        assert_eq!(config.topic, "social.events");
        assert_eq!(config.prefix.as_str(), "rm");
    }
}
