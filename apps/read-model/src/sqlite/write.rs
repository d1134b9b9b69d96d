//! Writes what a slice has folded, table by table, each in the order of its key: so new rows fill its last page.

use std::collections::BTreeMap;

use cqrs_core::BoxError;
use cqrs_sqlite::ApplyFailure;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, ToSql, params};
use uuid::Uuid;

use crate::sqlite::bulk::{Rows, maybe, text};
use crate::sqlite::slice::{Comment, Post, Slice, Stats, Stored, Under};

impl Slice<'_> {
    pub(super) fn flush(self) -> Result<(), ApplyFailure> {
        let mut posts: Vec<_> = self.posts.iter().collect();
        posts.sort_unstable_by_key(|(_, post)| post.key);
        let mut new = Rows::into(
            "social_post (key, id, author, created_at, edited_at, like_count, comment_count,
             version, message)",
        );
        for (id, post) in &posts {
            match post.stored {
                Stored::Yes { .. } => update(self.connection, post)
                    .map_err(|source| ApplyFailure::new(post.last, source))?,
                Stored::No(_) => new.push(
                    post.last,
                    [
                        ValueRef::Integer(post.key),
                        ValueRef::Blob(id.as_bytes()),
                        post.author.as_deref().map_or(ValueRef::Null, text),
                        ValueRef::Integer(post.created_at),
                        maybe(post.edited_at),
                        ValueRef::Integer(post.like_count),
                        ValueRef::Integer(post.comment_count),
                        ValueRef::Integer(post.version),
                        text(post.message.as_deref().unwrap_or_default()),
                    ],
                ),
            }
        }
        new.insert(self.connection)?;
        let under: Vec<_> = posts
            .into_iter()
            .filter_map(|(_, post)| match &post.stored {
                Stored::No(under) => Some((post, under)),
                Stored::Yes { .. } => None,
            })
            .collect();
        likes(&under).insert(self.connection)?;
        comments(&under).insert(self.connection)?;
        commenters(&under).insert(self.connection)?;
        comment_likes(&under).insert(self.connection)?;
        let partition = i64::from(self.partition.index());
        for rows in stats(&self.stats, partition) {
            rows.insert(self.connection)?;
        }
        Ok(())
    }
}

fn likes<'a>(posts: &[(&Post, &'a Under)]) -> Rows<'a, 4> {
    let mut rows = Rows::into("social_like (post, actor, at, post_at)");
    for (post, under) in posts {
        for (actor, like) in &under.likes {
            rows.push(
                like.index,
                [
                    ValueRef::Integer(post.key),
                    text(actor),
                    ValueRef::Integer(like.at),
                    ValueRef::Integer(post.created_at),
                ],
            );
        }
    }
    rows
}

/// The comments in the order of the table.
fn ordered(under: &Under) -> Vec<(&Uuid, &Comment)> {
    let mut comments: Vec<_> = under.comments.iter().collect();
    comments.sort_unstable_by_key(|(_, comment)| (comment.created_at, comment.seq));
    comments
}

fn comments<'a>(posts: &[(&Post, &'a Under)]) -> Rows<'a, 8> {
    let mut rows = Rows::into(
        "social_comment (post, created_at, seq, id, author, edited_at, like_count, message)",
    );
    for (post, under) in posts {
        for (id, comment) in ordered(under) {
            rows.push(
                comment.last,
                [
                    ValueRef::Integer(post.key),
                    ValueRef::Integer(comment.created_at),
                    ValueRef::Integer(comment.seq),
                    ValueRef::Blob(id.as_bytes()),
                    text(&comment.author),
                    maybe(comment.edited_at),
                    ValueRef::Integer(i64::try_from(comment.likes.len()).unwrap_or(i64::MAX)),
                    text(&comment.message),
                ],
            );
        }
    }
    rows
}

fn commenters<'a>(posts: &[(&Post, &'a Under)]) -> Rows<'a, 4> {
    let mut rows = Rows::into("social_commenter (post, actor, comments, post_at)");
    for (post, under) in posts {
        let mut counts = BTreeMap::<&str, (i64, usize)>::new();
        for comment in under.comments.values() {
            let (count, last) = counts.entry(&comment.author).or_default();
            *count += 1;
            *last = comment.last.max(*last);
        }
        for (actor, (count, last)) in counts {
            rows.push(
                last,
                [
                    ValueRef::Integer(post.key),
                    text(actor),
                    ValueRef::Integer(count),
                    ValueRef::Integer(post.created_at),
                ],
            );
        }
    }
    rows
}

fn comment_likes<'a>(posts: &[(&Post, &'a Under)]) -> Rows<'a, 3> {
    let mut rows = Rows::into("social_comment_like (post, seq, actor)");
    for (post, under) in posts {
        let mut comments: Vec<_> = under.comments.values().collect();
        comments.sort_unstable_by_key(|comment| comment.seq);
        for comment in comments {
            for actor in &comment.likes {
                rows.push(
                    comment.last,
                    [
                        ValueRef::Integer(post.key),
                        ValueRef::Integer(comment.seq),
                        text(actor),
                    ],
                );
            }
        }
    }
    rows
}

/// Of those who are merely active, and of the others.
fn stats(stats: &Stats, partition: i64) -> [Rows<'_, 5>; 2] {
    let into = "social_author_stat (actor, partition, post_count, comment_count, likes_received)";
    let mut active = Rows::into(into).or("DO NOTHING");
    let mut moved = Rows::into(into).or(
        "DO UPDATE SET post_count = post_count + excluded.post_count,
         comment_count = comment_count + excluded.comment_count,
         likes_received = likes_received + excluded.likes_received",
    );
    let mut all: Vec<_> = stats.0.iter().collect();
    all.sort_unstable_by_key(|(actor, _)| *actor);
    for (actor, delta) in all {
        let counts = [delta.posts, delta.comments, delta.likes];
        let rows = match counts {
            [0, 0, 0] => &mut active,
            _ => &mut moved,
        };
        let [posts, comments, likes] = counts.map(ValueRef::Integer);
        let partition = ValueRef::Integer(partition);
        rows.push(delta.last, [text(actor), partition, posts, comments, likes]);
    }
    [active, moved]
}

/// An index is rewritten whenever one of its columns is assigned, changed or not: so each
/// statement assigns no more than it must.
fn update(connection: &Connection, post: &Post) -> Result<(), BoxError> {
    let Stored::Yes {
        like_count,
        comment_count,
        deleted,
    } = post.stored
    else {
        return Ok(());
    };
    if post.author.is_none() != deleted {
        connection
            .prepare_cached(
                "UPDATE social_post SET author = NULL, created_at = 0, edited_at = NULL,
                 like_count = 0, comment_count = 0, version = ?2, message = '' WHERE key = ?1",
            )?
            .execute(params![post.key, post.version])?;
        return Ok(());
    }
    let mut sets = "version = ?2".to_owned();
    let mut values: Vec<&dyn ToSql> = vec![&post.key, &post.version];
    let mut set = |column: &str, value| {
        values.push(value);
        sets.push_str(&format!(", {column} = ?{}", values.len()));
    };
    if like_count != post.like_count {
        set("like_count", &post.like_count);
    }
    if comment_count != post.comment_count {
        set("comment_count", &post.comment_count);
    }
    if let Some(message) = &post.message {
        set("message", message);
        set("edited_at", &post.edited_at);
    }
    let sql = format!("UPDATE social_post SET {sets} WHERE key = ?1");
    connection.prepare_cached(&sql)?.execute(&values[..])?;
    Ok(())
}
