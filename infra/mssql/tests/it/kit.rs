//! Schemas of their own on the server.

use std::time::Duration;

use cqrs_mssql::{MssqlIntents, MssqlOptions, MssqlPool, SchemaName};

const PATIENCE: Duration = Duration::from_secs(120);

/// Options for a schema that no other test has.
pub(crate) fn options() -> MssqlOptions {
    let url = std::env::var("MSSQL_URL").unwrap();
    let name = format!("t{:016x}", getrandom::u64().unwrap());
    let schema = SchemaName::parse(&name).unwrap();
    let mut options = MssqlOptions::parse(&url).unwrap().with_schema(schema);
    // However busy the machine is that runs server and tests.
    options.wait_timeout = PATIENCE;
    options.connect_timeout = PATIENCE;
    options.call_timeout = PATIENCE;
    options.max_connections = 4;
    options
}

pub(crate) fn intents() -> MssqlIntents {
    MssqlIntents::new(MssqlPool::new(options()))
}
