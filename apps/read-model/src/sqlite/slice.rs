//! A slice of events being folded: each post's row and each actor's statistics are written once.

use std::collections::HashMap;

use cqrs_core::{BoxError, Partition};
use cqrs_sqlite::ApplyFailure;
use foldhash::fast::FixedState;
use rusqlite::{Connection, OptionalExtension, ToSql, params};
use uuid::Uuid;

use crate::sqlite::often::Often;

/// A post as it stands in the slice.
#[derive(Debug)]
pub(super) struct Post {
    pub(super) key: i64,
    /// `None` when deleted.
    pub(super) author: Option<String>,
    pub(super) created_at: i64,
    pub(super) edited_at: Option<i64>,
    /// The text, where the slice changed it.
    pub(super) message: Option<String>,
    pub(super) like_count: i64,
    pub(super) comment_count: i64,
    pub(super) version: i64,
    /// The last event on it: what a failure to write the row is put down to.
    pub(super) last: usize,
    stored: Stored,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stored {
    No,
    Yes {
        like_count: i64,
        comment_count: i64,
        deleted: bool,
    },
}

/// What a slice adds to an actor's statistics; zeros where the actor was merely active.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) posts: i64,
    pub(super) comments: i64,
    pub(super) likes: i64,
    pub(super) last: usize,
}

type Stats = HashMap<String, Delta, FixedState>;

/// What a slice changes and has not written yet.
pub(super) struct Slice<'c> {
    pub(super) connection: &'c Connection,
    partition: Partition,
    pub(super) posts: HashMap<Uuid, Post, FixedState>,
    stats: Stats,
    pub(super) often: Often<'c>,
    next_key: Option<i64>,
}

impl<'c> Slice<'c> {
    pub(super) fn new(connection: &'c Connection, partition: Partition) -> Self {
        Self {
            connection,
            partition,
            posts: HashMap::default(),
            stats: HashMap::default(),
            often: Often::default(),
            next_key: None,
        }
    }

    /// Changes the statistics of `actor`; who is merely active is noted by changing nothing.
    pub(super) fn stat(&mut self, actor: &str, index: usize, change: impl FnOnce(&mut Delta)) {
        note(&mut self.stats, actor, index, change);
    }

    /// Moves the post's counters, and its author's likes alike.
    pub(super) fn count(&mut self, post: Uuid, index: usize, likes: i64, comments: i64) {
        let Some(post) = self.posts.get_mut(&post) else {
            return;
        };
        post.like_count += likes;
        post.comment_count += comments;
        if likes != 0
            && let Some(author) = &post.author
        {
            note(&mut self.stats, author, index, |stat| stat.likes += likes);
        }
    }

    /// The post `id`, from the slice or else from the table.
    pub(super) fn post(&mut self, id: Uuid) -> rusqlite::Result<Option<&mut Post>> {
        if !self.posts.contains_key(&id) {
            let Some(post) = load(self.connection, id)? else {
                return Ok(None);
            };
            self.posts.insert(id, post);
        }
        Ok(self.posts.get_mut(&id))
    }

    /// Adds a post that the table does not have.
    pub(super) fn create(
        &mut self,
        id: Uuid,
        author: String,
        message: String,
        created_at: i64,
        version: i64,
        last: usize,
    ) -> rusqlite::Result<()> {
        let key = match self.next_key {
            Some(key) => key,
            None => self
                .connection
                .prepare_cached("SELECT coalesce(max(key), 0) + 1 FROM social_post")?
                .query_row([], |row| row.get(0))?,
        };
        self.next_key = Some(key + 1);
        let post = Post {
            key,
            author: Some(author),
            created_at,
            edited_at: None,
            message: Some(message),
            like_count: 0,
            comment_count: 0,
            version,
            last,
            stored: Stored::No,
        };
        self.posts.insert(id, post);
        Ok(())
    }

    /// Writes what is folded: posts in the order of the table, so that new ones fill its last page.
    pub(super) fn flush(self) -> Result<(), ApplyFailure> {
        let mut posts: Vec<_> = self.posts.iter().collect();
        posts.sort_unstable_by_key(|(_, post)| post.key);
        for (id, post) in posts {
            write_post(self.connection, *id, post)
                .map_err(|source| ApplyFailure::new(post.last, source))?;
        }
        for (actor, delta) in &self.stats {
            write_stat(self.connection, self.partition, actor, delta)
                .map_err(|source| ApplyFailure::new(delta.last, source))?;
        }
        Ok(())
    }
}

/// Looks before it inserts, which needs the actor's name as its own.
fn note(stats: &mut Stats, actor: &str, index: usize, change: impl FnOnce(&mut Delta)) {
    if let Some(delta) = stats.get_mut(actor) {
        delta.last = index;
        return change(delta);
    }
    let mut delta = Delta {
        last: index,
        ..Delta::default()
    };
    change(&mut delta);
    stats.insert(actor.to_owned(), delta);
}

fn load(connection: &Connection, id: Uuid) -> rusqlite::Result<Option<Post>> {
    connection
        .prepare_cached(
            "SELECT key, author, created_at, edited_at, like_count, comment_count, version
             FROM social_post WHERE id = ?1",
        )?
        .query_row([id.as_bytes()], |row| {
            let author: Option<String> = row.get(1)?;
            let (like_count, comment_count) = (row.get(4)?, row.get(5)?);
            Ok(Post {
                key: row.get(0)?,
                stored: Stored::Yes {
                    like_count,
                    comment_count,
                    deleted: author.is_none(),
                },
                author,
                created_at: row.get(2)?,
                edited_at: row.get(3)?,
                message: None,
                like_count,
                comment_count,
                version: row.get(6)?,
                last: 0,
            })
        })
        .optional()
}

/// An index is rewritten whenever one of its columns is assigned, changed or not: so each
/// statement assigns no more than it must.
fn write_post(connection: &Connection, id: Uuid, post: &Post) -> Result<(), BoxError> {
    let (likes, comments) = (post.like_count, post.comment_count);
    let message = post.message.as_deref();
    match post.stored {
        Stored::No => connection
            .prepare_cached(
                "INSERT INTO social_post (key, id, author, created_at, edited_at, like_count,
                 comment_count, version, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            )?
            .execute(params![
                post.key,
                id.as_bytes(),
                post.author,
                post.created_at,
                post.edited_at,
                likes,
                comments,
                post.version,
                message.unwrap_or_default()
            ])?,
        Stored::Yes { deleted, .. } if post.author.is_none() != deleted => connection
            .prepare_cached(
                "UPDATE social_post SET author = NULL, created_at = 0, edited_at = NULL,
                 like_count = 0, comment_count = 0, version = ?2, message = '' WHERE key = ?1",
            )?
            .execute(params![post.key, post.version])?,
        Stored::Yes {
            like_count,
            comment_count,
            ..
        } => {
            let mut sets = "version = ?2".to_owned();
            let mut values: Vec<&dyn ToSql> = vec![&post.key, &post.version];
            let mut set = |column: &str, value| {
                values.push(value);
                sets.push_str(&format!(", {column} = ?{}", values.len()));
            };
            if like_count != likes {
                set("like_count", &post.like_count);
            }
            if comment_count != comments {
                set("comment_count", &post.comment_count);
            }
            if let Some(message) = &post.message {
                set("message", message);
                set("edited_at", &post.edited_at);
            }
            let sql = format!("UPDATE social_post SET {sets} WHERE key = ?1");
            connection.prepare_cached(&sql)?.execute(&values[..])?
        }
    };
    Ok(())
}

fn write_stat(
    connection: &Connection,
    partition: Partition,
    actor: &str,
    delta: &Delta,
) -> Result<(), BoxError> {
    let Delta {
        posts,
        comments,
        likes,
        ..
    } = *delta;
    let sql = if (posts, comments, likes) == (0, 0, 0) {
        "INSERT INTO social_author_stat
         (actor, partition, post_count, comment_count, likes_received)
         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING"
    } else {
        "INSERT INTO social_author_stat
         (actor, partition, post_count, comment_count, likes_received)
         VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT DO UPDATE SET post_count = post_count + ?3,
         comment_count = comment_count + ?4, likes_received = likes_received + ?5"
    };
    connection.prepare_cached(sql)?.execute(params![
        actor,
        partition.index(),
        posts,
        comments,
        likes
    ])?;
    Ok(())
}
