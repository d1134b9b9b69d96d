//! The configuration: flags and environment, read once, all mistakes told at once.

use std::net::SocketAddr;
use std::num::NonZeroUsize;

use cqrs_kafka::KafkaConfig;
use cqrs_mongo::{MongoOptions, Tailing};
use cqrs_mssql::MssqlOptions;
use cqrs_postgres::{PgOptions, PgPool};
use http_kit::{ConfigError, Settings};
use social_api::Authentication;

/// The usage, with every key.
pub(crate) const HELP: &str = "\
command-api: takes the commands, by HTTP and by message

usage:
  command-api [flags]           serve until SIGTERM or SIGINT
  command-api --help | --version

flags, and the environment variables of the same meaning:
  --listen ADDR             SOCIAL_LISTEN                where to listen (127.0.0.1:8081; port 0: a free one)
  --auth off|jwt            SOCIAL_AUTH                  who is asking: the header X-Actor, or a bearer token (off)
  --jwt-key TEXT            SOCIAL_JWT_KEY               HS256 secret, at least 32 bytes
  --jwt-public-key PEM      SOCIAL_JWT_PUBLIC_KEY        public key: EdDSA, RS256 or ES256
  --jwt-issuer TEXT         SOCIAL_JWT_ISSUER            the issuer that tokens must have
  --jwt-audience TEXT       SOCIAL_JWT_AUDIENCE          the audience that tokens must have
  --mongodb-uri URI         MONGODB_URI                  the log; its path names the database (social)
  --partitions N            SOCIAL_PARTITIONS            partitions of the log, fixed when it is made (4)
  --mssql-url URL           MSSQL_URL                    the ledger on SQL Server, where it is set
  --postgres-url URL        POSTGRES_URL                 the ledger on PostgreSQL, where MSSQL_URL is not set
  --kafka-brokers LIST      KAFKA_BROKERS                host:port,…, or a kafka:// URL with TLS and login: commands by message; none where it is not set
  --commands-topic NAME     SOCIAL_COMMANDS_TOPIC        where commands come from (social.commands)
  --replies-topic NAME      SOCIAL_REPLIES_TOPIC         where their answers go (social.replies)
  --commands-concurrency N  SOCIAL_COMMANDS_CONCURRENCY  how many of them run at once (64)
  RUST_LOG chooses what is logged to stderr (info).
";

/// What the service is told.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where it listens; port 0 picks a free one.
    pub(crate) listen: SocketAddr,
    /// Who is asking.
    pub(crate) authentication: Authentication,
    /// The log.
    pub(crate) log: MongoOptions,
    /// The ledger.
    pub(crate) ledger: LedgerConfig,
    /// Commands by message, where there are any.
    pub(crate) messages: Option<MessagesConfig>,
}

/// Where the ledger is.
#[derive(Debug, Clone)]
pub(crate) enum LedgerConfig {
    Mssql(Box<MssqlOptions>),
    Postgres(PgPool),
}

/// Where commands come from.
#[derive(Debug, Clone)]
pub(crate) struct MessagesConfig {
    pub(crate) kafka: KafkaConfig,
    pub(crate) commands: String,
    pub(crate) replies: String,
    pub(crate) concurrency: NonZeroUsize,
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
        let edge = social_service::listen_authenticated(&mut settings, 8081);
        let mistake = "not a MongoDB connection string";
        let log = social_service::engine_as(&mut settings, "MONGODB_URI", mistake, |uri| {
            MongoOptions::parse(uri, social_service::log_database(uri))
        });
        let partitions = social_service::partitions(&mut settings);
        let ledger = ledger(&mut settings);
        let messages = messages(&mut settings);
        let config = || {
            let ((listen, authentication), log, partitions) = (edge?, log?, partitions?);
            Some(Self {
                listen,
                authentication,
                log: MongoOptions {
                    partitions,
                    // Only the ledger's fold follows the log here.
                    tailing: Tailing::Loose,
                    ..log
                },
                ledger: ledger?,
                messages: messages?,
            })
        };
        settings.finish_with(config())
    }
}

fn ledger<L: Fn(&str) -> Option<String>>(settings: &mut Settings<L>) -> Option<LedgerConfig> {
    let mistake = "not an mssql:// URL or a connection string that can be used";
    let parse = |url: &str| MssqlOptions::parse(url);
    let mssql = social_service::optional_engine_as(settings, "MSSQL_URL", mistake, parse);
    let mistake = "not a postgres:// URL that can be used";
    let parse = |url: &str| PgOptions::parse(url)?.pool();
    let postgres = social_service::optional_engine_as(settings, "POSTGRES_URL", mistake, parse);
    match (mssql?, postgres?) {
        (Some(options), _) => Some(LedgerConfig::Mssql(Box::new(options))),
        (None, Some(pool)) => Some(LedgerConfig::Postgres(pool)),
        (None, None) => {
            settings.problem("MSSQL_URL", "missing, and so is POSTGRES_URL");
            None
        }
    }
}

/// Reads the keys whether they are used or not, so that their flags are known either way.
fn messages<L: Fn(&str) -> Option<String>>(
    settings: &mut Settings<L>,
) -> Option<Option<MessagesConfig>> {
    let mistake = "neither host:port,… nor a kafka:// URL that can be used";
    let parse = |brokers: &str| KafkaConfig::parse(brokers, "command-api");
    let kafka = social_service::optional_engine_as(settings, "KAFKA_BROKERS", mistake, parse);
    let commands = settings.read("SOCIAL_COMMANDS_TOPIC", Some("social.commands".to_owned()));
    let replies = settings.read("SOCIAL_REPLIES_TOPIC", Some("social.replies".to_owned()));
    let concurrency = settings.read("SOCIAL_COMMANDS_CONCURRENCY", NonZeroUsize::new(64));
    let (commands, replies, concurrency) = (commands?, replies?, concurrency?);
    Some(kafka?.map(|kafka| MessagesConfig {
        kafka,
        commands,
        replies,
        concurrency,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONGO: (&str, &str) = ("MONGODB_URI", "mongodb://h:1/log");
    const POSTGRES: (&str, &str) = ("POSTGRES_URL", "postgres://a:hunter2@h:1/d");

    fn read(environment: &[(&str, &str)]) -> Result<Config, String> {
        let lookup = |key: &str| {
            let found = environment.iter().find(|(known, _)| *known == key);
            found.map(|(_, value)| (*value).to_owned())
        };
        let read = Config::read(Settings::new("SOCIAL", lookup, []));
        read.map_err(|error| error.to_string())
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = read(&[MONGO, POSTGRES]).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8081");
        assert_eq!(config.log.database, "log");
        assert!(config.messages.is_none());
        assert!(matches!(config.ledger, LedgerConfig::Postgres(_)));
        let kafka = read(&[MONGO, POSTGRES, ("KAFKA_BROKERS", "h:1")]).unwrap();
        let messages = kafka.messages.unwrap();
        assert_eq!(messages.commands, "social.commands");
        assert_eq!(messages.replies, "social.replies");
    }

    #[test]
    fn the_ledger_is_on_sql_server_where_it_is_named() {
        let mssql = ("MSSQL_URL", "mssql://a:hunter2@h:1/d");
        for environment in [&[MONGO, mssql][..], &[MONGO, mssql, POSTGRES]] {
            let config = read(environment).unwrap();
            assert!(matches!(config.ledger, LedgerConfig::Mssql(_)));
        }
        let told = read(&[MONGO, ("MSSQL_URL", "hunter2"), POSTGRES]).unwrap_err();
        assert!(told.starts_with("MSSQL_URL: not an mssql://"), "{told}");
    }

    #[test]
    fn every_mistake_is_told_and_no_value() {
        let told = read(&[
            ("SOCIAL_LISTEN", "hunter2"),
            ("MONGODB_URI", "hunter2"),
            ("POSTGRES_URL", "hunter2"),
            ("SOCIAL_COMMANDS_CONCURRENCY", "0"),
        ]);
        let told = told.unwrap_err();
        let keys: Vec<_> = told.lines().filter_map(|l| l.split(':').next()).collect();
        let expected = [
            "SOCIAL_LISTEN",
            "MONGODB_URI",
            "POSTGRES_URL",
            "SOCIAL_COMMANDS_CONCURRENCY",
        ];
        assert_eq!(keys, expected);
        assert!(!told.contains("hunter2"), "{told}");
        assert!(
            read(&[MONGO])
                .unwrap_err()
                .starts_with("MSSQL_URL: missing")
        );
        assert!(read(&[]).unwrap_err().contains("MONGODB_URI: missing"));
    }

    #[test]
    fn the_usage_and_the_example_name_every_key() {
        let example = include_str!("../.env.example");
        let lines = example.lines().filter(|line| !line.starts_with('#'));
        for (key, _) in lines.filter_map(|line| line.split_once('=')) {
            assert!(HELP.contains(key), "{key}");
        }
        let keys = HELP.split_whitespace().filter(|word| {
            let shouted = |c: char| c.is_ascii_uppercase() || c == '_';
            word.contains('_') && word.chars().all(shouted)
        });
        let mut count = 0;
        for key in keys {
            assert!(example.contains(&format!("{key}=")), "{key}");
            count += 1;
        }
        assert!(count >= 14);
    }
}
