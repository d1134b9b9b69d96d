//! Writes the rows that a slice changed, each once, in one round trip.

use cqrs_core::BoxError;
use cqrs_postgres::{Column, Rows, SqlType, Table, Writer};
use futures_util::future::{try_join, try_join_all, try_join3, try_join4};
use tokio_postgres::Error;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use crate::postgres::rows::{Cell, Change, Slice};

pub(super) static POST: Table = Table {
    name: "social_post",
    columns: &[
        Column::key("id", SqlType::Uuid),
        Column::value("author", SqlType::Text),
        Column::value("created_at", SqlType::Int8),
        Column::value("edited_at", SqlType::Int8),
        Column::value("like_count", SqlType::Int8),
        Column::value("comment_count", SqlType::Int8),
        Column::value("message", SqlType::Text),
        Column::version("version"),
    ],
};

pub(super) static LIKE: Table = Table {
    name: "social_like",
    columns: &[
        Column::key("post", SqlType::Uuid),
        Column::key("actor", SqlType::Text),
        Column::value("at", SqlType::Int8),
        Column::value("post_at", SqlType::Int8),
    ],
};

pub(super) static COMMENT: Table = Table {
    name: "social_comment",
    columns: &[
        Column::key("post", SqlType::Uuid),
        Column::key("id", SqlType::Uuid),
        Column::value("created_at", SqlType::Int8),
        Column::value("seq", SqlType::Int8),
        Column::value("author", SqlType::Text),
        Column::value("edited_at", SqlType::Int8),
        Column::value("like_count", SqlType::Int8),
        Column::value("message", SqlType::Text),
    ],
};

pub(super) static COMMENTER: Table = Table {
    name: "social_commenter",
    columns: &[
        Column::key("post", SqlType::Uuid),
        Column::key("actor", SqlType::Text),
        Column::value("comments", SqlType::Int8),
        Column::value("post_at", SqlType::Int8),
    ],
};

pub(super) static COMMENT_LIKE: Table = Table {
    name: "social_comment_like",
    columns: &[
        Column::key("post", SqlType::Uuid),
        Column::key("comment", SqlType::Uuid),
        Column::key("actor", SqlType::Text),
    ],
};

pub(super) static AUTHOR: Table = Table {
    name: "social_author",
    columns: &[
        Column::key("actor", SqlType::Text),
        Column::value("handle", SqlType::Text),
        Column::value("handle_key", SqlType::Text),
        Column::value("handle_since", SqlType::Int8),
        Column::value("display_name", SqlType::Text),
        Column::version("version"),
    ],
};

pub(super) static AUTHOR_STAT: Table = Table {
    name: "social_author_stat",
    columns: &[
        Column::key("actor", SqlType::Text),
        Column::key("partition", SqlType::Int4),
        Column::sum("post_count", SqlType::Int8),
        Column::sum("comment_count", SqlType::Int8),
        Column::sum("likes_received", SqlType::Int8),
    ],
};

/// What is to be done to one table.
struct Changes {
    inserts: Rows,
    updates: Rows,
    deletes: Rows,
}

impl Changes {
    fn new(writer: &Writer<'_>, table: &'static Table) -> Self {
        Self {
            inserts: writer.rows(table),
            updates: writer.rows(table),
            deletes: writer.keys(table),
        }
    }

    /// Adds what became of a row: `key`, and the `values` of its other columns.
    fn add<'a, T>(
        &mut self,
        cell: &'a Cell<T>,
        key: &[&'a (dyn ToSql + Sync)],
        values: impl FnOnce(&'a T) -> Vec<&'a (dyn ToSql + Sync)>,
    ) -> Result<(), BoxError> {
        let (rows, row) = match cell.change() {
            None => return Ok(()),
            Some(Change::Delete) => return self.deletes.push(key),
            Some(Change::Insert(row)) => (&mut self.inserts, row),
            Some(Change::Update(row)) => (&mut self.updates, row),
        };
        rows.push(&[key, &values(row)].concat())
    }

    /// Keys are of one kind only, so that the statements need no order among them.
    async fn write(self, writer: &Writer<'_>) -> Result<(), Error> {
        try_join3(
            writer.insert(self.inserts),
            writer.upsert(self.updates),
            writer.delete(self.deletes),
        )
        .await?;
        Ok(())
    }
}

/// Why a slice could not be written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error(transparent)]
    Row(#[from] BoxError),
    #[error(transparent)]
    Server(#[from] Error),
}

pub(super) async fn write(writer: &Writer<'_>, slice: &Slice) -> Result<(), WriteError> {
    let changes = changes(writer, slice)?;
    let stats = stats(writer, slice)?;
    // First what goes with a post or a comment: nothing of the slice is under these.
    empty(writer, slice).await?;
    if writer.is_bulk() {
        // A COPY cannot share its connection with other statements.
        for table in changes {
            table.write(writer).await?;
        }
        writer.upsert(stats).await?;
        return Ok(());
    }
    let changes = try_join_all(changes.into_iter().map(|table| table.write(writer)));
    try_join(changes, writer.upsert(stats)).await?;
    Ok(())
}

fn changes(writer: &Writer<'_>, slice: &Slice) -> Result<Vec<Changes>, BoxError> {
    let mut posts = Changes::new(writer, &POST);
    for (id, cell) in &slice.posts {
        posts.add(cell, &[id], |post| {
            vec![
                &post.author,
                &post.created_at,
                &post.edited_at,
                &post.like_count,
                &post.comment_count,
                &post.message,
                &post.version,
            ]
        })?;
    }
    let mut likes = Changes::new(writer, &LIKE);
    for ((post, actor), cell) in &slice.likes {
        likes.add(cell, &[post, actor], |like| vec![&like.at, &like.post_at])?;
    }
    let mut comments = Changes::new(writer, &COMMENT);
    for ((post, id), cell) in &slice.comments {
        comments.add(cell, &[post, id], |comment| {
            vec![
                &comment.created_at,
                &comment.seq,
                &comment.author,
                &comment.edited_at,
                &comment.like_count,
                &comment.message,
            ]
        })?;
    }
    let mut commenters = Changes::new(writer, &COMMENTER);
    for ((post, actor), cell) in &slice.commenters {
        commenters.add(cell, &[post, actor], |row| {
            vec![&row.comments, &row.post_at]
        })?;
    }
    let mut comment_likes = Changes::new(writer, &COMMENT_LIKE);
    for ((post, comment, actor), cell) in &slice.comment_likes {
        comment_likes.add(cell, &[post, comment, actor], |()| Vec::new())?;
    }
    let mut authors = Changes::new(writer, &AUTHOR);
    for (actor, cell) in &slice.authors {
        let key = cell.get().map(|author| author.handle.to_ascii_lowercase());
        authors.add(cell, &[actor], |author| {
            vec![
                &author.handle,
                &key,
                &author.handle_since,
                &author.display_name,
                &author.version,
            ]
        })?;
    }
    Ok(vec![
        posts,
        likes,
        comments,
        commenters,
        comment_likes,
        authors,
    ])
}

fn stats(writer: &Writer<'_>, slice: &Slice) -> Result<Rows, BoxError> {
    let partition = i32::from(writer.partition().index());
    let mut rows = writer.rows(&AUTHOR_STAT);
    for (actor, stat) in &slice.stats {
        rows.push(&[actor, &partition, &stat.posts, &stat.comments, &stat.likes])?;
    }
    Ok(rows)
}

async fn empty(writer: &Writer<'_>, slice: &Slice) -> Result<(), Error> {
    if !slice.emptied.is_empty() {
        let posts: [&(dyn ToSql + Sync); 1] = [&slice.emptied];
        let [likes, comments, commenters, comment_likes] = [
            "DELETE FROM {schema}.social_like WHERE post = ANY($1)",
            "DELETE FROM {schema}.social_comment WHERE post = ANY($1)",
            "DELETE FROM {schema}.social_commenter WHERE post = ANY($1)",
            "DELETE FROM {schema}.social_comment_like WHERE post = ANY($1)",
        ]
        .map(|sql| writer.execute(sql, &posts));
        try_join4(likes, comments, commenters, comment_likes).await?;
    }
    if !slice.removed.is_empty() {
        let (posts, comments): (Vec<Uuid>, Vec<Uuid>) = slice.removed.iter().copied().unzip();
        let sql = "DELETE FROM {schema}.social_comment_like t
            USING unnest($1::uuid[], $2::uuid[]) k (post, comment)
            WHERE t.post = k.post AND t.comment = k.comment";
        writer.execute(sql, &[&posts, &comments]).await?;
    }
    Ok(())
}
