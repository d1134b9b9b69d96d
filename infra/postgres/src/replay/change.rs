//! Changing what a version is.

use std::sync::Arc;

use cqrs_core::{ChangeVersions, ModelState, VersionChange};

use crate::error::ModelError;
use crate::model::PgReadModel;
use crate::models::{ModelVersion, PgModels, int};
use crate::replay::{PgReplayLock, PgVersions};
use crate::transaction::Transaction;

/// Checkpoints first: that waits for whoever writes the version, and nobody does after.
const RETIRE: &str = "
    DELETE FROM {schema}.checkpoint WHERE version = {version};
    DELETE FROM {schema}.parked_stream WHERE version = {version};
    DELETE FROM {schema}.parked_commit WHERE version = {version};
    UPDATE {schema}.model SET state = 'retired' WHERE version = {version};
";

/// A transaction that has the row of one version locked.
#[derive(Debug)]
pub struct PgChange<M> {
    models: PgModels,
    model: Arc<M>,
    version: ModelVersion,
    transaction: Transaction,
}

impl<M: PgReadModel> ChangeVersions for PgVersions<M> {
    type Change = PgChange<M>;
    type Lock = PgReplayLock;

    async fn lock(&self) -> Result<Option<PgReplayLock>, ModelError> {
        PgReplayLock::take(&self.models).await
    }

    async fn change(
        &self,
        version: &ModelVersion,
    ) -> Result<(PgChange<M>, ModelState), ModelError> {
        let pool = self.models.pool();
        let mut transaction = Transaction::on(pool).await.map_err(ModelError::Store)?;
        let (client, begun) = transaction.begin("BEGIN");
        begun.await?;
        let found = self.models.lock_version(client, version.version).await?;
        let change = PgChange {
            models: self.models.clone(),
            model: Arc::clone(&self.model),
            version: version.clone(),
            transaction,
        };
        Ok((change, found))
    }
}

impl<M: PgReadModel> VersionChange for PgChange<M> {
    type Version = ModelVersion;
    type Error = ModelError;

    async fn make_ready(mut self) -> Result<ModelVersion, ModelError> {
        let (client, schema) = (&self.transaction, &self.version.schema);
        client
            .batch_execute("SET LOCAL statement_timeout TO 0")
            .await?;
        let indexes = schema.fill(self.model.create_indexes());
        client.batch_execute(&indexes).await?;
        let sql = "UPDATE {schema}.model SET state = 'ready' WHERE version = $1";
        let sql = self.models.control().fill(sql);
        client.execute(&sql, &[&int(self.version.version)]).await?;
        self.transaction.commit().await?;
        self.version.state = ModelState::Ready;
        Ok(self.version)
    }

    async fn retire(self) -> Result<(), ModelError> {
        let sql = RETIRE.replace("{version}", &int(self.version.version).to_string());
        let sql = self.models.control().fill(&sql);
        self.transaction.batch_execute(&sql).await?;
        let drop = format!("DROP SCHEMA {} CASCADE", self.version.schema);
        self.transaction.batch_execute(&drop).await?;
        Ok(self.transaction.commit().await?)
    }
}
