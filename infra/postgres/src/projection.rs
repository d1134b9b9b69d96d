//! Feeding one version: rows, checkpoint and parked events in one transaction.
//!
//! Invariants:
//!
//! - Whoever writes rows of a partition of a version holds the lock of its checkpoint row, taken before
//!   its first read: batches, releases and drops of one partition come one after another.
//! - Before that it holds the version's gate, an advisory lock, shared: a verifier that holds it alone has the version
//!   standing still.
//! - The checkpoint moves by compare-and-set in the transaction of the rows: a batch is written once or
//!   not at all, whoever writes it and however often.
//! - A batch is refused where it disagrees with the store about which streams are parked.
//! - A version without checkpoint rows is written by nobody: retired ones have none.
//! - A `COMMIT` counts only where no statement before it failed, also one that the model kept to itself.
//!
//! | what happens | what is found | end |
//! |---|---|---|
//! | the connection is lost before the commit | nothing was written | [`ApplyError::Store`]; load, again |
//! | it is lost during the commit | all or nothing was written | the same: the checkpoint says which |
//! | two write the same slice | the second waits for the row lock, then finds the checkpoint moved | [`ApplyError::Stale`] |
//! | a zombie writes an old slice | its expected checkpoint is long passed | [`ApplyError::Stale`] |
//! | a stream is released between load and batch | the batch still parks it | [`ApplyError::Stale`] |
//! | a statement refuses a value, or the model panics | the transaction is rolled back, the slice applied again in parts, each in a savepoint, halved until one event is left | [`ApplyError::Poison`] with its index; if all parts apply, they are committed |
//! | serialization failure, deadlock, time-out, shutdown, no such table | the transaction is rolled back | [`ApplyError::Store`]: never parked for |
//! | a row that a statement would refuse is changed again by the same slice | it is written once, as it is at the end | no failure: where slices end decides it, and nothing hangs on it |
//! | a deferred constraint refuses the commit | the transaction is rolled back, the slice applied again in parts, what is deferred checked after each | [`ApplyError::Poison`] with its index |
//! | a statement for several events exceeds the server's time-out | the same, each part smaller, so that its statements are | what is done in time is committed; one event that is not is [`ApplyError::Store`]: never parked for |
//! | a parked commit cannot be read back | its stream stays parked | [`ApplyError::Poison`] on its release |
//! | a cached statement no longer fits its table (0A000) | the statements are forgotten; batch, release or read is tried once more | as then |
//! | the writer stands still, or its host is lost, with the lock held | the server ends its session after the statement time-out | whoever is next goes on; the writer's own end is [`ApplyError::Store`] |
//! | the server crashes after the answer | the tail may be lost (`synchronous_commit = off`): rows, checkpoint and parked events together | the slice is applied again |
//! | the version is retired meanwhile | its checkpoint rows are gone | [`ApplyError::Stale`], then [`ApplyError::Store`] on load |

mod apply;
mod parked;
mod wire;

use std::sync::Arc;

use cqrs_core::{
    ApplyError, Batch, Checkpoint, Parked, ParkedStreams, Partition, Position, Projection,
    StreamName, Writing,
};

use crate::error::away;
use crate::model::PgReadModel;
use crate::models::{ModelVersion, PgModels, int};

/// One version of a [`PgReadModel`], to be fed. Cheap to clone.
///
/// # Delivery
///
/// Rows, checkpoint and parked events change in one transaction: a batch is written once or not at
/// all, whatever crashes, and however many write at once.
#[derive(Debug)]
pub struct PgProjection<M> {
    models: PgModels,
    version: ModelVersion,
    model: Arc<M>,
    writing: Writing,
}

impl<M> Clone for PgProjection<M> {
    fn clone(&self) -> Self {
        Self {
            models: self.models.clone(),
            version: self.version.clone(),
            model: Arc::clone(&self.model),
            writing: self.writing,
        }
    }
}

impl<M: PgReadModel> PgProjection<M> {
    /// Feeds `version` of `model`, which must be of its layout. Nothing is asked yet.
    #[must_use]
    pub fn new(models: PgModels, version: ModelVersion, model: Arc<M>) -> Self {
        Self {
            models,
            version,
            model,
            writing: Writing::Feeding,
        }
    }

    /// The same, written so.
    pub(crate) fn written(mut self, writing: Writing) -> Self {
        self.writing = writing;
        self
    }

    /// The version that it feeds.
    #[must_use]
    pub fn version(&self) -> &ModelVersion {
        &self.version
    }

    /// The read model.
    #[must_use]
    pub fn model(&self) -> &M {
        &self.model
    }

    fn key(&self) -> i32 {
        int(self.version.version)
    }

    fn fill(&self, sql: &str) -> String {
        self.models.control().fill(sql)
    }
}

impl<M: PgReadModel> Projection for PgProjection<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn handles(&self, event_type: &str) -> bool {
        self.model.handles(event_type)
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Checkpoint, ApplyError> {
        let client = self.models.pool().get().await.map_err(away)?;
        let sql = self.fill(
            "SELECT position, epoch FROM {schema}.checkpoint WHERE version = $1 AND partition = $2",
        );
        let statement = client.prepare_cached(&sql).await.map_err(away)?;
        let partition = i32::from(partition.index());
        let row = client
            .query_opt(&statement, &[&self.key(), &partition])
            .await;
        let Some(row) = row.map_err(away)? else {
            let schema = &self.version.schema;
            return Err(away(format!(
                "`{schema}` is retired, or has no partition {partition}"
            )));
        };
        Ok(Checkpoint {
            position: Position::new(nat(row.try_get(0).map_err(away)?)),
            epoch: nat(row.try_get(1).map_err(away)?),
        })
    }

    async fn apply(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        self.apply_batch(batch).await
    }
}

impl<M: PgReadModel> ParkedStreams for PgProjection<M> {
    async fn parked(&self, partition: Partition) -> Result<Vec<Parked>, ApplyError> {
        self.list_parked(partition).await
    }

    async fn release(&self, partition: Partition, stream: &StreamName) -> Result<(), ApplyError> {
        self.release_stream(partition, stream).await
    }
}

/// A count as PostgreSQL's integer; none of ours comes near 2^63.
pub(crate) fn big(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// PostgreSQL's integer as a count; a negative one, which we never write, as 0.
pub(crate) fn nat(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
