//! The database that the options name: made where it is missing and the login may make one.
//!
//! It is safe to begin with an empty one: a ledger is made whole from the log before it grants anything.

use std::sync::Arc;

use tiberius::error::Error;

use super::open::open_patient;
use crate::error::ConnectError;
use crate::options::MssqlOptions;

/// What servers say of a login to a database that is not there, or not for this user: SQL Server, and those that speak like it.
const MISSING: [u32; 2] = [4060, 911];

pub(super) fn is_missing(error: &Error) -> bool {
    error.code().is_some_and(|code| MISSING.contains(&code))
}

/// Tries to make it; what the server said against it, which counts only where it is still missing: another process may
/// have made it meanwhile.
pub(super) async fn make(
    options: &MssqlOptions,
    missing: Error,
) -> Result<Option<Error>, ConnectError> {
    let name = options.database();
    let mut driver = options.driver();
    driver.database("master");
    let elsewhere = open_patient(options, driver).await;
    let Ok(mut client) = elsewhere else {
        return Err(ConnectError::Database {
            name: name.to_owned(),
            source: Arc::new(missing),
        });
    };
    let made = client.simple_query(create(name)).await;
    let made = match made {
        Ok(answer) => answer.into_results().await.map(drop),
        Err(error) => Err(error),
    };
    match made {
        Ok(()) => {
            tracing::info!(database = name, "the ledger's database is made");
            Ok(None)
        }
        Err(error) => Ok(Some(error)),
    }
}

fn create(name: &str) -> String {
    format!(
        "IF DB_ID(N'{}') IS NULL CREATE DATABASE [{}]",
        name.replace('\'', "''"),
        name.replace(']', "]]")
    )
}

#[cfg(test)]
mod tests {
    use super::create;

    #[test]
    fn a_name_ends_where_it_is_quoted() {
        let sql = create("a]'; DROP DATABASE b--");
        let expected = "IF DB_ID(N'a]''; DROP DATABASE b--') IS NULL CREATE DATABASE [a]]'; DROP DATABASE b--]";
        assert_eq!(sql, expected);
    }
}
