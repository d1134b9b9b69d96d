//! What an author's events do to the rows: at once, since there are few of them.

use cqrs_core::BoxError;
use rusqlite::params;
use social_domain::AuthorEvent;

use crate::model::Contradiction;
use crate::sqlite::slice::Slice;

impl Slice<'_> {
    /// Applies one event; one that was applied before changes nothing.
    pub(super) fn apply_to_author(
        &mut self,
        actor: &str,
        event: AuthorEvent,
        at: i64,
        version: i64,
    ) -> Result<(), BoxError> {
        let changed = match event {
            AuthorEvent::AuthorRegistered(e) => {
                self.connection
                    .prepare_cached(
                        "INSERT INTO social_author (actor, handle, handle_since, display_name, version)
                         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![actor, e.handle, at, e.display_name, version])?;
                return Ok(());
            }
            AuthorEvent::HandleChanged(e) => self
                .connection
                .prepare_cached(
                    "UPDATE social_author SET handle = ?2, handle_since = ?3, version = ?4
                     WHERE actor = ?1 AND version < ?4",
                )?
                .execute(params![actor, e.handle, at, version])?,
            AuthorEvent::DisplayNameChanged(e) => self
                .connection
                .prepare_cached(
                    "UPDATE social_author SET display_name = ?2, version = ?3
                     WHERE actor = ?1 AND version < ?3",
                )?
                .execute(params![actor, e.display_name, version])?,
        };
        let known = changed > 0
            || self
                .connection
                .prepare_cached("SELECT 1 FROM social_author WHERE actor = ?1")?
                .exists([actor])?;
        known
            .then_some(())
            .ok_or_else(|| Contradiction::NotRegistered.into())
    }
}
