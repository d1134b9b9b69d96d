//! Projections: batches of a read model as jobs of the writer thread.

use std::sync::Arc;

use cqrs_core::{
    ApplyError, Batch, Checkpoint, Parked, ParkedStreams, Partition, Projection, RunnerOptions,
    StreamName,
};
use rusqlite::{Connection, params};

use crate::batch::Job;
use crate::decoded::Decoder;
use crate::error::{ReadFailure, WriteFailure};
use crate::model::{ReadModel, checkpoint_on};
use crate::parking;
use crate::store::SqliteStore;
use crate::writer::Keeping;

/// How many events a slice of a rebuild has. The store ends slices by their bytes, too.
const REBUILD_EVENTS: usize = 10_000;
/// So many events are decoded before the writer is asked, which others wait for too; of more it takes the first while the rest
/// are decoded.
const AT_ONCE: usize = 1_000;

/// A [`ReadModel`] in the store's own file. Cheap to clone.
///
/// # Delivery
///
/// Rows, checkpoint and parked events change in one savepoint of the group's transaction:
/// a batch is written once or not at all, whatever crashes. A batch does not wait for the disk: after a
/// power loss (a crash of the process is none) rows and checkpoint may stand where they stood before, and the
/// runner goes on from there. The log never steps back: it was on the disk before any batch was made from it. So
/// who was answered from the model at a position may find it behind that position until the runner has caught up, and
/// is told so where the position is asked for: no answer takes an older state for that one.
#[derive(Debug)]
pub struct SqliteProjection<M> {
    store: SqliteStore,
    model: Arc<M>,
}

impl<M> Clone for SqliteProjection<M> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            model: Arc::clone(&self.model),
        }
    }
}

impl<M: ReadModel> SqliteProjection<M> {
    /// Opens `model` in `store`: makes its tables where there are none, and
    /// [rebuilds](Self::rebuild) where they are of another layout. Makes the indexes that a rebuild left out which was
    /// not finished.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Store`].
    pub async fn open(store: SqliteStore, model: M) -> Result<Self, ApplyError> {
        let projection = Self {
            store,
            model: Arc::new(model),
        };
        projection.reset(Reset::Outdated).await?;
        projection.finish_rebuild().await?;
        Ok(projection)
    }

    /// Empties the tables and starts again from the log's beginning, under a new epoch.
    ///
    /// Whoever runs the projection applies the history anew; until then queries see less.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Store`].
    pub async fn rebuild(&self) -> Result<(), ApplyError> {
        self.reset(Reset::Always).await?;
        self.finish_rebuild().await
    }

    /// As [`rebuild`](Self::rebuild), but leaves out the indexes that only queries need, which cost less when they are made
    /// last: by [`finish_rebuild`](Self::finish_rebuild), or else when the projection is next opened. No query may run until then.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Store`].
    pub async fn begin_rebuild(&self) -> Result<(), ApplyError> {
        self.reset(Reset::Always).await
    }

    /// Makes the indexes that [`begin_rebuild`](Self::begin_rebuild) left out; nothing where there are all.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Store`].
    pub async fn finish_rebuild(&self) -> Result<(), ApplyError> {
        let model = Arc::clone(&self.model);
        let write = move |connection: &Connection| model.index(connection);
        self.store.write(write).await.map_err(unwritten)
    }

    /// How to apply a whole history soonest: in slices so large that most rows are written once.
    ///
    /// Beside a server that answers, the smaller ones of the default keep rows current.
    #[must_use]
    pub fn rebuild_options(&self) -> RunnerOptions {
        RunnerOptions {
            max_events: REBUILD_EVENTS,
            read_ahead: true,
            ..RunnerOptions::default()
        }
    }

    /// The read model.
    #[must_use]
    pub fn model(&self) -> &M {
        &self.model
    }

    /// The store that it is in.
    #[must_use]
    pub fn store(&self) -> &SqliteStore {
        &self.store
    }

    async fn reset(&self, when: Reset) -> Result<(), ApplyError> {
        let model = Arc::clone(&self.model);
        let partitions = self.store.shared().partitions;
        let write = move |connection: &Connection| reset(connection, &*model, partitions, when);
        self.store.write(write).await.map_err(unwritten)
    }
}

impl<M: ReadModel> Projection for SqliteProjection<M> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn handles(&self, event_type: &str) -> bool {
        self.model.handles(event_type)
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Checkpoint, ApplyError> {
        let model = Arc::clone(&self.model);
        let read =
            move |connection: &Connection| checkpoint_on(connection, model.name(), partition);
        self.store.read(read).await.map_err(unread)
    }

    async fn apply(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        let (mut decoder, decoded) = Decoder::of(&*self.model, batch);
        let job = Job::of(Arc::clone(&self.model), batch, decoded);
        if batch.apply.len() <= AT_ONCE {
            decoder.run();
        }
        // What it is made from is durable; it need not wait for the disk itself.
        let written = self
            .store
            .write_keeping(Keeping::Derived, move |connection| job.run(connection));
        decoder.run();
        written.await.map_err(refused)
    }
}

impl<M: ReadModel> ParkedStreams for SqliteProjection<M> {
    async fn parked(&self, partition: Partition) -> Result<Vec<Parked>, ApplyError> {
        let model = Arc::clone(&self.model);
        let read =
            move |connection: &Connection| parking::parked(connection, model.name(), partition);
        self.store.read(read).await.map_err(unread)
    }

    async fn release(&self, partition: Partition, stream: &StreamName) -> Result<(), ApplyError> {
        let (model, stream) = (Arc::clone(&self.model), stream.clone());
        let write = move |connection: &Connection| {
            parking::release(connection, &*model, partition, &stream)
        };
        self.store.write(write).await.map_err(refused)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reset {
    Always,
    /// Where the tables are of another layout, or missing.
    Outdated,
}

/// Makes the model's tables, or empties them where they are of another layout or it is asked for.
fn reset<M: ReadModel>(
    connection: &Connection,
    model: &M,
    partitions: u16,
    when: Reset,
) -> rusqlite::Result<()> {
    let name = model.name();
    let (layout, epoch) = connection
        .prepare_cached(
            "SELECT max(layout), max(epoch) FROM projection_checkpoint WHERE projection = ?1",
        )?
        .query_row([name], |row| {
            Ok((row.get::<_, Option<u32>>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
    if layout == Some(model.layout()) && when == Reset::Outdated {
        return Ok(());
    }
    tracing::info!(
        projection = name,
        layout = model.layout(),
        "read model begins anew"
    );
    model.drop_tables(connection)?;
    model.create(connection)?;
    for table in ["parked_event", "parked_stream", "projection_checkpoint"] {
        connection.execute(
            &format!("DELETE FROM {table} WHERE projection = ?1"),
            [name],
        )?;
    }
    for partition in Partition::all(partitions) {
        connection.execute(
            "INSERT INTO projection_checkpoint (projection, partition, position, epoch, layout)
             VALUES (?1, ?2, 0, ?3, ?4)",
            params![
                name,
                partition.index(),
                epoch.map_or(0, |epoch| epoch + 1),
                model.layout()
            ],
        )?;
    }
    Ok(())
}

fn refused(failure: WriteFailure<ApplyError>) -> ApplyError {
    match failure {
        WriteFailure::Failed(error) => error,
        WriteFailure::Store(failure) => ApplyError::Store {
            source: failure.into(),
        },
        WriteFailure::Overloaded => ApplyError::Store {
            source: "the writer's queue is full".into(),
        },
    }
}

fn unwritten(failure: WriteFailure<rusqlite::Error>) -> ApplyError {
    ApplyError::Store {
        source: failure.into(),
    }
}

fn unread(failure: ReadFailure<rusqlite::Error>) -> ApplyError {
    ApplyError::Store {
        source: failure.into(),
    }
}
