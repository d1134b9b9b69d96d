//! The versions of read models: which there are, which is live, which are to be fed.

use cqrs_core::{LogPosition, ModelState, Partition, Position};
use deadpool_postgres::Pool;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

use crate::error::ModelError;
use crate::model::PgReadModel;
use crate::name::SchemaName;
use crate::projection::nat;
use crate::transaction::Transaction;

const CONTROL: &str = include_str!("schema/control.sql");

/// The versions of all read models whose schemas have one prefix. Cheap to clone.
///
/// Version 7 under the prefix `rm` is the schema `rm_7`; what is known of it stands in `rm_control`.
///
/// A version is `building` while its history is copied, then `ready`: fed, and may be promoted.
/// One version of a projection is `live`: queries read it. A `retired` one is gone but for its row.
#[derive(Debug, Clone)]
pub struct PgModels {
    pool: Pool,
    prefix: SchemaName,
    control: SchemaName,
}

/// One version of a read model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelVersion {
    /// Its number: 1, 2, 3 … over all projections of the prefix.
    pub version: u32,
    /// The schema of its tables.
    pub schema: SchemaName,
    /// The layout that it was made with.
    pub layout: u32,
    /// What it is.
    pub state: ModelState,
}

impl PgModels {
    /// The versions under `prefix`, over `pool`. Nothing is asked yet.
    #[must_use]
    pub fn new(pool: Pool, prefix: &SchemaName) -> Self {
        Self {
            pool,
            prefix: prefix.clone(),
            control: prefix.with("control"),
        }
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    pub(crate) fn control(&self) -> &SchemaName {
        &self.control
    }

    /// Makes what is not there yet: the control schema, and a first version of `model` that is live at once.
    ///
    /// Safe beside others that do the same. Gives back the live version.
    ///
    /// # Errors
    ///
    /// - [`ModelError::Layout`]: the live version is of another layout. A rebuild and a promotion mend that.
    /// - [`ModelError::Partitions`]: it was made for a log with another number of partitions.
    /// - [`ModelError::Store`].
    pub async fn open(
        &self,
        model: &impl PgReadModel,
        partitions: u16,
    ) -> Result<ModelVersion, ModelError> {
        let mut transaction = Transaction::on(&self.pool)
            .await
            .map_err(ModelError::Store)?;
        if let Some(live) = self.look(&transaction, model.name()).await? {
            self.check_partitions(&transaction, &live, partitions)
                .await?;
            return known(model, live);
        }
        let (client, begun) = transaction.begin("BEGIN");
        begun.await?;
        self.lock_changes(client).await?;
        client.batch_execute(&self.control.fill(CONTROL)).await?;
        let live = match self.find_live(client, model.name()).await? {
            Some(live) => live,
            None => {
                let state = ModelState::Live;
                let made = self.make(client, model, partitions, state).await?;
                client
                    .batch_execute(&made.schema.fill(model.create_indexes()))
                    .await?;
                let sql = "INSERT INTO {schema}.pointer (projection, version) VALUES ($1, $2)";
                let params: [&(dyn ToSql + Sync); 2] = [&model.name(), &int(made.version)];
                client.execute(&self.control.fill(sql), &params).await?;
                made
            }
        };
        self.check_partitions(client, &live, partitions).await?;
        transaction.commit().await?;
        known(model, live)
    }

    /// The live version, without making others wait or waiting for them; `None` also where nothing is made yet.
    async fn look(
        &self,
        client: &Client,
        projection: &str,
    ) -> Result<Option<ModelVersion>, ModelError> {
        let made = "SELECT to_regclass($1) IS NOT NULL";
        let pointer = self.control.fill("{schema}.parked_drop");
        let made = client.query_one(made, &[&pointer]).await?;
        if made.try_get(0)? {
            self.find_live(client, projection).await
        } else {
            Ok(None)
        }
    }

    /// The live version of `model`.
    ///
    /// # Errors
    ///
    /// - [`ModelError::NoneLive`]: [`open`](Self::open) makes one.
    /// - [`ModelError::Layout`]: it is not what this code was built for.
    /// - [`ModelError::Store`].
    pub async fn live(&self, model: &impl PgReadModel) -> Result<ModelVersion, ModelError> {
        let client = self.pool.get().await?;
        let live = self.find_live(&client, model.name()).await?;
        let live = live.ok_or_else(|| ModelError::NoneLive {
            projection: model.name().to_owned(),
        })?;
        known(model, live)
    }

    /// Where `version` stands, by partition; nothing where it is retired.
    ///
    /// # Errors
    ///
    /// [`ModelError::Store`].
    pub async fn places(&self, version: &ModelVersion) -> Result<Vec<LogPosition>, ModelError> {
        let client = self.pool.get().await?;
        let sql = "SELECT partition, position FROM {schema}.checkpoint WHERE version = $1
            ORDER BY partition";
        let sql = self.control.fill(sql);
        let rows = client.query(&sql, &[&int(version.version)]).await?;
        let place = |row: &Row| {
            let partition = u16::try_from(row.try_get::<_, i32>(0)?).unwrap_or(u16::MAX);
            let position = Position::new(nat(row.try_get(1)?));
            Ok(LogPosition::new(Partition::new(partition), position))
        };
        rows.iter().map(place).collect()
    }

    /// All versions of `projection`, the oldest first; none where nothing is made yet.
    ///
    /// # Errors
    ///
    /// [`ModelError::Store`].
    pub async fn versions(&self, projection: &str) -> Result<Vec<ModelVersion>, ModelError> {
        let client = self.pool.get().await?;
        let sql = "SELECT version, layout, state FROM {schema}.model WHERE projection = $1
            ORDER BY version";
        let statement = match client.prepare_cached(&self.control.fill(sql)).await {
            Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => return Ok(Vec::new()),
            prepared => prepared?,
        };
        let rows = client.query(&statement, &[&projection]).await?;
        rows.iter().map(|row| self.version(row)).collect()
    }

    /// The versions of `model` that are to be fed by whoever knows its layout; ask again every now and then.
    ///
    /// # Errors
    ///
    /// [`ModelError::Store`].
    pub async fn fed(&self, model: &impl PgReadModel) -> Result<Vec<ModelVersion>, ModelError> {
        let mut versions = self.versions(model.name()).await?;
        versions.retain(|v| v.state.is_fed() && v.layout == model.layout());
        Ok(versions)
    }

    /// What version `version` is, and stays until the transaction ends.
    pub(crate) async fn lock_version(
        &self,
        client: &Client,
        version: u32,
    ) -> Result<ModelState, ModelError> {
        let sql = "SELECT version, layout, state FROM {schema}.model WHERE version = $1
            FOR NO KEY UPDATE";
        let row = client
            .query_one(&self.control.fill(sql), &[&int(version)])
            .await?;
        Ok(self.version(&row)?.state)
    }

    /// Makes a version, its schema and its tables; no indexes.
    pub(crate) async fn make(
        &self,
        client: &Client,
        model: &impl PgReadModel,
        partitions: u16,
        state: ModelState,
    ) -> Result<ModelVersion, ModelError> {
        let sql = "INSERT INTO {schema}.model (version, projection, layout, state, promoted_at)
            SELECT coalesce(max(version), 0) + 1, $1, $2, $3,
                CASE WHEN $3 = 'live' THEN now() END FROM {schema}.model
            RETURNING version, layout, state";
        let params: [&(dyn ToSql + Sync); 3] =
            [&model.name(), &i64::from(model.layout()), &state.as_str()];
        let row = client.query_one(&self.control.fill(sql), &params).await?;
        let made = self.version(&row)?;
        let tables = made.schema.fill(model.create_tables());
        client
            .batch_execute(&format!("CREATE SCHEMA {}; {tables}", made.schema))
            .await?;
        let sql = "INSERT INTO {schema}.checkpoint (version, partition, position, epoch)
            VALUES ($1, $2, 0, 0)";
        let insert = client.prepare(&self.control.fill(sql)).await?;
        for partition in Partition::all(partitions) {
            let partition = i32::from(partition.index());
            client
                .execute(&insert, &[&int(made.version), &partition])
                .await?;
        }
        tracing::info!(projection = model.name(), schema = %made.schema, %state, "made");
        Ok(made)
    }

    /// Lets nobody else make or change versions until the transaction ends.
    pub(crate) async fn lock_changes(&self, client: &Client) -> Result<(), ModelError> {
        let key = format!("{} changes", self.control);
        let sql = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
        client.execute(sql, &[&key]).await?;
        Ok(())
    }

    async fn find_live(
        &self,
        client: &Client,
        projection: &str,
    ) -> Result<Option<ModelVersion>, ModelError> {
        let sql = "SELECT m.version, m.layout, m.state FROM {schema}.pointer p
            JOIN {schema}.model m USING (version) WHERE p.projection = $1";
        let row = client
            .query_opt(&self.control.fill(sql), &[&projection])
            .await?;
        row.map(|row| self.version(&row)).transpose()
    }

    /// Whether the version is of a log with as many partitions.
    pub(crate) async fn check_partitions(
        &self,
        client: &Client,
        of: &ModelVersion,
        asked: u16,
    ) -> Result<(), ModelError> {
        let sql = "SELECT count(*) FROM {schema}.checkpoint WHERE version = $1";
        let row = client
            .query_one(&self.control.fill(sql), &[&int(of.version)])
            .await?;
        let found = u16::try_from(row.try_get::<_, i64>(0)?).unwrap_or(u16::MAX);
        if found == asked {
            return Ok(());
        }
        Err(ModelError::Partitions {
            schema: of.schema.clone(),
            found,
            asked,
        })
    }

    /// Reads (version, layout, state).
    pub(crate) fn version(&self, row: &Row) -> Result<ModelVersion, ModelError> {
        let unreadable =
            || ModelError::Store("the control schema holds what cannot be read".into());
        let version = u32::try_from(row.try_get::<_, i32>(0)?).map_err(|_| unreadable())?;
        let layout = u32::try_from(row.try_get::<_, i64>(1)?).map_err(|_| unreadable())?;
        let state = ModelState::parse(row.try_get(2)?).ok_or_else(unreadable)?;
        Ok(ModelVersion {
            version,
            schema: self.prefix.with(version),
            layout,
            state,
        })
    }
}

/// The version, where it is of the model's layout.
fn known(model: &impl PgReadModel, live: ModelVersion) -> Result<ModelVersion, ModelError> {
    if live.layout == model.layout() {
        return Ok(live);
    }
    Err(ModelError::Layout {
        projection: model.name().to_owned(),
        found: live.layout,
        known: model.layout(),
    })
}

/// A version's number as PostgreSQL's integer; none of ours comes near 2^31.
pub(crate) fn int(version: u32) -> i32 {
    i32::try_from(version).unwrap_or(i32::MAX)
}
