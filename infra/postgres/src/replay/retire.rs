//! Ending versions.

use crate::error::ModelError;
use crate::model::PgReadModel;
use crate::models::{ModelState, ModelVersion, int};
use crate::replay::{PgReplay, ReplayError};
use crate::transaction::Transaction;

/// Checkpoints first: that waits for whoever writes the version, and nobody does after.
const RETIRE: &str = "
    DELETE FROM {schema}.checkpoint WHERE version = {version};
    DELETE FROM {schema}.parked_stream WHERE version = {version};
    DELETE FROM {schema}.parked_commit WHERE version = {version};
    UPDATE {schema}.model SET state = 'retired' WHERE version = {version};
";

impl<L, M: PgReadModel, T> PgReplay<L, M, T> {
    /// Ends every version that was begun and never promoted; the live one is left alone. Which those were.
    ///
    /// Needs no lock: a rebuild that is running ends with [`ReplayError::Cancelled`].
    ///
    /// # Errors
    ///
    /// [`ReplayError::Model`]; some may be ended: do it again.
    pub async fn cancel(&self) -> Result<Vec<ModelVersion>, ReplayError> {
        let client = self.models.pool().get().await.map_err(ModelError::from)?;
        let sql = "SELECT version, layout, state FROM {schema}.model
            WHERE projection = $1 AND state IN ('building', 'ready') AND promoted_at IS NULL
            ORDER BY version";
        let sql = self.models.control().fill(sql);
        let rows = client.query(&sql, &[&self.model.name()]).await?;
        drop(client);
        let mut ended = Vec::new();
        for row in rows {
            let version = self.models.version(&row)?;
            self.retire(version.version).await?;
            ended.push(version);
        }
        Ok(ended)
    }

    /// Ends a version that is not live: nobody feeds it any more, its schema is dropped.
    ///
    /// Does nothing where it is retired already.
    ///
    /// # Errors
    ///
    /// - [`ModelError::State`]: it is live, or there is none of that number.
    /// - [`ModelError::Store`].
    pub async fn retire(&self, version: u32) -> Result<(), ReplayError> {
        let found = self.find(version).await?;
        let pool = self.models.pool();
        let mut transaction = Transaction::on(pool).await.map_err(ModelError::Store)?;
        let (client, begun) = transaction.begin("BEGIN");
        begun.await?;
        match self.models.lock_version(client, version).await? {
            ModelState::Retired => return Ok(()),
            ModelState::Live => return Err(self.unfit(&found, ModelState::Live)),
            ModelState::Building | ModelState::Ready => {}
        }
        let sql = RETIRE.replace("{version}", &int(version).to_string());
        client
            .batch_execute(&self.models.control().fill(&sql))
            .await?;
        let schema = &found.schema;
        client
            .batch_execute(&format!("DROP SCHEMA {schema} CASCADE"))
            .await?;
        transaction.commit().await?;
        tracing::info!(%schema, "retired");
        Ok(())
    }

    /// The version that was live before the present one, if it is still fed: what going back leads to.
    ///
    /// # Errors
    ///
    /// [`ReplayError::Model`].
    pub async fn previous(&self) -> Result<Option<ModelVersion>, ReplayError> {
        let client = self.models.pool().get().await.map_err(ModelError::from)?;
        let sql = "SELECT version, layout, state FROM {schema}.model
            WHERE projection = $1 AND state = 'ready' AND promoted_at IS NOT NULL
            ORDER BY promoted_at DESC, version DESC LIMIT 1";
        let sql = self.models.control().fill(sql);
        let row = client.query_opt(&sql, &[&self.model.name()]).await?;
        Ok(row.map(|row| self.models.version(&row)).transpose()?)
    }

    /// The version of that number, of this projection.
    pub(super) async fn find(&self, version: u32) -> Result<ModelVersion, ReplayError> {
        let versions = self.models.versions(self.model.name()).await?;
        let found = versions.into_iter().find(|v| v.version == version);
        found.ok_or_else(|| {
            ReplayError::Model(ModelError::State {
                projection: self.model.name().to_owned(),
                version,
                state: "unknown",
            })
        })
    }

    pub(super) fn unfit(&self, version: &ModelVersion, found: ModelState) -> ReplayError {
        if found == ModelState::Retired {
            return ReplayError::Cancelled {
                version: version.version,
            };
        }
        ReplayError::Model(ModelError::State {
            projection: self.model.name().to_owned(),
            version: version.version,
            state: found.as_str(),
        })
    }
}
