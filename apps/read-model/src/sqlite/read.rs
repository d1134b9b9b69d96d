//! The reads themselves, each in the caller's read transaction.

use cqrs_core::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;

use crate::cursor::{CommentKey, LikeKey};
use crate::paging::count;
use crate::query::{AuthorKey, Missing, QueryError};
use crate::views::{AuthorView, CommentView, LikeView, PostView, UtcMillis};

pub(super) type Read<T> = Result<T, QueryError>;

pub(super) fn store(source: rusqlite::Error) -> QueryError {
    QueryError::Store {
        source: source.into(),
    }
}

/// The columns of a post, for [`post_view`].
pub(super) const POST: &str =
    "p.id, p.author, a.handle, p.message, p.created_at, p.edited_at, p.like_count,
    p.comment_count, p.version";
const COMMENT: &str =
    "c.id, c.author, a.handle, c.message, c.created_at, c.edited_at, c.like_count, c.seq";

pub(super) fn post(connection: &Connection, id: Uuid) -> Read<PostView> {
    let sql = format!(
        "SELECT {POST} FROM social_post p LEFT JOIN social_author a ON a.actor = p.author
         WHERE p.id = ?1"
    );
    let found = connection
        .prepare_cached(&sql)
        .and_then(|mut s| {
            s.query_row([id.as_bytes()], |row| {
                let deleted = row.get_ref(1)? == ValueRef::Null;
                (!deleted).then(|| post_view(row)).transpose()
            })
            .optional()
        })
        .map_err(store)?;
    found
        .ok_or(QueryError::NotFound(Missing::Post))?
        .ok_or(QueryError::Gone)
}

/// The row number of a post that can be read.
fn post_key(connection: &Connection, id: Uuid) -> Read<i64> {
    let (key, deleted) = connection
        .prepare_cached("SELECT key, author IS NULL FROM social_post WHERE id = ?1")
        .and_then(|mut s| {
            s.query_row([id.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
        .map_err(store)?
        .ok_or(QueryError::NotFound(Missing::Post))?;
    if deleted {
        return Err(QueryError::Gone);
    }
    Ok(key)
}

/// The comments of a page with their keys, one more than `rows` where there are more.
pub(super) fn comments(
    connection: &Connection,
    post: Uuid,
    after: Option<CommentKey>,
    rows: u32,
) -> Read<Vec<(CommentKey, CommentView)>> {
    let key = post_key(connection, post)?;
    let after = after.unwrap_or(CommentKey {
        created_at: i64::MIN,
        seq: i64::MIN,
    });
    let sql = format!(
        "SELECT {COMMENT} FROM social_comment c LEFT JOIN social_author a ON a.actor = c.author
         WHERE c.post = ?1 AND (c.created_at, c.seq) > (?2, ?3)
         ORDER BY c.created_at, c.seq LIMIT ?4"
    );
    let run = || {
        connection
            .prepare_cached(&sql)?
            .query_map(params![key, after.created_at, after.seq, rows + 1], |row| {
                let key = CommentKey {
                    created_at: row.get(4)?,
                    seq: row.get(7)?,
                };
                Ok((key, comment_view(row)?))
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    run().map_err(store)
}

pub(super) fn comment(connection: &Connection, post: Uuid, id: Uuid) -> Read<CommentView> {
    let key = post_key(connection, post)?;
    let sql = format!(
        "SELECT {COMMENT} FROM social_comment c LEFT JOIN social_author a ON a.actor = c.author
         WHERE c.post = ?1 AND c.id = ?2"
    );
    connection
        .prepare_cached(&sql)
        .and_then(|mut s| {
            s.query_row(params![key, id.as_bytes()], comment_view)
                .optional()
        })
        .map_err(store)?
        .ok_or(QueryError::NotFound(Missing::Comment))
}

/// The likes of a page, one more than `rows` where there are more.
pub(super) fn likes(
    connection: &Connection,
    post: Uuid,
    after: Option<LikeKey>,
    rows: u32,
) -> Read<Vec<LikeView>> {
    let key = post_key(connection, post)?;
    // No actor is empty: this stands before the first.
    let after = after.map(|key| key.actor).unwrap_or_default();
    let run = || {
        connection
            .prepare_cached(
                "SELECT actor, at FROM social_like WHERE post = ?1 AND actor > ?2
                 ORDER BY actor LIMIT ?3",
            )?
            .query_map(params![key, after, rows + 1], |row| {
                Ok(LikeView {
                    actor: row.get(0)?,
                    at: time(row.get(1)?),
                })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    run().map_err(store)
}

pub(super) fn author(connection: &Connection, key: &AuthorKey) -> Read<AuthorView> {
    let missing = QueryError::NotFound(Missing::Author);
    let actor = match key {
        AuthorKey::Actor(actor) => actor.as_str().to_owned(),
        // Two hold a handle for as long as the one's change is not seen but the other's is.
        AuthorKey::Handle(handle) => connection
            .prepare_cached(
                "SELECT actor FROM social_author WHERE handle = ?1
                 ORDER BY handle_since DESC, actor DESC LIMIT 1",
            )
            .and_then(|mut s| s.query_row([handle], |row| row.get(0)).optional())
            .map_err(store)?
            .ok_or(missing)?,
    };
    let registered: Option<(String, String)> = connection
        .prepare_cached("SELECT handle, display_name FROM social_author WHERE actor = ?1")
        .and_then(|mut s| {
            s.query_row([&actor], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()
        })
        .map_err(store)?;
    let (active, posts, comments, likes) = connection
        .prepare_cached(
            "SELECT count(*), coalesce(sum(post_count), 0), coalesce(sum(comment_count), 0),
             coalesce(sum(likes_received), 0) FROM social_author_stat WHERE actor = ?1",
        )
        .and_then(|mut s| {
            s.query_row([&actor], |row| {
                Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
        })
        .map_err(store)?;
    if registered.is_none() && active == 0 {
        return Err(QueryError::NotFound(Missing::Author));
    }
    let (handle, display_name) = registered.unzip();
    Ok(AuthorView {
        actor,
        handle,
        display_name,
        post_count: count(posts),
        comment_count: count(comments),
        likes_received: count(likes),
    })
}

pub(super) fn post_view(row: &Row<'_>) -> rusqlite::Result<PostView> {
    Ok(PostView {
        id: id(row, 0)?,
        author: row.get(1)?,
        author_handle: row.get(2)?,
        message: row.get(3)?,
        created_at: time(row.get(4)?),
        edited_at: row.get::<_, Option<i64>>(5)?.map(time),
        like_count: count(row.get(6)?),
        comment_count: count(row.get(7)?),
        version: count(row.get(8)?),
    })
}

fn comment_view(row: &Row<'_>) -> rusqlite::Result<CommentView> {
    Ok(CommentView {
        id: id(row, 0)?,
        author: row.get(1)?,
        author_handle: row.get(2)?,
        message: row.get(3)?,
        created_at: time(row.get(4)?),
        edited_at: row.get::<_, Option<i64>>(5)?.map(time),
        like_count: count(row.get(6)?),
    })
}

fn id(row: &Row<'_>, column: usize) -> rusqlite::Result<Uuid> {
    row.get(column).map(Uuid::from_bytes)
}

fn time(millis: i64) -> UtcMillis {
    Timestamp::from_millis(millis).into()
}
