//! One replay at a time.

use cqrs_core::ReplayLock;
use deadpool_postgres::Object;

use crate::error::ModelError;
use crate::models::PgModels;

/// The right to replay, held by a connection of its own. Ends where it is dropped, or its process.
#[derive(Debug)]
pub struct PgReplayLock {
    /// Taken out of the pool when the lock ends, so that the server lets go of it.
    connection: Option<Object>,
}

impl PgReplayLock {
    /// `None` where somebody else has it.
    pub(super) async fn take(models: &PgModels) -> Result<Option<Self>, ModelError> {
        let connection = models.pool().get().await?;
        let key = format!("{} replay", models.control());
        let sql = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))";
        let taken = connection.query_one(sql, &[&key]).await?;
        // From here on the connection goes back to nobody.
        let lock = Self {
            connection: Some(connection),
        };
        Ok(taken.try_get::<_, bool>(0)?.then_some(lock))
    }
}

impl ReplayLock for PgReplayLock {
    type Error = ModelError;

    async fn check(&self) -> Result<(), ModelError> {
        if let Some(connection) = &self.connection {
            connection.simple_query("SELECT 1").await?;
        }
        Ok(())
    }
}

impl Drop for PgReplayLock {
    fn drop(&mut self) {
        drop(self.connection.take().map(Object::take));
    }
}
