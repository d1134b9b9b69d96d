//! The read model as the store sees it.

use cqrs_core::{Codec, Event, RecordedEvent};
use cqrs_sqlite::{ApplyFailure, ReadModel};
use rusqlite::Connection;
use social_domain::{AuthorEvent, PostEvent};

use crate::sqlite::slice::Slice;

/// The social read model's tables: posts, comments, likes, authors and what is counted of them.
///
/// Rows are a function of the events alone: neither a clock nor the order in which partitions are
/// read shows in an answer.
#[derive(Debug, Default)]
pub struct SocialReadModel {
    pub(crate) posts: Codec<PostEvent>,
    pub(crate) authors: Codec<AuthorEvent>,
}

impl SocialReadModel {
    /// The name under which its checkpoints are kept.
    pub const NAME: &'static str = "social";
    /// The version of its tables. Raise it with every change of the tables, or of what events do to them.
    pub const LAYOUT: u32 = 2;

    /// A model that reads events in their current shapes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A model that reads older shapes through the upcasters of these codecs.
    #[must_use]
    pub fn with_codecs(posts: Codec<PostEvent>, authors: Codec<AuthorEvent>) -> Self {
        Self { posts, authors }
    }
}

impl ReadModel for SocialReadModel {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn layout(&self) -> u32 {
        Self::LAYOUT
    }

    fn handles(&self, event_type: &str) -> bool {
        PostEvent::TYPES
            .iter()
            .chain(AuthorEvent::TYPES)
            .any(|(name, _)| *name == event_type)
    }

    fn create(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(include_str!("schema/create.sql"))
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
