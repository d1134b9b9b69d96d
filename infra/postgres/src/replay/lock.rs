//! One replay at a time.

use deadpool_postgres::Object;

use crate::error::ModelError;
use crate::models::PgModels;
use crate::replay::ReplayError;

/// The right to replay, held by a connection of its own. Ends where it is dropped, or its process.
#[derive(Debug)]
pub struct ReplayLock {
    /// Taken out of the pool when the lock ends, so that the server lets go of it.
    connection: Option<Object>,
}

impl ReplayLock {
    pub(super) async fn take(models: &PgModels) -> Result<Self, ReplayError> {
        let connection = models.pool().get().await.map_err(ModelError::from)?;
        let key = format!("{} replay", models.control());
        let sql = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))";
        let taken = connection.query_one(sql, &[&key]).await?;
        // From here on the connection goes back to nobody.
        let lock = Self {
            connection: Some(connection),
        };
        if taken.try_get(0)? {
            Ok(lock)
        } else {
            Err(ReplayError::Running)
        }
    }

    /// Whether it is still held.
    pub(super) async fn check(&self) -> Result<(), ReplayError> {
        if let Some(connection) = &self.connection {
            connection.simple_query("SELECT 1").await?;
        }
        Ok(())
    }
}

impl Drop for ReplayLock {
    fn drop(&mut self) {
        drop(self.connection.take().map(Object::take));
    }
}
