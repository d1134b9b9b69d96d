//! What is answered: an author's activity, page by page.

use cqrs_core::BoxError;
use cqrs_postgres::{PgModels, PgReader, ReadModelError};
use serde::Serialize;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::model::{LAYOUT, NAME};

/// What happened to one of an author's posts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// `liked`, `unliked`, `commented` or `comment-removed`.
    kind: String,
    post: Uuid,
    /// Which comment; `None` for likes.
    comment: Option<Uuid>,
    /// Who did it.
    actor: String,
    /// When: RFC 3339, UTC, milliseconds.
    at: String,
}

/// A page of them, newest first.
#[derive(Debug, Serialize)]
pub(crate) struct Page {
    items: Vec<Entry>,
    /// Where the next page begins.
    next: Option<String>,
}

/// Where a walk stands: the last entry's time, partition, position and number in its commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cursor {
    at: i64,
    partition: i32,
    position: i64,
    event: i32,
}

impl Cursor {
    /// Before the newest.
    pub(crate) const START: Self = Self {
        at: i64::MAX,
        partition: i32::MAX,
        position: i64::MAX,
        event: i32::MAX,
    };

    /// Reads what a page said; `None` where no page says that.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.');
        let mut number = || numbers.next()?.parse::<i64>().ok();
        let cursor = Self {
            at: number()?,
            partition: number()?.try_into().ok()?,
            position: number()?,
            event: number()?.try_into().ok()?,
        };
        // One cursor has one spelling.
        (cursor.to_string() == text).then_some(cursor)
    }
}

impl std::fmt::Display for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            at,
            partition,
            position,
            event,
        } = self;
        write!(f, "{at}.{partition}.{position}.{event}")
    }
}

/// Reads the live version. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Queries(PgReader);

impl Queries {
    pub(crate) fn new(models: PgModels) -> Self {
        Self(PgReader::new(models, NAME, LAYOUT))
    }

    /// Whether there is something to read.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(crate) async fn ping(&self) -> Result<(), ReadModelError> {
        self.0.begin(&[]).await.map(drop)
    }

    /// At most `limit` entries of `author` after `cursor`, newest first.
    ///
    /// # Errors
    ///
    /// PostgreSQL did not answer.
    pub(crate) async fn list(
        &self,
        author: &str,
        limit: u32,
        cursor: Cursor,
    ) -> Result<Page, BoxError> {
        let read = self.0.begin(&[]).await?;
        let sql = "SELECT kind, post, comment, actor, at, partition, position, event
            FROM {schema}.activity
            WHERE author = $1 AND (at, partition, position, event) < ($2, $3, $4, $5)
            ORDER BY at DESC, partition DESC, position DESC, event DESC LIMIT $6";
        let Cursor {
            at,
            partition,
            position,
            event,
        } = cursor;
        // One more, to see whether there is a next page.
        let rows = i64::from(limit) + 1;
        let params: [&(dyn ToSql + Sync); 6] = [&author, &at, &partition, &position, &event, &rows];
        let mut found = read.query(sql, &params).await?;
        let more = found.len() > usize::try_from(limit)?;
        found.truncate(usize::try_from(limit)?);
        let mut items = Vec::with_capacity(found.len());
        let mut last = None;
        for row in &found {
            let at = row.try_get(4)?;
            last = Some(Cursor {
                at,
                partition: row.try_get(5)?,
                position: row.try_get(6)?,
                event: row.try_get(7)?,
            });
            items.push(Entry {
                kind: row.try_get(0)?,
                post: row.try_get(1)?,
                comment: row.try_get(2)?,
                actor: row.try_get(3)?,
                at: format!("{:.3}", jiff::Timestamp::from_millisecond(at)?),
            });
        }
        let next = last.filter(|_| more).map(|cursor| cursor.to_string());
        Ok(Page { items, next })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_has_one_spelling() {
        let cursor = Cursor {
            at: 1_700_000_000_000,
            partition: 3,
            position: 42,
            event: 0,
        };
        assert_eq!(cursor.to_string(), "1700000000000.3.42.0");
        assert_eq!(Cursor::parse("1700000000000.3.42.0"), Some(cursor));
        for damaged in [
            "",
            "1",
            "1.2.3",
            "1.2.3.4.5",
            "01.2.3.4",
            "+1.2.3.4",
            "1.2.3.x",
            "1.9999999999.3.4",
        ] {
            assert_eq!(Cursor::parse(damaged), None, "{damaged}");
        }
    }
}
