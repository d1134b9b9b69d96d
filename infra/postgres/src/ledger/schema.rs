//! Making the ledger's schema, and bringing it up to date.

use cqrs_core::IntentError;
use deadpool_postgres::Object;

use super::error::{SchemaError, store};
use crate::name::SchemaName;

/// What each version adds to the one before. Never change one that was released: add another.
const MIGRATIONS: [&str; 1] = [include_str!("schema/v1.sql")];

/// Serialises those who migrate, in this database.
const LOCK: i64 = 0x6c65_6467_6572_0001;

/// Brings `schema` to the version that this code knows, and records it.
pub(super) async fn migrate(client: &mut Object, schema: &SchemaName) -> Result<(), IntentError> {
    let known = MIGRATIONS.len() as i32;
    let transaction = client.transaction().await.map_err(store)?;
    let begin = format!(
        "SELECT pg_advisory_xact_lock({LOCK});
         CREATE SCHEMA IF NOT EXISTS {schema};
         CREATE TABLE IF NOT EXISTS {schema}.schema_version (version integer PRIMARY KEY)"
    );
    transaction.batch_execute(&begin).await.map_err(store)?;
    let query = format!("SELECT coalesce(max(version), 0) FROM {schema}.schema_version");
    let found: i32 = transaction
        .query_one(&query, &[])
        .await
        .map_err(store)?
        .get(0);
    if found > known {
        return Err(store(SchemaError::TooNew { found, known }));
    }
    for (migration, version) in MIGRATIONS.iter().zip(1..).skip(found as usize) {
        let sql = migration.replace("{schema}", &schema.to_string());
        transaction.batch_execute(&sql).await.map_err(store)?;
        let record = format!("INSERT INTO {schema}.schema_version VALUES ({version})");
        transaction.batch_execute(&record).await.map_err(store)?;
    }
    transaction.commit().await.map_err(store)
}
