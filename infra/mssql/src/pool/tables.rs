//! The ledger's tables: made by the first connection that misses them, brought up to date by the first that is newer.

use std::sync::Arc;

use tiberius::error::Error;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::timeout;

use super::connection::Driver;
use super::open::open_patient;
use crate::error::ConnectError;
use crate::name::SchemaName;
use crate::options::MssqlOptions;

/// By version, from 1; never changed once it was used anywhere.
const VERSIONS: &[&str] = &[include_str!("../schema/v1.sql")];

const FOUND: &str = "
DECLARE @version INT = 0;
IF OBJECT_ID(N'{schema}.version', N'U') IS NOT NULL SELECT @version = MAX(version) FROM {schema}.version;
SELECT ISNULL(@version, 0) AS version;";

// One process at a time, for as long as the transaction; waits 30 s for the others.
const BEGIN: &str = "
SET XACT_ABORT ON; SET NOCOUNT ON;
BEGIN TRANSACTION;
DECLARE @got INT;
EXEC @got = sp_getapplock @Resource = N'{schema}.version', @LockMode = N'Exclusive',
    @LockOwner = N'Transaction', @LockTimeout = 30000;
SELECT @got AS got;";

const SCHEMA: &str = "
IF SCHEMA_ID(N'{schema}') IS NULL EXEC(N'CREATE SCHEMA {schema}');
IF OBJECT_ID(N'{schema}.version', N'U') IS NULL
    CREATE TABLE {schema}.version (
        version INT NOT NULL,
        made DATETIME2(3) NOT NULL,
        CONSTRAINT version_pk PRIMARY KEY (version)
    );";

pub(super) struct Tables {
    schema: SchemaName,
    found: String,
    /// Held while they are made, when nobody can look at them.
    turn: Mutex<()>,
}

impl Tables {
    pub(super) fn of(schema: &SchemaName) -> Self {
        Self {
            schema: schema.clone(),
            found: schema.fill(FOUND),
            turn: Mutex::default(),
        }
    }

    /// Asked on every connection: the database may be another one than before.
    ///
    /// They are made on a connection of their own, which may take longer than a call.
    pub(super) async fn make(
        &self,
        options: &MssqlOptions,
        driver: &mut Driver,
    ) -> Result<(), ConnectError> {
        if self.turn.try_lock().is_err() {
            drop(self.take_turn(options).await?);
        }
        let known = i32::try_from(VERSIONS.len()).unwrap_or(i32::MAX);
        let mut found = number(driver, &self.found).await?;
        if found < known {
            let turn = self.take_turn(options).await?;
            // Another connection may have made them while this one waited.
            found = number(driver, &self.found).await?;
            if found < known {
                let mut patient = open_patient(options, options.driver()).await?;
                found = self.catch_up(&mut patient).await?;
            }
            drop(turn);
        }
        if found > known {
            return Err(ConnectError::TooNew { found, known });
        }
        Ok(())
    }

    async fn take_turn(&self, options: &MssqlOptions) -> Result<MutexGuard<'_, ()>, ConnectError> {
        let turn = timeout(options.connect_timeout, self.turn.lock()).await;
        turn.map_err(|_| ConnectError::Busy)
    }

    /// In one transaction. Where it fails, the connection is dropped, and with it the transaction.
    async fn catch_up(&self, driver: &mut Driver) -> Result<i32, ConnectError> {
        if number(driver, &self.schema.fill(BEGIN)).await? < 0 {
            return Err(ConnectError::Busy);
        }
        run(driver, &self.schema.fill(SCHEMA)).await?;
        let stands = number(driver, &self.found).await?;
        let mut found = stands;
        let missing = VERSIONS.iter().zip(1_i32..);
        for (script, version) in missing.skip_while(|(_, version)| *version <= stands) {
            run(driver, &self.schema.fill(script)).await?;
            let record = format!(
                "INSERT INTO {}.version (version, made) VALUES ({version}, SYSUTCDATETIME())",
                self.schema
            );
            run(driver, &record).await?;
            tracing::info!(schema = %self.schema, version, "the ledger's tables are made");
            found = version;
        }
        run(driver, "COMMIT").await?;
        Ok(found)
    }
}

async fn run(driver: &mut Driver, sql: &str) -> Result<(), ConnectError> {
    let done = driver.simple_query(sql).await;
    let done = done.map_err(failed)?.into_results().await;
    done.map(drop).map_err(failed)
}

async fn number(driver: &mut Driver, sql: &str) -> Result<i32, ConnectError> {
    let read = async {
        let row = driver.simple_query(sql).await?.into_row().await?;
        let missing = || Error::Protocol("no row where one was asked for".into());
        row.ok_or_else(missing)?.try_get(0)?.ok_or_else(missing)
    };
    read.await.map_err(failed)
}

fn failed(error: Error) -> ConnectError {
    ConnectError::Tables(Arc::new(error))
}
