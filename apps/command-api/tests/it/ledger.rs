//! The ledger of one test, on either engine: where it is, and what is done to it past the processes.

use cqrs_core::testing::InstantTimer;
use cqrs_core::{
    Coordinator, CoordinatorOptions, IntentStore, Ledger as _, ReservedValue, StreamName,
};
use cqrs_mongo::{MongoOptions, MongoStore};
use cqrs_mssql::{MssqlIntents, MssqlOptions, MssqlPool};
use cqrs_postgres::{PgIntents, PgOptions, SchemaName};
use tiberius::{AuthMethod, Client, Config, EncryptionLevel};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio_postgres::NoTls;
use tokio_util::compat::TokioAsyncWriteCompatExt;
use uuid::Uuid;

/// An engine, as the environment names it, and what a test has there.
pub(crate) enum Ledger {
    /// A database.
    Postgres { server: String, name: String },
    /// A schema.
    Mssql { server: String, name: String },
}

/// What is lost with a ledger. The versions of its tables stay.
const POSTGRES_TABLES: [&str; 4] = ["command", "held", "wanted", "checkpoint"];
const MSSQL_TABLES: [&str; 5] = ["commands", "intents", "held", "wanted", "folded"];

impl Ledger {
    pub(crate) fn postgres(name: &str) -> Self {
        let server = engine("POSTGRES_URL");
        run(postgres(&server, &format!("CREATE DATABASE {name}")));
        let name = name.to_owned();
        Self::Postgres { server, name }
    }

    pub(crate) fn mssql(name: &str) -> Self {
        let (server, name) = (engine("MSSQL_URL"), name.to_owned());
        Self::Mssql { server, name }
    }

    /// What a process is told.
    pub(crate) fn setting(&self) -> (&'static str, String) {
        match self {
            Self::Postgres { server, name } => ("POSTGRES_URL", with_database(server, name)),
            Self::Mssql { server, name } => {
                let sign = if server.contains('?') { '&' } else { '?' };
                ("MSSQL_URL", format!("{server}{sign}schema={name}"))
            }
        }
    }

    /// The name of its check.
    pub(crate) fn check(&self) -> &'static str {
        match self {
            Self::Postgres { .. } => "postgres",
            Self::Mssql { .. } => "mssql",
        }
    }

    /// Host and port of the server.
    pub(crate) fn address(&self) -> String {
        let (Self::Postgres { server, .. } | Self::Mssql { server, .. }) = self;
        authority(server).1.to_owned()
    }

    /// What a process is told, where `address` stands before the server.
    pub(crate) fn setting_at(&self, address: impl ToString) -> (&'static str, String) {
        let (key, url) = self.setting();
        let url = url.replacen(authority(&url).1, &address.to_string(), 1);
        (key, url)
    }

    /// Empties it.
    pub(crate) fn wipe(&self) {
        self.each_table(|_, table| format!("DELETE FROM {table}"));
    }

    /// Makes a backup.
    pub(crate) fn keep(&self) {
        match self {
            Self::Postgres { .. } => {
                self.each_table(|kept, table| format!("CREATE TABLE {kept} AS TABLE {table}"));
            }
            Self::Mssql { .. } => {
                self.each_table(|kept, table| format!("SELECT * INTO {kept} FROM {table}"));
            }
        }
    }

    /// Makes it what it was when [`keep`](Self::keep) was called.
    pub(crate) fn restore(&self) {
        self.wipe();
        self.each_table(|kept, table| format!("INSERT INTO {table} SELECT * FROM {kept}"));
    }

    /// Calls a statement made from the name of each table's backup, and of the table.
    fn each_table(&self, statement: impl Fn(&str, &str) -> String) {
        let of = |schema: &str, tables: &[&str]| {
            let statements = tables.iter().map(|table| {
                let table = format!("{schema}.{table}");
                statement(&format!("{table}_kept"), &table)
            });
            statements.collect::<Vec<_>>().join("; ")
        };
        match self {
            Self::Postgres { server, name } => {
                let sql = of("ledger", &POSTGRES_TABLES);
                run(postgres(&with_database(server, name), &sql));
            }
            Self::Mssql { server, name } => run(mssql(server, &of(name, &MSSQL_TABLES))),
        }
    }

    /// Who holds each of `handles`, once the ledger holds what `log` does.
    pub(crate) fn owners(&self, log: MongoOptions, handles: &[String]) -> Vec<Option<StreamName>> {
        let (_, url) = self.setting();
        run(async {
            let log = MongoStore::open(log).await.unwrap();
            match self {
                Self::Postgres { .. } => {
                    let pool = PgOptions::parse(&url).unwrap().pool().unwrap();
                    let schema = SchemaName::parse("ledger").unwrap();
                    owners(log, PgIntents::new(pool, schema), handles).await
                }
                Self::Mssql { .. } => {
                    let pool = MssqlPool::new(MssqlOptions::parse(&url).unwrap());
                    owners(log, MssqlIntents::new(pool), handles).await
                }
            }
        })
    }

    /// Takes it away. After a failed test nobody does: what it left is there to be looked at.
    pub(crate) fn forget(&self) {
        match self {
            Self::Postgres { server, name } => run(postgres(
                server,
                &format!("DROP DATABASE {name} WITH (FORCE)"),
            )),
            Self::Mssql { server, name } => {
                let tables = MSSQL_TABLES.iter().chain(&["version"]);
                let drops = tables.map(|table| {
                    let table = format!("{name}.{table}");
                    format!("DROP TABLE IF EXISTS {table}; DROP TABLE IF EXISTS {table}_kept; ")
                });
                let drops: String = drops.collect();
                let drop_schema =
                    format!("IF SCHEMA_ID(N'{name}') IS NOT NULL EXEC(N'DROP SCHEMA {name}')");
                run(mssql(server, &(drops + &drop_schema)));
            }
        }
    }
}

async fn owners<I: IntentStore>(
    log: MongoStore,
    intents: I,
    handles: &[String],
) -> Vec<Option<StreamName>> {
    let (instance, options) = (Uuid::from_u128(1), CoordinatorOptions::default());
    let coordinator = Coordinator::new(log.clone(), intents, InstantTimer, instance, options);
    coordinator.catch_up(std::future::pending()).await.unwrap();
    let mut owners = Vec::new();
    for handle in handles {
        let handle = ReservedValue::new("handle", handle.to_ascii_lowercase());
        owners.push(coordinator.owner(&handle).await.unwrap());
    }
    log.close().await;
    owners
}

/// What the environment says of an engine.
pub(crate) fn engine(key: &str) -> String {
    std::env::var(key).unwrap_or_else(|_| panic!("needs {key}"))
}

pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = Runtime::new().unwrap();
    runtime.block_on(future)
}

async fn postgres(url: &str, statement: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    let talking = tokio::spawn(connection);
    client.batch_execute(statement).await.unwrap();
    drop(client);
    talking.await.unwrap().unwrap();
}

async fn mssql(url: &str, statement: &str) {
    let (login, address) = authority(url);
    let (user, password) = login.split_once(':').unwrap();
    let (host, port) = address.split_once(':').unwrap_or((address, "1433"));
    let (_, rest) = url.rsplit_once('/').unwrap();
    let (database, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut config = Config::new();
    config.host(host);
    config.port(port.parse().unwrap());
    config.database(database);
    config.authentication(AuthMethod::sql_server(user, password));
    config.client_name("test");
    config.command_timeout(None);
    config.trust_cert();
    if query.contains("encrypt=off") {
        config.encryption(EncryptionLevel::NotSupported);
    }
    let stream = TcpStream::connect(config.get_addr()).await.unwrap();
    let client = Client::connect(config, stream.compat_write()).await;
    let mut client = client.unwrap();
    let answer = client.simple_query(statement).await.unwrap();
    answer.into_results().await.unwrap();
}

/// Login, and host with port, of a URL.
fn authority(url: &str) -> (&str, &str) {
    let (_, rest) = url.split_once("://").unwrap();
    let end = rest.rfind('/').unwrap_or(rest.len());
    let authority = &rest[..end];
    authority.rsplit_once('@').unwrap_or(("", authority))
}

/// The URL of the same server with another database.
pub(crate) fn with_database(url: &str, database: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (address, options) = rest.split_once('?').unwrap_or((rest, ""));
    let server = address.split('/').next().unwrap();
    match options {
        "" => format!("{scheme}://{server}/{database}"),
        options => format!("{scheme}://{server}/{database}?{options}"),
    }
}
