//! The read model as SQLite sees it.

use cqrs_core::{BoxError, Partition, RecordedEvent};
use cqrs_sqlite::{ApplyFailure, ReadModel};
use rusqlite::Connection;

use crate::model::{Happened, SocialReadModel};
use crate::sqlite::slice::Slice;

/// The version of the tables. Raise it with every change of the tables, or of what events do to them.
const LAYOUT: u32 = 2;

/// What happened, and when: the time of its command, and the version of its stream after it.
#[derive(Debug)]
pub struct Change {
    pub(super) happened: Happened,
    pub(super) at: i64,
    pub(super) version: i64,
}

impl ReadModel for SocialReadModel {
    type Event = Change;

    fn name(&self) -> &str {
        Self::NAME
    }

    fn layout(&self) -> u32 {
        LAYOUT
    }

    fn handles(&self, event_type: &str) -> bool {
        Self::names(event_type)
    }

    fn create(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(include_str!("schema/create.sql"))
    }

    fn index(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(include_str!("schema/index.sql"))
    }

    fn drop_tables(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(include_str!("schema/drop.sql"))
    }

    fn decode(&self, event: &RecordedEvent<'_>) -> Result<Change, BoxError> {
        Ok(Change {
            at: event.commit.header.time.as_millis(),
            version: i64::try_from(event.version.get())?,
            happened: self.happened(event)?,
        })
    }

    fn apply(
        &self,
        connection: &Connection,
        partition: Partition,
        changes: impl Iterator<Item = Result<Change, ApplyFailure>>,
    ) -> Result<(), ApplyFailure> {
        let mut slice = Slice::new(connection, partition);
        for (index, change) in changes.enumerate() {
            let applied = slice.apply(change?, index);
            applied.map_err(|source| ApplyFailure::new(index, source))?;
        }
        slice.flush()
    }
}
