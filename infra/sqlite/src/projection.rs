//! Projections: batches of a read model as jobs of the writer thread.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cqrs_core::{
    ApplyError, Batch, BoxError, Checkpoint, EventId, EventRef, LogPosition, Parked, ParkedStreams,
    Partition, Position, Projection, ReadError, RecordedCommit, RecordedEvent, StreamName,
};
use rusqlite::{Connection, params};

use crate::error::{ReadFailure, WriteFailure, is_store_failure};
use crate::model::{ApplyFailure, ReadModel, checkpoint_on};
use crate::record::{self, COLUMNS, int, nat, row_id};
use crate::store::SqliteStore;

/// A [`ReadModel`] in the store's own file. Cheap to clone.
///
/// # Delivery
///
/// Rows, checkpoint and parked events change in one savepoint of the group's transaction:
/// a batch is written once or not at all, whatever crashes.
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
    /// [rebuilds](Self::rebuild) where they are of another layout.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Store`].
    pub async fn open(store: SqliteStore, model: M) -> Result<Self, ApplyError> {
        let projection = Self {
            store,
            model: Arc::new(model),
        };
        projection.reset(false).await?;
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
        self.reset(true).await
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

    async fn reset(&self, always: bool) -> Result<(), ApplyError> {
        let model = Arc::clone(&self.model);
        let partitions = self.store.shared().partitions;
        let write = move |connection: &Connection| reset(connection, &*model, partitions, always);
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
        let job = Job::of(Arc::clone(&self.model), batch);
        let written = self.store.write(move |connection| job.run(connection));
        written.await.map_err(refused)
    }
}

impl<M: ReadModel> ParkedStreams for SqliteProjection<M> {
    async fn parked(&self, partition: Partition) -> Result<Vec<Parked>, ApplyError> {
        let model = Arc::clone(&self.model);
        let read = move |connection: &Connection| parked(connection, model.name(), partition);
        self.store.read(read).await.map_err(unread)
    }

    async fn release(&self, partition: Partition, stream: &StreamName) -> Result<(), ApplyError> {
        let (model, stream) = (Arc::clone(&self.model), stream.clone());
        let write = move |connection: &Connection| release(connection, &*model, partition, &stream);
        self.store.write(write).await.map_err(refused)
    }
}

/// A batch that owns what it needs: the commits that one of its events is of.
struct Job<M> {
    model: Arc<M>,
    partition: Partition,
    expected: Checkpoint,
    position: Position,
    commits: Vec<RecordedCommit>,
    apply: Vec<EventRef>,
    park: Vec<(EventRef, Option<String>)>,
}

impl<M: ReadModel> Job<M> {
    fn of(model: Arc<M>, batch: &Batch<'_>) -> Self {
        let mut places = vec![None; batch.commits.len()];
        let mut commits = Vec::new();
        let mut own = |event: EventRef| {
            let place = places.get_mut(event.commit).map(|place| {
                *place.get_or_insert_with(|| {
                    commits.push(batch.commits[event.commit].clone());
                    commits.len() - 1
                })
            });
            EventRef {
                // Out of range stays out of range, and is refused where it is used.
                commit: place.unwrap_or(usize::MAX),
                event: event.event,
            }
        };
        let apply = batch.apply.iter().map(|event| own(*event)).collect();
        let park = batch
            .park
            .iter()
            .map(|(event, reason)| (own(*event), reason.clone()))
            .collect();
        Self {
            model,
            partition: batch.partition,
            expected: batch.expected,
            position: batch.position,
            commits,
            apply,
            park,
        }
    }

    fn run(&self, connection: &Connection) -> Result<(), ApplyError> {
        self.move_checkpoint(connection)?;
        let events = self
            .apply
            .iter()
            .map(|event| recorded(&self.commits, *event))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|source| ApplyError::Store { source })?;
        apply_all(connection, &*self.model, &events)?;
        for (event, reason) in &self.park {
            let event =
                recorded(&self.commits, *event).map_err(|source| ApplyError::Store { source })?;
            park(connection, self.model.name(), &event, reason.as_deref()).map_err(store)?;
        }
        Ok(())
    }

    fn move_checkpoint(&self, connection: &Connection) -> Result<(), ApplyError> {
        let moved = connection
            .prepare_cached(
                "UPDATE projection_checkpoint SET position = ?5
                 WHERE projection = ?1 AND partition = ?2 AND position = ?3 AND epoch = ?4",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    self.model.name(),
                    self.partition.index(),
                    int(self.expected.position.get()),
                    int(self.expected.epoch),
                    int(self.position.get()),
                ])
            });
        match moved.map_err(store)? {
            0 => Err(ApplyError::Stale),
            _ => Ok(()),
        }
    }
}

fn recorded(commits: &[RecordedCommit], event: EventRef) -> Result<RecordedEvent<'_>, BoxError> {
    let commit = commits
        .get(event.commit)
        .ok_or("the batch names a commit that it does not hold")?;
    commit
        .recorded_events()
        .nth(event.event)
        .ok_or_else(|| "the batch names an event that its commit does not hold".into())
}

/// Applies `events`; a panic of the model counts as the failure of the event that it came from.
fn apply_all<M: ReadModel>(
    connection: &Connection,
    model: &M,
    events: &[RecordedEvent<'_>],
) -> Result<(), ApplyError> {
    if events.is_empty() {
        return Ok(());
    }
    let apply = |events: &[RecordedEvent<'_>]| {
        catch_unwind(AssertUnwindSafe(|| model.apply(connection, events)))
    };
    let applied = statement(connection, "SAVEPOINT apply").map(|()| apply(events));
    let applied = match applied.map_err(store)? {
        Ok(applied) => applied,
        Err(_) => {
            // One by one, to find out which event it was.
            statement(connection, "ROLLBACK TO apply").map_err(store)?;
            (0..events.len()).try_for_each(|index| {
                let failed = |source| ApplyFailure { index, source };
                match apply(&events[index..=index]) {
                    Ok(applied) => applied.map_err(|failure| failed(failure.source)),
                    Err(_) => Err(failed("the read model panicked".into())),
                }
            })
        }
    };
    applied.map_err(failed)?;
    statement(connection, "RELEASE apply").map_err(store)
}

fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

fn park(
    connection: &Connection,
    projection: &str,
    event: &RecordedEvent<'_>,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    let (at, stream) = (event.id.at, event.commit.stream.as_str());
    let (partition, position) = (at.partition.index(), int(at.position.get()));
    if let Some(reason) = reason {
        connection
            .prepare_cached(
                "INSERT INTO parked_stream (projection, partition, stream, position, event, reason)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                projection,
                partition,
                stream,
                position,
                event.id.index,
                reason
            ])?;
    }
    connection
        .prepare_cached(
            "INSERT INTO parked_event (projection, partition, position, event, stream)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            projection,
            partition,
            position,
            event.id.index,
            stream
        ])?;
    Ok(())
}

fn parked(
    connection: &Connection,
    projection: &str,
    partition: Partition,
) -> rusqlite::Result<Vec<Parked>> {
    connection
        .prepare_cached(
            "SELECT stream, position, event, reason,
                 (SELECT count(*) FROM parked_event e
                  WHERE e.projection = s.projection AND e.partition = s.partition
                      AND e.stream = s.stream)
             FROM parked_stream s WHERE projection = ?1 AND partition = ?2 ORDER BY position",
        )?
        .query_map(params![projection, partition.index()], |row| {
            let stream = StreamName::parse(row.get_ref(0)?.as_str()?).map_err(|error| {
                let text = rusqlite::types::Type::Text;
                rusqlite::Error::FromSqlConversionFailure(0, text, error.into())
            })?;
            Ok(Parked {
                stream,
                first: EventId {
                    at: LogPosition::new(partition, Position::new(nat(row.get(1)?))),
                    index: row.get(2)?,
                },
                reason: row.get(3)?,
                waiting: nat(row.get(4)?),
            })
        })?
        .collect()
}

fn release<M: ReadModel>(
    connection: &Connection,
    model: &M,
    partition: Partition,
    stream: &StreamName,
) -> Result<(), ApplyError> {
    let name = model.name();
    let waiting = waiting(connection, name, partition, stream).map_err(store)?;
    let mut commits: Vec<RecordedCommit> = Vec::new();
    let mut places = Vec::with_capacity(waiting.len());
    for (position, event) in waiting {
        let at = LogPosition::new(partition, position);
        if commits.last().is_none_or(|commit| commit.at != at) {
            commits.push(commit_at(connection, at)?);
        }
        places.push(EventRef {
            commit: commits.len() - 1,
            event,
        });
    }
    let events = places
        .into_iter()
        .map(|place| recorded(&commits, place))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|source| ApplyError::Store { source })?;
    apply_all(connection, model, &events)?;
    for table in ["parked_event", "parked_stream"] {
        let sql =
            format!("DELETE FROM {table} WHERE projection = ?1 AND partition = ?2 AND stream = ?3");
        connection
            .prepare_cached(&sql)
            .and_then(|mut s| s.execute(params![name, partition.index(), stream.as_str()]))
            .map_err(store)?;
    }
    Ok(())
}

fn waiting(
    connection: &Connection,
    projection: &str,
    partition: Partition,
    stream: &StreamName,
) -> rusqlite::Result<Vec<(Position, usize)>> {
    connection
        .prepare_cached(
            "SELECT position, event FROM parked_event
             WHERE projection = ?1 AND partition = ?2 AND stream = ?3 ORDER BY position, event",
        )?
        .query_map(
            params![projection, partition.index(), stream.as_str()],
            |row| {
                let event = usize::try_from(row.get::<_, u32>(1)?).unwrap_or(usize::MAX);
                Ok((Position::new(nat(row.get(0)?)), event))
            },
        )?
        .collect()
}

fn commit_at(connection: &Connection, at: LogPosition) -> Result<RecordedCommit, ApplyError> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM commits WHERE at = ?1"))
        .and_then(|mut statement| statement.query_row([row_id(at)], |row| Ok(record::read(row))))
        .map_err(store)?
        .map_err(|error: ReadError| ApplyError::Store {
            source: error.into(),
        })
}

/// Makes the model's tables, or empties them where they are of another layout or it is asked for.
fn reset<M: ReadModel>(
    connection: &Connection,
    model: &M,
    partitions: u16,
    always: bool,
) -> rusqlite::Result<()> {
    let name = model.name();
    let (layout, epoch) = connection
        .prepare_cached(
            "SELECT max(layout), max(epoch) FROM projection_checkpoint WHERE projection = ?1",
        )?
        .query_row([name], |row| {
            Ok((row.get::<_, Option<u32>>(0)?, row.get::<_, Option<i64>>(1)?))
        })?;
    if layout == Some(model.layout()) && !always {
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

/// An event's failure is poison unless SQLite says that the store itself failed.
fn failed(failure: ApplyFailure) -> ApplyError {
    let ApplyFailure { index, source } = failure;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(source.as_ref());
    while let Some(error) = cause {
        if error
            .downcast_ref::<rusqlite::Error>()
            .is_some_and(is_store_failure)
        {
            return ApplyError::Store { source };
        }
        cause = error.source();
    }
    ApplyError::Poison { index, source }
}

fn store(source: rusqlite::Error) -> ApplyError {
    ApplyError::Store {
        source: source.into(),
    }
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
