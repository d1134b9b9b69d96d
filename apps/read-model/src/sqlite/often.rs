//! Statements that a slice runs once for each event of a kind: kept, so that none is looked for again.

use rusqlite::{CachedStatement, Connection};

/// Adds a like.
pub(super) const LIKE: usize = 0;
/// Adds a comment.
pub(super) const COMMENT: usize = 1;
/// Counts a comment of an actor's under a post.
pub(super) const COMMENTER: usize = 2;

const SQL: [&str; 3] = [
    "INSERT OR IGNORE INTO social_like (post, actor, at, post_at) VALUES (?1, ?2, ?3, ?4)",
    "INSERT INTO social_comment (post, created_at, seq, id, author, edited_at,
     like_count, message) VALUES (?1, ?2, ?3, ?4, ?5, NULL, 0, ?6)",
    "INSERT INTO social_commenter (post, actor, comments, post_at)
     VALUES (?1, ?2, 1, ?3) ON CONFLICT DO UPDATE SET comments = comments + 1",
];

/// One statement of each kind, once it is wanted.
#[derive(Default)]
pub(super) struct Often<'c>([Option<CachedStatement<'c>>; 3]);

impl<'c> Often<'c> {
    /// The statement of that kind.
    pub(super) fn get(
        &mut self,
        connection: &'c Connection,
        kind: usize,
    ) -> rusqlite::Result<&mut CachedStatement<'c>> {
        let kept = &mut self.0[kind];
        Ok(match kept {
            Some(statement) => statement,
            None => kept.insert(connection.prepare_cached(SQL[kind])?),
        })
    }
}
