//! The read model as PostgreSQL sees it.

use cqrs_core::RecordedEvent;
use cqrs_postgres::{ApplyFailure, PgReadModel, Table, Writer};

use crate::model::{Happened, SocialReadModel};
use crate::postgres::fold::When;
use crate::postgres::load::load;
use crate::postgres::write::{self, WriteError};

/// The version of the tables. Raise it with every change of the tables, or of what events do to them.
pub(super) const LAYOUT: u32 = 1;

const INDEXES: &str = include_str!("schema/indexes.sql");

impl PgReadModel for SocialReadModel {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn layout(&self) -> u32 {
        LAYOUT
    }

    fn handles(&self, event_type: &str) -> bool {
        Self::names(event_type)
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![
            &write::POST,
            &write::LIKE,
            &write::COMMENT,
            &write::COMMENTER,
            &write::COMMENT_LIKE,
            &write::AUTHOR,
            &write::AUTHOR_STAT,
        ]
    }

    fn create_tables(&self) -> &'static str {
        include_str!("schema/tables.sql")
    }

    fn create_indexes(&self) -> &'static str {
        INDEXES
    }

    fn index_parts(&self) -> Vec<&'static str> {
        let parts = INDEXES.split(';').map(str::trim);
        parts.filter(|part| !part.is_empty()).collect()
    }

    async fn apply(
        &self,
        writer: &Writer<'_>,
        events: &[RecordedEvent<'_>],
    ) -> Result<(), ApplyFailure> {
        let mut happened = Vec::with_capacity(events.len());
        for (index, event) in events.iter().enumerate() {
            let decoded = self.happened(event);
            happened.push(decoded.map_err(|source| ApplyFailure::at(index, source))?);
        }
        let mut slice = load(writer, &happened).await?;
        for (index, (happened, event)) in happened.into_iter().zip(events).enumerate() {
            let when = When {
                at: event.commit.header.time.as_millis(),
                version: i64::try_from(event.version.get())
                    .map_err(|source| ApplyFailure::at(index, source))?,
            };
            let folded = match happened {
                Happened::ToPost(post, event) => slice.apply_to_post(post, event, when),
                Happened::ToAuthor(actor, event) => slice.apply_to_author(actor, event, when),
            };
            folded.map_err(|source| ApplyFailure::at(index, source))?;
        }
        write::write(writer, &slice)
            .await
            .map_err(|failed| match failed {
                WriteError::Row(source) => ApplyFailure::somewhere(source),
                WriteError::Server(source) => source.into(),
            })
    }
}
