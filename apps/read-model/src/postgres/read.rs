//! The reads of single things and of what is under a post, each in the caller's snapshot.

use cqrs_core::Timestamp;
use cqrs_postgres::PgRead;
use futures_util::future::try_join;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use crate::cursor::{CommentKey, LikeKey};
use crate::paging::count;
use crate::query::{AuthorKey, Missing, QueryError};
use crate::views::{AuthorView, CommentView, LikeView, PostView, UtcMillis};

pub(super) type Found<T> = Result<T, QueryError>;

pub(super) fn store(source: Error) -> QueryError {
    QueryError::Store {
        source: source.into(),
    }
}

/// The columns of a post, for [`post_view`].
pub(super) const POST: &str = "p.id, p.author, a.handle, p.message, p.created_at, p.edited_at,
    p.like_count, p.comment_count, p.version";
const COMMENT: &str =
    "c.id, c.author, a.handle, c.message, c.created_at, c.edited_at, c.like_count, c.seq";

pub(super) async fn post(read: &PgRead, id: Uuid) -> Found<PostView> {
    let sql = format!(
        "SELECT {POST} FROM {{schema}}.social_post p
         LEFT JOIN {{schema}}.social_author a ON a.actor = p.author WHERE p.id = $1"
    );
    let row = read.query_opt(&sql, &[&id]).await.map_err(store)?;
    let row = row.ok_or(QueryError::NotFound(Missing::Post))?;
    match row.try_get::<_, Option<&str>>(1).map_err(store)? {
        Some(_) => post_view(&row).map_err(store),
        None => Err(QueryError::Gone),
    }
}

/// Whether `id` is a post that can be read.
async fn readable(read: &PgRead, id: Uuid) -> Found<()> {
    let sql = "SELECT author IS NULL FROM {schema}.social_post WHERE id = $1";
    let row = read.query_opt(sql, &[&id]).await.map_err(store)?;
    let row = row.ok_or(QueryError::NotFound(Missing::Post))?;
    match row.try_get(0).map_err(store)? {
        true => Err(QueryError::Gone),
        false => Ok(()),
    }
}

pub(super) async fn comments(
    read: &PgRead,
    post: Uuid,
    after: Option<CommentKey>,
    rows: u32,
) -> Found<Vec<(CommentKey, CommentView)>> {
    let after = after.unwrap_or(CommentKey {
        created_at: i64::MIN,
        seq: i64::MIN,
    });
    let sql = format!(
        "SELECT {COMMENT} FROM {{schema}}.social_comment c
         LEFT JOIN {{schema}}.social_author a ON a.actor = c.author
         WHERE c.post = $1 AND (c.created_at, c.seq) > ($2, $3)
         ORDER BY c.created_at, c.seq LIMIT $4"
    );
    let limit = i64::from(rows) + 1;
    let query = async {
        read.query(&sql, &[&post, &after.created_at, &after.seq, &limit])
            .await
            .map_err(store)
    };
    let ((), found) = try_join(readable(read, post), query).await?;
    let keyed = |row: &Row| {
        let key = CommentKey {
            created_at: row.try_get(4)?,
            seq: row.try_get(7)?,
        };
        Ok((key, comment_view(row)?))
    };
    found
        .iter()
        .map(keyed)
        .collect::<Result<_, _>>()
        .map_err(store)
}

pub(super) async fn comment(read: &PgRead, post: Uuid, id: Uuid) -> Found<CommentView> {
    let sql = format!(
        "SELECT {COMMENT} FROM {{schema}}.social_comment c
         LEFT JOIN {{schema}}.social_author a ON a.actor = c.author
         WHERE c.post = $1 AND c.id = $2"
    );
    let query = async { read.query_opt(&sql, &[&post, &id]).await.map_err(store) };
    let ((), row) = try_join(readable(read, post), query).await?;
    let row = row.ok_or(QueryError::NotFound(Missing::Comment))?;
    comment_view(&row).map_err(store)
}

pub(super) async fn likes(
    read: &PgRead,
    post: Uuid,
    after: Option<LikeKey>,
    rows: u32,
) -> Found<Vec<LikeView>> {
    // No actor is empty: this stands before the first.
    let after = after.map(|key| key.actor).unwrap_or_default();
    let limit = i64::from(rows) + 1;
    let sql = "SELECT actor, at FROM {schema}.social_like WHERE post = $1 AND actor > $2
        ORDER BY actor LIMIT $3";
    let query = async {
        read.query(sql, &[&post, &after, &limit])
            .await
            .map_err(store)
    };
    let ((), found) = try_join(readable(read, post), query).await?;
    let view = |row: &Row| {
        Ok(LikeView {
            actor: row.try_get(0)?,
            at: time(row.try_get(1)?),
        })
    };
    found
        .iter()
        .map(view)
        .collect::<Result<_, _>>()
        .map_err(store)
}

pub(super) async fn author(read: &PgRead, key: &AuthorKey) -> Found<AuthorView> {
    let missing = || QueryError::NotFound(Missing::Author);
    let actor = match key {
        AuthorKey::Actor(actor) => actor.as_str().to_owned(),
        // Two hold a handle for as long as the one's change is not seen but the other's is.
        AuthorKey::Handle(handle) => {
            let sql = "SELECT actor FROM {schema}.social_author WHERE handle_key = $1
                ORDER BY handle_since DESC, actor DESC LIMIT 1";
            let handle = handle.to_ascii_lowercase();
            let row = read.query_opt(sql, &[&handle]).await.map_err(store)?;
            row.ok_or_else(missing)?.try_get(0).map_err(store)?
        }
    };
    // Sums of bigint are numeric: brought back.
    let sql = "SELECT count(*), coalesce(sum(post_count), 0)::bigint,
        coalesce(sum(comment_count), 0)::bigint, coalesce(sum(likes_received), 0)::bigint
        FROM {schema}.social_author_stat WHERE actor = $1";
    let registered = "SELECT handle, display_name FROM {schema}.social_author WHERE actor = $1";
    let actors: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&actor];
    let asked = try_join(
        read.query_opt(registered, &actors),
        read.query_opt(sql, &actors),
    );
    let (registered, stats) = asked.await.map_err(store)?;
    let stats = stats.ok_or_else(missing)?;
    let stat = |column| stats.try_get::<_, i64>(column).map_err(store);
    if registered.is_none() && stat(0)? == 0 {
        return Err(missing());
    }
    let text = |column| match &registered {
        Some(row) => row.try_get(column).map_err(store),
        None => Ok(None),
    };
    let (handle, display_name) = (text(0)?, text(1)?);
    Ok(AuthorView {
        actor: actor.clone(),
        handle,
        display_name,
        post_count: count(stat(1)?),
        comment_count: count(stat(2)?),
        likes_received: count(stat(3)?),
    })
}

pub(super) fn post_view(row: &Row) -> Result<PostView, Error> {
    Ok(PostView {
        id: row.try_get(0)?,
        author: row.try_get(1)?,
        author_handle: row.try_get(2)?,
        message: row.try_get(3)?,
        created_at: time(row.try_get(4)?),
        edited_at: row.try_get::<_, Option<i64>>(5)?.map(time),
        like_count: count(row.try_get(6)?),
        comment_count: count(row.try_get(7)?),
        version: count(row.try_get(8)?),
    })
}

fn comment_view(row: &Row) -> Result<CommentView, Error> {
    Ok(CommentView {
        id: row.try_get(0)?,
        author: row.try_get(1)?,
        author_handle: row.try_get(2)?,
        message: row.try_get(3)?,
        created_at: time(row.try_get(4)?),
        edited_at: row.try_get::<_, Option<i64>>(5)?.map(time),
        like_count: count(row.try_get(6)?),
    })
}

fn time(millis: i64) -> UtcMillis {
    Timestamp::from_millis(millis).into()
}
