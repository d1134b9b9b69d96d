//! How to reach the server: one URL, a pool that connects when it is used.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use cqrs_core::BoxError;
use deadpool_postgres::{Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::Config;

use crate::tls::{self, Trust};

/// A pool of connections. Cheap to clone; clones share the connections.
pub type PgPool = Pool;

/// Where the server is and how long to wait for it.
///
/// The URL is libpq's: `postgres://user:password@host:port/database?sslmode=…`.
///
/// | `sslmode` | what it does |
/// |---|---|
/// | `disable` | no TLS |
/// | `prefer` (default) | TLS where the server offers it, its certificate unchecked |
/// | `require` | TLS or nothing; the certificate is checked only where `sslrootcert` is given, as libpq does |
/// | `verify-full` | TLS, chain and host name checked against `sslrootcert`, or else the system's roots |
///
/// # Example
///
/// ```
/// use cqrs_postgres::PgOptions;
///
/// let options = PgOptions::parse("postgres://social@localhost/social?sslmode=disable")?;
/// assert_eq!(options.max_connections, 16);
/// # Ok::<(), cqrs_postgres::OptionsError>(())
/// ```
#[derive(Clone)]
pub struct PgOptions {
    config: Config,
    trust: Option<Trust>,
    /// The most connections, from 1; 16 unless told.
    pub max_connections: usize,
    /// How long to try to connect to one host; 5 s unless the URL says `connect_timeout`.
    pub connect_timeout: Duration,
    /// How long to wait for a free connection; 5 s unless told.
    pub wait_timeout: Duration,
    /// After how long the server gives a statement up; 30 s unless told.
    pub statement_timeout: Duration,
}

/// Why options are not taken. Never shows the URL, which may hold a password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// It is no `postgres://` URL.
    #[error("not a `postgres://` URL")]
    NotAUrl,
    /// The URL has a part that is not understood.
    #[error("could not read the URL")]
    Url(#[source] tokio_postgres::Error),
    /// The `sslmode` is unknown.
    #[error("`sslmode` must be disable, prefer, require or verify-full, not `{0}`")]
    SslMode(String),
    /// The roots of trust could not be read.
    #[error("could not read the certificates to trust")]
    Certificates(#[source] BoxError),
    /// The pool cannot be made so.
    #[error("could not make the pool")]
    Pool(#[source] BoxError),
}

impl PgOptions {
    /// Reads a URL.
    ///
    /// # Errors
    ///
    /// [`OptionsError`].
    pub fn parse(url: &str) -> Result<Self, OptionsError> {
        let scheme = ["postgres://", "postgresql://"];
        if !scheme.iter().any(|scheme| url.starts_with(scheme)) {
            return Err(OptionsError::NotAUrl);
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut mode, mut roots) = ("prefer", None);
        let mut rest = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", value)) => mode = value,
                Some(("sslrootcert", value)) => roots = Some(PathBuf::from(value)),
                _ => rest.push(pair),
            }
        }
        let (known, trust) = match (mode, roots) {
            ("disable", _) => ("disable", None),
            ("prefer", _) => ("prefer", Some(Trust::Anyone)),
            ("require", None) => ("require", Some(Trust::Anyone)),
            ("require", Some(file)) => ("require", Some(Trust::Roots(file))),
            ("verify-full", None) => ("require", Some(Trust::System)),
            ("verify-full", Some(file)) => ("require", Some(Trust::Roots(file))),
            (other, _) => return Err(OptionsError::SslMode(other.to_owned())),
        };
        let mode = format!("sslmode={known}");
        rest.push(&mode);
        let config: Config = format!("{base}?{}", rest.join("&"))
            .parse()
            .map_err(OptionsError::Url)?;
        let connect_timeout = config.get_connect_timeout().copied();
        Ok(Self {
            config,
            trust,
            max_connections: 16,
            connect_timeout: connect_timeout.unwrap_or(Duration::from_secs(5)),
            wait_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
        })
    }

    /// The database that the URL names.
    #[must_use]
    pub fn database(&self) -> Option<&str> {
        self.config.get_dbname()
    }

    /// The same server, another database.
    #[must_use]
    pub fn with_database(mut self, name: &str) -> Self {
        self.config.dbname(name);
        self
    }

    /// Makes the pool. It connects when it is first used, and again whenever a connection is lost.
    ///
    /// # Errors
    ///
    /// [`OptionsError::Certificates`], [`OptionsError::Pool`].
    pub fn pool(&self) -> Result<PgPool, OptionsError> {
        let mut config = self.config.clone();
        let millis = self.statement_timeout.as_millis();
        let given = config.get_options().unwrap_or_default();
        let options = format!("{given} -c statement_timeout={millis}");
        config
            .options(options.trim_start())
            .connect_timeout(self.connect_timeout)
            // A server that vanished without a word is given up after this long.
            .tcp_user_timeout(Duration::from_secs(10))
            .keepalives_idle(Duration::from_secs(10));
        if config.get_application_name().is_none() {
            config.application_name("cqrs");
        }
        let recycling = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = match &self.trust {
            None => Manager::from_config(config, tokio_postgres::NoTls, recycling),
            Some(trust) => {
                let connector = tls::connector(trust).map_err(OptionsError::Certificates)?;
                Manager::from_config(config, connector, recycling)
            }
        };
        Pool::builder(manager)
            .max_size(self.max_connections.max(1))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(self.wait_timeout))
            .create_timeout(Some(self.connect_timeout.saturating_mul(2)))
            .build()
            .map_err(|error| OptionsError::Pool(error.into()))
    }
}

/// As [`PgOptions::parse`].
impl FromStr for PgOptions {
    type Err = OptionsError;

    fn from_str(url: &str) -> Result<Self, OptionsError> {
        Self::parse(url)
    }
}

impl fmt::Debug for PgOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgOptions")
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssl_modes_are_read_and_the_rest_is_kept() {
        for mode in ["disable", "prefer", "require", "verify-full"] {
            let url = format!("postgres://a:b@h:1/d?application_name=x&sslmode={mode}");
            let options = PgOptions::parse(&url).unwrap();
            assert_eq!(options.config.get_application_name(), Some("x"));
            assert_eq!(options.trust.is_none(), mode == "disable");
        }
        let unknown = PgOptions::parse("postgres://h/d?sslmode=allow");
        assert!(matches!(unknown, Err(OptionsError::SslMode(_))));
        assert!(matches!(
            PgOptions::parse("host=h"),
            Err(OptionsError::NotAUrl)
        ));
    }

    #[test]
    fn a_password_is_not_shown() {
        let options = PgOptions::parse("postgres://a:secret@h/d").unwrap();
        assert!(!format!("{options:?}").contains("secret"));
        let error = PgOptions::parse("postgres://a:secret@h:port/d").unwrap_err();
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_met_only_in_use() {
        let options = PgOptions::parse("postgres://a@127.0.0.1:1/d").unwrap();
        let pool = options.pool().unwrap();
        assert!(pool.get().await.is_err());
    }

    #[test]
    fn a_missing_certificate_file_is_told() {
        let url = "postgres://h/d?sslmode=verify-full&sslrootcert=no/such/file";
        let pool = PgOptions::parse(url).unwrap().pool();
        assert!(matches!(pool, Err(OptionsError::Certificates(_))));
    }
}
