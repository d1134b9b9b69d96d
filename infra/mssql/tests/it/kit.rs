//! Schemas of their own on the server.

use std::time::Duration;

use cqrs_mssql::{MssqlIntents, MssqlOptions, MssqlPool, SchemaName};
use tiberius::{AuthMethod, Client, Config, EncryptionLevel, Row};
use tokio::net::TcpStream;
use tokio_util::compat::TokioAsyncWriteCompatExt;

/// However busy the machine is that runs server and tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Options for a schema that no other test has.
pub(crate) fn options() -> MssqlOptions {
    let url = std::env::var("MSSQL_URL").unwrap();
    let name = format!("t{:016x}", getrandom::u64().unwrap());
    let schema = SchemaName::parse(&name).unwrap();
    let mut options = MssqlOptions::parse(&url).unwrap().with_schema(schema);
    options.wait_timeout = PATIENCE;
    options.connect_timeout = PATIENCE;
    options.call_timeout = PATIENCE;
    options.max_connections = 4;
    options
}

/// Options for another database of the same server, as another user where one is told.
pub(crate) fn elsewhere(database: &str, user: Option<(&str, &str)>) -> MssqlOptions {
    let url = std::env::var("MSSQL_URL").unwrap();
    let (base, query) = url.split_once('?').unwrap_or((&url, ""));
    let (login, server) = base["mssql://".len()..].rsplit_once('@').unwrap();
    let (server, _) = server.split_once('/').unwrap();
    let login = user.map_or(login.to_owned(), |(name, password)| {
        format!("{name}:{password}")
    });
    let url = format!("mssql://{login}@{server}/{database}?{query}");
    let mut options = MssqlOptions::parse(&url).unwrap();
    options.connect_timeout = PATIENCE;
    options.call_timeout = PATIENCE;
    options
}

pub(crate) fn intents() -> MssqlIntents {
    MssqlIntents::new(MssqlPool::new(options()))
}

/// Where the server is.
pub(crate) fn server() -> (String, u16) {
    let options = options();
    let (host, port) = options.address();
    (host.to_owned(), port)
}

/// What `sql` selects, past the ledger and its pool.
pub(crate) async fn raw(sql: &str) -> Vec<Row> {
    try_raw(sql).await.unwrap()
}

/// The same, of what the server may refuse.
pub(crate) async fn try_raw(sql: &str) -> tiberius::Result<Vec<Row>> {
    let url = std::env::var("MSSQL_URL").unwrap();
    let (login, rest) = url["mssql://".len()..].rsplit_once('@').unwrap();
    let (user, password) = login.split_once(':').unwrap();
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (host, port) = server();
    let mut config = Config::new();
    config.host(&host);
    config.port(port);
    config.database(place.split_once('/').unwrap().1);
    config.authentication(AuthMethod::sql_server(user, password));
    config.client_name("test");
    config.command_timeout(Some(PATIENCE));
    config.trust_cert();
    if query.contains("encrypt=off") {
        config.encryption(EncryptionLevel::NotSupported);
    }
    let stream = TcpStream::connect((host, port)).await.unwrap();
    let mut client = Client::connect(config, stream.compat_write())
        .await
        .unwrap();
    let rows = client.simple_query(sql).await?;
    rows.into_first_result().await
}
