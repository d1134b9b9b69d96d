//! What a read model in this store is, and what its queries ask about its progress.

use cqrs_core::{BoxError, Checkpoint, LogPosition, Partition, Position, RecordedEvent};
use rusqlite::{Connection, OptionalExtension, params};

use crate::record::{int, nat};

/// One event could not be applied.
#[derive(Debug, thiserror::Error)]
#[error("event {index} of the batch cannot be applied")]
pub struct ApplyFailure {
    /// Its index in the slice that was given.
    pub index: usize,
    /// Why. A `rusqlite::Error` in here decides by its code between "this event"
    /// and "the store is away"; so box it as it is.
    pub source: BoxError,
}

impl ApplyFailure {
    /// Event `index` failed with `source`.
    pub fn new(index: usize, source: impl Into<BoxError>) -> Self {
        Self {
            index,
            source: source.into(),
        }
    }
}

/// Tables made from events, kept in the store's own file.
///
/// What takes a connection is called on the writer thread inside a transaction, which it
/// must neither begin nor end. Keep the rows a function of the events alone.
pub trait ReadModel: Send + Sync + 'static {
    /// What it needs of an event to change its rows.
    type Event: Send + 'static;

    /// The stable name, under which its checkpoints are kept.
    fn name(&self) -> &str;

    /// The version of its tables; another one than the stored is a rebuild.
    fn layout(&self) -> u32;

    /// Whether it names this stored event type; the rest is skipped.
    fn handles(&self, event_type: &str) -> bool;

    /// Makes its tables, empty.
    ///
    /// # Errors
    ///
    /// What SQLite says; the projection is not opened.
    fn create(&self, connection: &Connection) -> rusqlite::Result<()>;

    /// Makes the indexes that only queries need, and that are missing; a rebuild makes them last.
    ///
    /// # Errors
    ///
    /// What SQLite says; the projection is not opened.
    fn index(&self, connection: &Connection) -> rusqlite::Result<()> {
        let _ = connection;
        Ok(())
    }

    /// Drops its tables, those of any earlier layout too, if they exist.
    ///
    /// # Errors
    ///
    /// What SQLite says; the projection is not opened.
    fn drop_tables(&self, connection: &Connection) -> rusqlite::Result<()>;

    /// Reads a stored event: all the work that needs no row, done by whoever brings the batch while the writer writes.
    ///
    /// # Errors
    ///
    /// Why it cannot be read.
    fn decode(&self, event: &RecordedEvent<'_>) -> Result<Self::Event, BoxError>;

    /// Applies `events`, which are of one partition, in order. One that cannot be read is given back as it comes.
    ///
    /// # Errors
    ///
    /// [`ApplyFailure`] names the event; nothing of the batch stays.
    fn apply(
        &self,
        connection: &Connection,
        partition: Partition,
        events: impl Iterator<Item = Result<Self::Event, ApplyFailure>>,
    ) -> Result<(), ApplyFailure>;
}

/// How far `projection` has done `partition`, in the caller's own transaction.
///
/// The start, at epoch 0, where it was never opened.
///
/// # Errors
///
/// What SQLite says.
pub fn checkpoint_on(
    connection: &Connection,
    projection: &str,
    partition: Partition,
) -> rusqlite::Result<Checkpoint> {
    let found = connection
        .prepare_cached(
            "SELECT position, epoch FROM projection_checkpoint
             WHERE projection = ?1 AND partition = ?2",
        )?
        .query_row(params![projection, partition.index()], |row| {
            Ok(Checkpoint {
                position: Position::new(nat(row.get(0)?)),
                epoch: nat(row.get(1)?),
            })
        })
        .optional()?;
    Ok(found.unwrap_or_default())
}

/// Whether `projection` has parked an event of the commit at `at`, in the caller's own transaction.
///
/// Such a commit counts as not reached, although the checkpoint is past it.
///
/// # Errors
///
/// What SQLite says.
pub fn is_parked_on(
    connection: &Connection,
    projection: &str,
    at: LogPosition,
) -> rusqlite::Result<bool> {
    connection
        .prepare_cached(
            "SELECT 1 FROM parked_event
             WHERE projection = ?1 AND partition = ?2 AND position = ?3 LIMIT 1",
        )?
        .exists(params![
            projection,
            at.partition.index(),
            int(at.position.get())
        ])
}
