//! The settings of the query API.

use std::net::SocketAddr;

use cqrs_postgres::{PgOptions, SchemaName};
use http_kit::{ConfigError, Settings};

/// The usage, with every key.
pub(crate) const HELP: &str = "\
query-api: answers queries from the read model in PostgreSQL

usage:
  query-api [flags]             serve HTTP until SIGTERM or SIGINT
  query-api --help | --version

flags, and the environment variables of the same meaning:
  --postgres-url URL        POSTGRES_URL           where the read model is
  --listen ADDR             SOCIAL_LISTEN          where to listen (127.0.0.1:8082; port 0: a free one)
  --schema-prefix NAME      SOCIAL_SCHEMA_PREFIX   what the read model's schemas begin with (rm)
  --max-connections N       SOCIAL_MAX_CONNECTIONS connections to PostgreSQL at most, 1 to 1000 (16)
  RUST_LOG chooses what is logged to stderr (info).
";

/// What the query API is told.
#[derive(Debug)]
pub(crate) struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) postgres: PgOptions,
    pub(crate) prefix: SchemaName,
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
        let listen = social_service::listen(&mut settings, 8082);
        let postgres = settings.read::<PgOptions>("POSTGRES_URL", None);
        let prefix = prefix(&mut settings);
        let connections = connections(&mut settings);
        let config = || {
            let mut postgres = postgres?;
            postgres.max_connections = connections?;
            Some(Self {
                listen: listen?,
                postgres,
                prefix: prefix?,
            })
        };
        settings.finish_with(config())
    }
}

fn prefix<L: Fn(&str) -> Option<String>>(settings: &mut Settings<L>) -> Option<SchemaName> {
    let prefix = social_service::schema_prefix(settings)?;
    match SchemaName::parse(&prefix) {
        Ok(prefix) => Some(prefix),
        Err(_) => {
            let message = "must be 1 to 40 of a-z, 0-9 and _, a letter first";
            settings.problem("SOCIAL_SCHEMA_PREFIX", message);
            None
        }
    }
}

fn connections<L: Fn(&str) -> Option<String>>(settings: &mut Settings<L>) -> Option<usize> {
    const KEY: &str = "SOCIAL_MAX_CONNECTIONS";
    let connections = settings.read(KEY, Some(16))?;
    if (1..=1_000).contains(&connections) {
        return Some(connections);
    }
    settings.problem(KEY, "must be 1 to 1000");
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usage_and_the_example_name_every_key() {
        let example = include_str!("../.env.example");
        for key in [
            "POSTGRES_URL",
            "SOCIAL_LISTEN",
            "SOCIAL_SCHEMA_PREFIX",
            "SOCIAL_MAX_CONNECTIONS",
        ] {
            assert!(HELP.contains(key) && example.contains(key), "{key}");
        }
    }

    #[test]
    fn every_mistake_is_told_by_key() {
        let wrong = |key: &str| match key {
            "SOCIAL_SCHEMA_PREFIX" => Some("Rm".to_owned()),
            "SOCIAL_MAX_CONNECTIONS" => Some("0".to_owned()),
            _ => None,
        };
        let told = Config::read(Settings::new("SOCIAL", wrong, [])).unwrap_err();
        let keys: Vec<_> = told.problems().iter().map(|p| p.key.as_str()).collect();
        let wanted = [
            "POSTGRES_URL",
            "SOCIAL_SCHEMA_PREFIX",
            "SOCIAL_MAX_CONNECTIONS",
        ];
        assert_eq!(keys, wanted);
    }
}
