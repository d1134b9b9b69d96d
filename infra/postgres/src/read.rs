//! Reading the live version: pointer, checkpoints and rows in one snapshot.

use cqrs_core::{BoxError, Checkpoint, LogPosition, Partition, Position};
use deadpool_postgres::ClientWrapper;
use futures_util::future::join3;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use crate::error::ModelError;
use crate::models::PgModels;
use crate::name::SchemaName;
use crate::projection::{big, nat};
use crate::transaction::Transaction;

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

const LIVE: &str = "SELECT m.version, m.layout, m.state,
        array_agg(c.partition), array_agg(c.position), array_agg(c.epoch)
    FROM {schema}.pointer p
    JOIN {schema}.model m USING (version) JOIN {schema}.checkpoint c USING (version)
    WHERE p.projection = $1 GROUP BY m.version, m.layout, m.state";

const PARKED: &str = "SELECT c.partition, c.position
    FROM {schema}.pointer p JOIN {schema}.parked_commit c USING (version)
    JOIN unnest($2::int4[], $3::int8[]) AS asked (partition, position)
        ON asked.partition = c.partition AND asked.position = c.position
    WHERE p.projection = $1";

/// Reads the live version of one projection, if it is of a layout known here. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PgReader {
    models: PgModels,
    projection: String,
    layout: u32,
}

/// Why nothing was read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadModelError {
    /// No version that this code knows is live: [`ModelError::NoneLive`], [`ModelError::Layout`].
    #[error("there is no live version to read")]
    NotThere(#[source] ModelError),
    /// The version lacks one of the demanded positions: not reached, or parked.
    #[error("the read model is at {reached}, short of {token}")]
    Behind {
        /// What was demanded.
        token: LogPosition,
        /// How far its partition is.
        reached: Position,
    },
    /// A demanded position is of a partition that the version does not have.
    #[error("the read model has no partition {0}")]
    UnknownPartition(Partition),
    /// The server did not answer.
    #[error("could not read the read model")]
    Store(#[source] BoxError),
}

impl From<Error> for ReadModelError {
    fn from(source: Error) -> Self {
        Self::Store(source.into())
    }
}

impl PgReader {
    /// Reads `projection` among `models`, as long as its live version has `layout`.
    #[must_use]
    pub fn new(models: PgModels, projection: impl Into<String>, layout: u32) -> Self {
        Self {
            models,
            projection: projection.into(),
            layout,
        }
    }

    /// Begins a read that reflects every one of `tokens`.
    ///
    /// One snapshot: what the pointer says, how far the version is, what is parked, and every row that
    /// is read after are of one moment.
    ///
    /// # Errors
    ///
    /// [`ReadModelError`]. [`ReadModelError::Behind`] may pass: ask again.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, or the read, ends it.
    pub async fn begin(&self, tokens: &[LogPosition]) -> Result<PgRead, ReadModelError> {
        let pool = self.models.pool();
        let mut transaction = Transaction::on(pool).await.map_err(ReadModelError::Store)?;
        let live = transaction.prepare_cached(&self.fill(LIVE)).await?;
        let parking = transaction.prepare_cached(&self.fill(PARKED)).await?;
        let partitions: Vec<i32> = tokens
            .iter()
            .map(|t| i32::from(t.partition.index()))
            .collect();
        let positions: Vec<i64> = tokens.iter().map(|t| big(t.position.get())).collect();
        let (client, begun) = transaction.begin(BEGIN);
        let projection: [&(dyn ToSql + Sync); 1] = [&self.projection];
        let found = client.query_opt(&live, &projection);
        let asked: [&(dyn ToSql + Sync); 3] = [&self.projection, &partitions, &positions];
        let parked = async {
            match tokens {
                [] => Ok(Vec::new()),
                _ => client.query(&parking, &asked).await,
            }
        };
        let (begun, found, parked) = join3(begun, found, parked).await;
        begun?;
        let found = found?.ok_or_else(|| ModelError::NoneLive {
            projection: self.projection.clone(),
        });
        let found = found.map_err(ReadModelError::NotThere)?;
        let (schema, checkpoints) = self.resolve(&found)?;
        let parked = parked?
            .iter()
            .map(position)
            .collect::<Result<Vec<_>, _>>()?;
        let read = PgRead {
            transaction,
            schema,
            checkpoints,
        };
        read.check(tokens, &parked)?;
        Ok(read)
    }

    /// How far the live version is, by partition: one statement.
    ///
    /// # Errors
    ///
    /// [`ReadModelError::NotThere`], [`ReadModelError::Store`].
    pub async fn places(&self) -> Result<Vec<Position>, ReadModelError> {
        let client = self.models.pool().get().await;
        let client = client.map_err(|error| ReadModelError::Store(error.into()))?;
        let live = client.prepare_cached(&self.fill(LIVE)).await?;
        let found = client.query_opt(&live, &[&self.projection]).await?;
        let found = found.ok_or_else(|| ModelError::NoneLive {
            projection: self.projection.clone(),
        });
        let (_, checkpoints) = self.resolve(&found.map_err(ReadModelError::NotThere)?)?;
        Ok(checkpoints.iter().map(|at| at.position).collect())
    }

    fn fill(&self, sql: &str) -> String {
        self.models.control().fill(sql)
    }

    fn resolve(&self, row: &Row) -> Result<(SchemaName, Vec<Checkpoint>), ReadModelError> {
        let version = self
            .models
            .version(row)
            .map_err(|e| ReadModelError::Store(e.into()))?;
        if version.layout != self.layout {
            return Err(ReadModelError::NotThere(ModelError::Layout {
                projection: self.projection.clone(),
                found: version.layout,
                known: self.layout,
            }));
        }
        let partitions: Vec<i32> = row.try_get(3)?;
        let positions: Vec<i64> = row.try_get(4)?;
        let epochs: Vec<i64> = row.try_get(5)?;
        let mut checkpoints = vec![Checkpoint::default(); partitions.len()];
        for ((partition, position), epoch) in partitions.into_iter().zip(positions).zip(epochs) {
            let slot = usize::try_from(partition)
                .ok()
                .and_then(|p| checkpoints.get_mut(p));
            let holed = || ReadModelError::Store("a partition's checkpoint is missing".into());
            *slot.ok_or_else(holed)? = Checkpoint {
                position: Position::new(nat(position)),
                epoch: nat(epoch),
            };
        }
        Ok((version.schema, checkpoints))
    }
}

fn position(row: &Row) -> Result<LogPosition, Error> {
    let partition = u16::try_from(row.try_get::<_, i32>(0)?).unwrap_or(u16::MAX);
    let position = Position::new(nat(row.try_get(1)?));
    Ok(LogPosition::new(Partition::new(partition), position))
}

/// One snapshot of the live version. Ends where it is dropped.
#[derive(Debug)]
pub struct PgRead {
    transaction: Transaction,
    schema: SchemaName,
    checkpoints: Vec<Checkpoint>,
}

impl PgRead {
    /// Runs a query, in which `{schema}` stands for the version's schema.
    ///
    /// Name the columns one by one. Futures that are polled together are sent together.
    ///
    /// # Errors
    ///
    /// What the server says; the read is not usable after it. One that [`is_outdated`](crate::is_outdated) is worth beginning it again.
    pub async fn query(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, Error> {
        let client: &ClientWrapper = &self.transaction;
        let statement = client.prepare_cached(&self.schema.fill(sql)).await?;
        let rows = client.query(&statement, params).await;
        rows.inspect_err(|error| self.transaction.forget_if_outdated(error))
    }

    /// Runs a query that gives at most one row.
    ///
    /// # Errors
    ///
    /// As [`query`](Self::query); also where there are more rows.
    pub async fn query_opt(
        &self,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, Error> {
        let client: &ClientWrapper = &self.transaction;
        let statement = client.prepare_cached(&self.schema.fill(sql)).await?;
        let row = client.query_opt(&statement, params).await;
        row.inspect_err(|error| self.transaction.forget_if_outdated(error))
    }

    /// The schema of the version.
    #[must_use]
    pub fn schema(&self) -> &SchemaName {
        &self.schema
    }

    /// How far each partition is, by its number.
    #[must_use]
    pub fn checkpoints(&self) -> &[Checkpoint] {
        &self.checkpoints
    }

    fn check(&self, tokens: &[LogPosition], parked: &[LogPosition]) -> Result<(), ReadModelError> {
        let reached = |token: &LogPosition| {
            let checkpoint = self.checkpoints.get(usize::from(token.partition.index()));
            let unknown = ReadModelError::UnknownPartition(token.partition);
            checkpoint.map(|c| c.position).ok_or(unknown)
        };
        for token in tokens {
            reached(token)?;
        }
        for token in tokens
            .iter()
            .filter(|token| token.position != Position::START)
        {
            let reached = reached(token)?;
            if token.position > reached || parked.contains(token) {
                return Err(ReadModelError::Behind {
                    token: *token,
                    reached,
                });
            }
        }
        Ok(())
    }
}
