//! How to reach the server: a URL or a connection string, and limits.

mod ado;
mod url;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tiberius::{AuthMethod, Config, EncryptionLevel};

use crate::name::SchemaName;

/// Where the server is, whom to trust, and how long to wait.
///
/// Either a URL, `mssql://user:password@host:port/database?encrypt=…&trust=…&schema=…`, with what is not plain
/// percent-encoded, or a connection string as ADO.NET takes it, `Server=host,port;Database=…;User Id=…;Password=…`.
///
/// | URL | connection string | |
/// |---|---|---|
/// | `encrypt=on` (default) | `Encrypt=true` | TLS or nothing |
/// | `encrypt=login` | `Encrypt=false` | TLS for the login only |
/// | `encrypt=off` | `Encrypt=DANGER_PLAINTEXT` | no TLS, for a server on the same machine |
/// | `trust=system` (default) | `TrustServerCertificate=false` | the certificate is checked against the system's roots |
/// | `trust=FILE` | `TrustServerCertificateCA=FILE` | it is checked against the roots in that PEM file |
/// | `trust=any` | `TrustServerCertificate=true` | it is not checked |
/// | `schema=cqrs_ledger` (default) | – | the schema of the tables |
///
/// Where the database is missing, it is made by the first connection, if the user may make one; with it and the
/// tables in it, all else of the ledger is made from the log.
///
/// # Example
///
/// ```
/// use cqrs_mssql::MssqlOptions;
///
/// let options = MssqlOptions::parse("mssql://social:pass%20word@db.example:1433/social")?;
/// assert_eq!(options.max_connections, 16);
/// # Ok::<(), cqrs_mssql::OptionsError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct MssqlOptions {
    host: String,
    port: u16,
    database: Option<String>,
    user: String,
    password: String,
    encrypt: Encrypt,
    trust: Trust,
    schema: SchemaName,
    /// The most connections, from 1; 16 unless told.
    pub max_connections: usize,
    /// The most calls that wait for a connection; 1,024 unless told. What is more is told at once that there is no room.
    pub max_waiting: usize,
    /// How long a call waits for a connection; 2 s unless told.
    pub wait_timeout: Duration,
    /// How long to try to connect and to log in; 5 s unless told.
    pub connect_timeout: Duration,
    /// After how long a call is given up, and its connection with it; 10 s unless told.
    pub call_timeout: Duration,
    /// After how long the making of the database or of one version of the tables is given up; 2 min unless told.
    pub make_timeout: Duration,
    /// After how long a connection is replaced; 30 min unless told.
    pub max_lifetime: Duration,
    /// After how long an unused connection is closed; 10 min unless told.
    pub max_idle: Duration,
}

/// Why options are not taken. Never shows a value, nor any text of which it is unclear whether it is one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OptionsError {
    /// It is neither a URL nor a connection string.
    #[error("neither an `mssql://` URL nor a connection string of `key=value;` pairs")]
    Unreadable,
    /// Something is missing.
    #[error("`{key}` is missing")]
    Missing {
        /// What.
        key: &'static str,
    },
    /// A value cannot be used.
    #[error("`{key}` must be {expected}")]
    Invalid {
        /// Whose.
        key: &'static str,
        /// What would do.
        expected: &'static str,
    },
    /// A key is not known.
    #[error("key {nth} is none of {known}")]
    Unknown {
        /// Which, from 1; its name may be part of a password that was not quoted.
        nth: usize,
        /// Those that are.
        known: &'static str,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encrypt {
    All,
    Login,
    Nothing,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Trust {
    System,
    Roots(PathBuf),
    Anyone,
}

/// What was read, before it is known to be all.
#[derive(Default)]
struct Parts {
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    user: Option<String>,
    password: Option<String>,
    encrypt: Option<Encrypt>,
    trust: Option<Trust>,
    schema: Option<SchemaName>,
    connect_timeout: Option<Duration>,
    call_timeout: Option<Duration>,
}

impl MssqlOptions {
    /// Reads a URL or a connection string.
    ///
    /// # Errors
    ///
    /// [`OptionsError`].
    pub fn parse(text: &str) -> Result<Self, OptionsError> {
        let parts = match text.strip_prefix("mssql://") {
            Some(rest) => url::read(rest)?,
            None if text.contains("://") => return Err(OptionsError::Unreadable),
            None => ado::read(text)?,
        };
        let given = |part: Option<String>, key| {
            let part = part.filter(|part| !part.is_empty());
            part.ok_or(OptionsError::Missing { key })
        };
        let schema = match parts.schema {
            Some(schema) => schema,
            None => schema("cqrs_ledger")?,
        };
        Ok(Self {
            host: given(parts.host, "host")?,
            port: parts.port.unwrap_or(1433),
            database: parts.database.filter(|name| !name.is_empty()),
            user: given(parts.user, "user")?,
            password: given(parts.password, "password")?,
            encrypt: parts.encrypt.unwrap_or(Encrypt::All),
            trust: parts.trust.unwrap_or(Trust::System),
            schema,
            max_connections: 16,
            max_waiting: 1_024,
            wait_timeout: Duration::from_secs(2),
            connect_timeout: parts.connect_timeout.unwrap_or(Duration::from_secs(5)),
            call_timeout: parts.call_timeout.unwrap_or(Duration::from_secs(10)),
            make_timeout: Duration::from_secs(2 * 60),
            max_lifetime: Duration::from_secs(30 * 60),
            max_idle: Duration::from_secs(10 * 60),
        })
    }

    /// The same server and database, tables in another schema.
    #[must_use]
    pub fn with_schema(mut self, schema: SchemaName) -> Self {
        self.schema = schema;
        self
    }

    /// The same, at another address: where a proxy stands before the server.
    #[must_use]
    pub fn with_address(mut self, host: &str, port: u16) -> Self {
        host.clone_into(&mut self.host);
        self.port = port;
        self
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// The schema of the tables.
    #[must_use]
    pub fn schema(&self) -> &SchemaName {
        &self.schema
    }

    /// The database; `master` where none was told, which is where a login begins.
    pub(crate) fn database(&self) -> &str {
        self.database.as_deref().unwrap_or("master")
    }

    pub(crate) fn driver(&self) -> Config {
        let mut config = Config::new();
        config.host(&self.host);
        config.port(self.port);
        if let Some(database) = &self.database {
            config.database(database);
        }
        config.authentication(AuthMethod::sql_server(&self.user, &self.password));
        config.application_name("cqrs");
        // A server that is asked for a client's name it was not told may fail.
        config.client_name("cqrs");
        config.encryption(match self.encrypt {
            Encrypt::All => EncryptionLevel::Required,
            Encrypt::Login => EncryptionLevel::Off,
            Encrypt::Nothing => EncryptionLevel::NotSupported,
        });
        match &self.trust {
            Trust::System => {}
            Trust::Roots(file) => config.trust_cert_ca(file.display()),
            Trust::Anyone => config.trust_cert(),
        }
        config.handshake_timeout(Some(self.connect_timeout));
        config.command_timeout(Some(self.call_timeout));
        config
    }
}

fn schema(text: &str) -> Result<SchemaName, OptionsError> {
    SchemaName::parse(text).map_err(|_| OptionsError::Invalid {
        key: "schema",
        expected: "1 to 40 of a-z, 0-9 and _, a letter first",
    })
}

fn port(text: &str) -> Result<u16, OptionsError> {
    let port = text.parse().ok().filter(|port| *port != 0);
    port.ok_or(OptionsError::Invalid {
        key: "port",
        expected: "a number from 1 to 65535",
    })
}

impl fmt::Debug for MssqlOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MssqlOptions")
            .field("encrypt", &self.encrypt)
            .field("schema", &self.schema)
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
