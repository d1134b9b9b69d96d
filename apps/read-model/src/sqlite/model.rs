//! The read model as SQLite sees it.

use cqrs_core::RecordedEvent;
use cqrs_sqlite::{ApplyFailure, ReadModel};
use rusqlite::Connection;

use crate::model::SocialReadModel;
use crate::sqlite::slice::Slice;

/// The version of the tables. Raise it with every change of the tables, or of what events do to them.
const LAYOUT: u32 = 2;

impl ReadModel for SocialReadModel {
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

    fn apply(
        &self,
        connection: &Connection,
        events: &[RecordedEvent<'_>],
    ) -> Result<(), ApplyFailure> {
        let mut first = 0;
        for run in events.chunk_by(|a, b| a.id.at.partition == b.id.at.partition) {
            let mut slice = Slice::new(connection, run[0].id.at.partition);
            for (event, index) in run.iter().zip(first..) {
                slice
                    .apply(self, event, index)
                    .map_err(|source| ApplyFailure::new(index, source))?;
            }
            slice.flush()?;
            first += run.len();
        }
        Ok(())
    }
}
