//! A slice of events being folded: each row is written once, in the order of its table.
//!
//! Of a post that begins in the slice nothing is stored, so all that is under it is folded in memory. What is
//! under a post that was stored before is changed where it is stored, event by event; its own row is folded too.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cqrs_core::Partition;
use foldhash::fast::FixedState;
use rusqlite::{Connection, OptionalExtension};
use uuid::Uuid;

use crate::model::Contradiction;
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
    pub(super) stored: Stored,
}

/// What the tables have of a post.
#[derive(Debug)]
pub(super) enum Stored {
    /// Nothing: it begins here, and this is under it.
    No(Under),
    /// Its row as it was, and all that is under it.
    Yes {
        like_count: i64,
        comment_count: i64,
        deleted: bool,
    },
}

/// What is under a post of which nothing is stored.
#[derive(Debug, Default)]
pub(super) struct Under {
    /// By actor.
    pub(super) likes: BTreeMap<String, Like>,
    /// By id.
    pub(super) comments: BTreeMap<Uuid, Comment>,
}

#[derive(Debug)]
pub(super) struct Like {
    pub(super) at: i64,
    /// The event that it is from.
    pub(super) index: usize,
}

#[derive(Debug)]
pub(super) struct Comment {
    pub(super) created_at: i64,
    pub(super) seq: i64,
    pub(super) author: String,
    pub(super) edited_at: Option<i64>,
    pub(super) message: String,
    /// Who likes it.
    pub(super) likes: BTreeSet<String>,
    /// The last event on it.
    pub(super) last: usize,
}

impl Under {
    pub(super) fn comment(&mut self, id: Uuid) -> Result<&mut Comment, Contradiction> {
        let comment = self.comments.get_mut(&id);
        comment.ok_or(Contradiction::NoComment(id))
    }
}

/// What a slice adds to an actor's statistics; zeros where the actor was merely active.
#[derive(Debug, Default)]
pub(super) struct Delta {
    pub(super) posts: i64,
    pub(super) comments: i64,
    pub(super) likes: i64,
    pub(super) last: usize,
}

/// What is added to the statistics, by actor.
#[derive(Debug, Default)]
pub(super) struct Stats(pub(super) HashMap<String, Delta, FixedState>);

impl Stats {
    /// Changes those of `actor`; who is merely active is noted by changing nothing.
    ///
    /// Looks before it inserts, which needs the actor's name as its own.
    pub(super) fn note(&mut self, actor: &str, index: usize, change: impl FnOnce(&mut Delta)) {
        if let Some(delta) = self.0.get_mut(actor) {
            delta.last = index;
            return change(delta);
        }
        let mut delta = Delta {
            last: index,
            ..Delta::default()
        };
        change(&mut delta);
        self.0.insert(actor.to_owned(), delta);
    }
}

/// What a slice changes and has not written yet.
pub(super) struct Slice<'c> {
    pub(super) connection: &'c Connection,
    pub(super) partition: Partition,
    pub(super) posts: HashMap<Uuid, Post, FixedState>,
    pub(super) stats: Stats,
    pub(super) often: Often<'c>,
    next_key: Option<i64>,
}

impl<'c> Slice<'c> {
    pub(super) fn new(connection: &'c Connection, partition: Partition) -> Self {
        Self {
            connection,
            partition,
            posts: HashMap::default(),
            stats: Stats::default(),
            often: Often::default(),
            next_key: None,
        }
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
            self.stats.note(author, index, |stat| stat.likes += likes);
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

    /// What is under the post `id`, where nothing of it is stored; and the statistics.
    pub(super) fn under(&mut self, id: Uuid) -> Option<(&mut Under, &mut Stats)> {
        match &mut self.posts.get_mut(&id)?.stored {
            Stored::No(under) => Some((under, &mut self.stats)),
            Stored::Yes { .. } => None,
        }
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
            stored: Stored::No(Under::default()),
        };
        self.posts.insert(id, post);
        Ok(())
    }
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
