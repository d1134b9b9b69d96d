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
    let rows = client.simple_query(sql).await.unwrap();
    rows.into_first_result().await.unwrap()
}
