//! The configuration: flags and environment, read once, all mistakes told at once.

use std::net::SocketAddr;
use std::path::PathBuf;

use http_kit::{ConfigError, Settings};
use social_api::Authentication;

/// What the server is told.
#[derive(Debug)]
pub(crate) struct Config {
    /// Where it listens; port 0 picks a free one.
    pub(crate) listen: SocketAddr,
    /// The directory of the store.
    pub(crate) data: PathBuf,
    /// Who is asking.
    pub(crate) authentication: Authentication,
}

impl Config {
    /// Reads everything that serving needs.
    ///
    /// # Errors
    ///
    /// Every mistake, by key.
    pub(crate) fn read<L: Fn(&str) -> Option<String>>(
        mut settings: Settings<L>,
    ) -> Result<Self, ConfigError> {
        let edge = social_service::listen_authenticated(&mut settings, 8080);
        let data = data(&mut settings);
        let config = || {
            let (listen, authentication) = edge?;
            Some(Self {
                listen,
                data: data?,
                authentication,
            })
        };
        settings.finish_with(config())
    }
}

/// Reads the data directory, all that the offline commands need.
///
/// # Errors
///
/// Every mistake, by key.
pub(crate) fn data_only<L: Fn(&str) -> Option<String>>(
    mut settings: Settings<L>,
) -> Result<PathBuf, ConfigError> {
    let data = data(&mut settings);
    settings.finish_with(data)
}

fn data<L: Fn(&str) -> Option<String>>(settings: &mut Settings<L>) -> Option<PathBuf> {
    settings.read("SOCIAL_DATA", Some(PathBuf::from("./social-data")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = Config::read(Settings::new("SOCIAL", |_: &str| None, [])).unwrap();
        assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
        assert_eq!(config.data, PathBuf::from("./social-data"));
        assert!(matches!(config.authentication, Authentication::Off));
    }
}
