//! Which versions there are, and making one.

use std::fmt;
use std::sync::Arc;

use cqrs_core::{BuildVersions, ModelState, ModelVersions, Position, Versioned, Writing};
use tokio_postgres::Row;

use crate::error::ModelError;
use crate::model::PgReadModel;
use crate::models::{ModelVersion, PgModels};
use crate::projection::{PgProjection, nat};
use crate::transaction::Transaction;

/// The versions of a [`PgReadModel`], for a [`Replay`](cqrs_core::Replay) of them. Cheap to clone.
pub struct PgVersions<M> {
    pub(super) models: PgModels,
    pub(super) model: Arc<M>,
}

impl<M: PgReadModel> PgVersions<M> {
    /// Those of `model` in `models`. Nothing is asked yet.
    #[must_use]
    pub fn new(models: PgModels, model: Arc<M>) -> Self {
        Self { models, model }
    }
}

pub(super) const CHECKPOINTS: &str = "SELECT partition, position FROM {schema}.checkpoint
    WHERE version = $1 ORDER BY partition";

pub(super) fn positions(rows: &[Row]) -> Result<Vec<Position>, ModelError> {
    let position = |row: &Row| Ok(Position::new(nat(row.try_get(1)?)));
    rows.iter().map(position).collect()
}

impl Versioned for ModelVersion {
    fn number(&self) -> u32 {
        self.version
    }

    fn layout(&self) -> u32 {
        self.layout
    }

    fn state(&self) -> ModelState {
        self.state
    }
}

impl<M: PgReadModel> ModelVersions for PgVersions<M> {
    type Version = ModelVersion;
    type Error = ModelError;

    async fn versions(&self) -> Result<Vec<ModelVersion>, ModelError> {
        self.models.versions(self.model.name()).await
    }

    async fn begun(&self) -> Result<Vec<ModelVersion>, ModelError> {
        let client = self.models.pool().get().await?;
        let sql = "SELECT version, layout, state FROM {schema}.model
            WHERE projection = $1 AND state IN ('building', 'ready') AND promoted_at IS NULL
            ORDER BY version";
        let sql = self.models.control().fill(sql);
        let rows = client.query(&sql, &[&self.model.name()]).await?;
        rows.iter().map(|row| self.models.version(row)).collect()
    }

    async fn previous(&self) -> Result<Option<ModelVersion>, ModelError> {
        let client = self.models.pool().get().await?;
        let sql = "SELECT version, layout, state FROM {schema}.model
            WHERE projection = $1 AND state = 'ready' AND promoted_at IS NOT NULL
            ORDER BY promoted_at DESC, version DESC LIMIT 1";
        let sql = self.models.control().fill(sql);
        let row = client.query_opt(&sql, &[&self.model.name()]).await?;
        row.map(|row| self.models.version(&row)).transpose()
    }
}

impl<M: PgReadModel> BuildVersions for PgVersions<M> {
    type Projection = PgProjection<M>;

    fn layout(&self) -> u32 {
        self.model.layout()
    }

    async fn begin(&self, partitions: u16) -> Result<ModelVersion, ModelError> {
        let pool = self.models.pool();
        let mut transaction = Transaction::on(pool).await.map_err(ModelError::Store)?;
        let (client, begun) = transaction.begin("BEGIN");
        begun.await?;
        self.models.lock_changes(client).await?;
        let sql = "SELECT version, layout, state FROM {schema}.model
            WHERE projection = $1 AND layout = $2 AND state IN ('building', 'ready')
                AND promoted_at IS NULL ORDER BY version DESC LIMIT 1";
        let sql = self.models.control().fill(sql);
        let layout = i64::from(self.model.layout());
        let found = client
            .query_opt(&sql, &[&self.model.name(), &layout])
            .await?;
        let version = match found {
            Some(row) => self.models.version(&row)?,
            None => {
                let state = ModelState::Building;
                self.models
                    .make(client, &*self.model, partitions, state)
                    .await?
            }
        };
        self.models
            .check_partitions(client, &version, partitions)
            .await?;
        transaction.commit().await?;
        Ok(version)
    }

    async fn prepare(&self, version: &ModelVersion) -> Result<(), ModelError> {
        self.index(version).await.map_err(ModelError::Store)
    }

    fn projection(&self, version: &ModelVersion, writing: Writing) -> PgProjection<M> {
        let model = Arc::clone(&self.model);
        PgProjection::new(self.models.clone(), version.clone(), model).written(writing)
    }
}

impl<M> Clone for PgVersions<M> {
    fn clone(&self) -> Self {
        Self {
            models: self.models.clone(),
            model: Arc::clone(&self.model),
        }
    }
}

impl<M> fmt::Debug for PgVersions<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PgVersions")
            .field("models", &self.models)
            .finish_non_exhaustive()
    }
}
