//! The reads themselves, each in the caller's read transaction.

use cqrs_core::{Actor, Timestamp};
use rusqlite::types::{Value, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params, params_from_iter};
use uuid::Uuid;

use crate::cursor::{CommentKey, LikeKey, NewKey, TopKey};
use crate::query::{AuthorKey, Missing, PostFilter, QueryError, Sort};
use crate::views::{AuthorView, CommentView, LikeView, PostView, UtcMillis};

type Read<T> = Result<T, QueryError>;

/// Where a page of posts begins.
#[derive(Debug, Clone, Copy)]
pub(super) enum After {
    New(NewKey),
    Top(TopKey),
}

pub(super) fn store(source: rusqlite::Error) -> QueryError {
    QueryError::Store {
        source: source.into(),
    }
}

/// The columns of a post, for [`post_view`].
const POST: &str = "p.id, p.author, a.handle, p.message, p.created_at, p.edited_at, p.like_count,
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

/// The posts of a page, one row more than `rows` where there are more.
pub(super) fn posts(
    connection: &Connection,
    filter: &PostFilter,
    after: Option<After>,
    rows: u32,
) -> Read<Vec<PostView>> {
    let (sql, values) = posts_sql(filter, after, rows);
    let run = || {
        connection
            .prepare_cached(&sql)?
            .query_map(params_from_iter(values), post_view)?
            .collect::<rusqlite::Result<Vec<_>>>()
    };
    run().map_err(store)
}

/// The page's keys are found first, so that no text is carried through a sort. What drives the
/// search is said, not left to the planner, which knows no sizes: the actor's likes or comments, of
/// which there are fewer than posts; else the index that has the order.
fn posts_sql(filter: &PostFilter, after: Option<After>, rows: u32) -> (String, Vec<Value>) {
    let mut values = Vec::new();
    let mut bind = |value: Value| {
        values.push(value);
        format!("?{}", values.len())
    };
    let text = |actor: &Actor| Value::from(actor.as_str().to_owned());
    let mut tests = vec!["p.author IS NOT NULL".to_owned()];
    let mut commented_by = filter.commented_by.as_ref();
    let from = if let Some(actor) = &filter.liked_by {
        let actor = bind(text(actor));
        tests.push(format!("l.actor = {actor}"));
        "social_like l INDEXED BY social_like_actor CROSS JOIN social_post p ON p.key = l.post"
            .to_owned()
    } else if let Some(actor) = commented_by.take() {
        let actor = bind(text(actor));
        format!(
            "(SELECT DISTINCT post FROM social_comment WHERE author = {actor}) c
             CROSS JOIN social_post p ON p.key = c.post"
        )
    } else {
        let index = match (&filter.author, filter.sort) {
            (Some(_), _) => "social_post_author",
            (None, Sort::New) => "social_post_new",
            (None, Sort::Top) => "social_post_top",
        };
        format!("social_post p INDEXED BY {index}")
    };
    if let Some(actor) = &filter.author {
        tests.push(format!("p.author = {}", bind(text(actor))));
    }
    if let Some(actor) = commented_by {
        let actor = bind(text(actor));
        tests.push(format!(
            "EXISTS (SELECT 1 FROM social_comment c WHERE c.author = {actor} AND c.post = p.key)"
        ));
    }
    for (column, least) in [
        ("like_count", filter.min_likes),
        ("comment_count", filter.min_comments),
    ] {
        if let Some(least) = least {
            let least = bind(Value::from(i64::try_from(least).unwrap_or(i64::MAX)));
            tests.push(format!("p.{column} >= {least}"));
        }
    }
    match after {
        Some(After::New(key)) => {
            let at = bind(key.created_at.into());
            let id = bind(key.id.as_bytes().to_vec().into());
            tests.push(format!("(p.created_at, p.id) < ({at}, {id})"));
        }
        Some(After::Top(key)) => {
            let likes = bind(key.like_count.into());
            let at = bind(key.created_at.into());
            let id = bind(key.id.as_bytes().to_vec().into());
            tests.push(format!(
                "(p.like_count, p.created_at, p.id) < ({likes}, {at}, {id})"
            ));
        }
        None => {}
    }
    let order = match filter.sort {
        Sort::New => "p.created_at DESC, p.id DESC",
        Sort::Top => "p.like_count DESC, p.created_at DESC, p.id DESC",
    };
    let limit = bind(i64::from(rows + 1).into());
    let tests = tests.join(" AND ");
    let sql = format!(
        "SELECT {POST} FROM
         (SELECT p.key AS key FROM {from} WHERE {tests} ORDER BY {order} LIMIT {limit}) page
         CROSS JOIN social_post p ON p.key = page.key
         LEFT JOIN social_author a ON a.actor = p.author ORDER BY {order}"
    );
    (sql, values)
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

fn post_view(row: &Row<'_>) -> rusqlite::Result<PostView> {
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

/// Counts are never below zero.
fn count(stored: i64) -> u64 {
    stored.max(0).unsigned_abs()
}

/// Cuts the row that was read only to know that there are more; its list goes on after the last.
pub(super) fn cut<T>(mut rows: Vec<T>, limit: u32) -> (Vec<T>, bool) {
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    (rows, more)
}
