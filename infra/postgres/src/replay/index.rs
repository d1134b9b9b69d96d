//! What only queries need, made at once on several connections: a server works on one statement of each connection at a time.
//!
//! It comes before the transaction that makes a version ready, and changes nothing about it: what is stopped in here is made
//! by the next rebuild, and what was made is found.

use cqrs_core::BoxError;
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::model::PgReadModel;
use crate::models::ModelVersion;
use crate::replay::PgVersions;
use crate::transaction::Transaction;

/// How many connections are used at a time.
const AT_ONCE: usize = 4;

impl<M: PgReadModel> PgVersions<M> {
    /// Makes the parts of what only queries need, then looks what the planner is to know of each table.
    pub(super) async fn index(&self, version: &ModelVersion) -> Result<(), BoxError> {
        let parts = self.model.index_parts();
        let parts = parts.iter().map(|part| version.schema.fill(part));
        self.side_by_side(parts.collect()).await?;
        let tables = self.model.tables();
        let tables = tables.iter().map(|table| table.name);
        let tables = tables.map(|table| format!("ANALYZE {}.{table}", version.schema));
        self.side_by_side(tables.collect()).await
    }

    /// Runs statements that need nothing of each other.
    async fn side_by_side(&self, statements: Vec<String>) -> Result<(), BoxError> {
        let running = statements.into_iter().map(|sql| async move {
            let mut transaction = Transaction::on(self.models.pool()).await?;
            let (client, begun) = transaction.begin("BEGIN; SET LOCAL statement_timeout TO 0");
            begun.await?;
            client.batch_execute(&sql).await?;
            transaction.commit().await?;
            Ok(())
        });
        let running = stream::iter(running).buffer_unordered(AT_ONCE);
        running.try_collect().await
    }
}
