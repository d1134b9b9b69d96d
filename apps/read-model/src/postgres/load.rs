//! Fetches every row that the events of a slice can touch, in one round trip.

use std::collections::{BTreeMap, BTreeSet};

use cqrs_postgres::Writer;
use futures_util::future::{try_join, try_join5};
use social_domain::PostEvent;
use tokio_postgres::{Error, Row};
use uuid::Uuid;

use crate::model::Happened;
use crate::postgres::rows::{Author, Cell, Comment, Commenter, Like, Post, Slice};

/// The keys of the rows.
#[derive(Debug, Default)]
struct Keys {
    posts: BTreeSet<Uuid>,
    /// By post and actor.
    likes: BTreeSet<(Uuid, String)>,
    /// By post and id.
    comments: BTreeSet<(Uuid, Uuid)>,
    /// By post, comment and actor.
    comment_likes: BTreeSet<(Uuid, Uuid, String)>,
    /// Posts of which all comments are needed.
    deleted: BTreeSet<Uuid>,
    authors: BTreeSet<String>,
}

impl Keys {
    /// Without what is under the posts `empty`.
    fn of(events: &[Happened], empty: &BTreeSet<Uuid>) -> Self {
        let mut keys = Self::default();
        for event in events {
            match event {
                Happened::ToPost(post, _) if empty.contains(post) => {
                    keys.posts.insert(*post);
                }
                Happened::ToPost(post, event) => keys.of_post(*post, event),
                Happened::ToAuthor(actor, _) => {
                    keys.authors.insert(actor.clone());
                }
            }
        }
        keys
    }

    fn of_post(&mut self, post: Uuid, event: &PostEvent) {
        self.posts.insert(post);
        match event {
            PostEvent::PostCreated(_) | PostEvent::PostEdited(_) => {}
            PostEvent::PostDeleted(_) => {
                self.deleted.insert(post);
            }
            PostEvent::PostLiked(e) => {
                self.likes.insert((post, e.actor.clone()));
            }
            PostEvent::PostUnliked(e) => {
                self.likes.insert((post, e.actor.clone()));
            }
            PostEvent::CommentAdded(e) => {
                self.comments.insert((post, e.comment_id));
            }
            PostEvent::CommentEdited(e) => {
                self.comments.insert((post, e.comment_id));
            }
            PostEvent::CommentRemoved(e) => {
                self.comments.insert((post, e.comment_id));
            }
            PostEvent::CommentLiked(e) => {
                self.comments.insert((post, e.comment_id));
                let like = (post, e.comment_id, e.actor.clone());
                self.comment_likes.insert(like);
            }
            PostEvent::CommentUnliked(e) => {
                self.comments.insert((post, e.comment_id));
                let like = (post, e.comment_id, e.actor.clone());
                self.comment_likes.insert(like);
            }
        }
    }
}

/// The rows that `events` can touch, as they are stored.
pub(super) async fn load(writer: &Writer<'_>, events: &[Happened]) -> Result<Slice, Error> {
    // Nothing is stored under a post that begins here, so nothing is looked for there.
    let created = events.iter().filter_map(|event| match event {
        Happened::ToPost(post, PostEvent::PostCreated(_)) => Some(*post),
        _ => None,
    });
    let created: BTreeSet<Uuid> = created.collect();
    let slice = load_except(writer, events, &created).await?;
    let stored = |post: &Uuid| slice.posts.get(post).and_then(Cell::get).is_some();
    if created.iter().any(stored) {
        // It does not begin here: the event comes again.
        return load_except(writer, events, &BTreeSet::new()).await;
    }
    Ok(slice)
}

/// The same without what is under the posts `empty`.
async fn load_except(
    writer: &Writer<'_>,
    events: &[Happened],
    empty: &BTreeSet<Uuid>,
) -> Result<Slice, Error> {
    let keys = Keys::of(events, empty);
    let under_comments = try_join(
        comments_of_deleted(writer, &keys),
        comment_likes(writer, &keys),
    );
    let (posts, likes, comments, (of_deleted, comment_likes), authors) = try_join5(
        posts(writer, &keys),
        likes(writer, &keys),
        comments(writer, &keys),
        under_comments,
        authors(writer, &keys),
    )
    .await?;
    let mut slice = Slice {
        posts: cells(keys.posts, posts),
        likes: cells(keys.likes, likes),
        comments: cells(keys.comments, comments),
        comment_likes: cells(keys.comment_likes, comment_likes),
        authors: cells(keys.authors, authors),
        ..Slice::default()
    };
    for (key, comment) in of_deleted {
        slice.comments.insert(key, Cell::loaded(Some(comment)));
    }
    slice.commenters = commenters(writer, events, &slice, empty).await?;
    Ok(slice)
}

/// What is stored under `keys`, and that nothing is under the others.
fn cells<K: Ord, T>(keys: BTreeSet<K>, stored: Vec<(K, T)>) -> BTreeMap<K, Cell<T>> {
    let none = keys.into_iter().map(|key| (key, Cell::default()));
    let some = stored.into_iter();
    none.chain(some.map(|(key, row)| (key, Cell::loaded(Some(row)))))
        .collect()
}

async fn posts(writer: &Writer<'_>, keys: &Keys) -> Result<Vec<(Uuid, Post)>, Error> {
    if keys.posts.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<_> = keys.posts.iter().collect();
    let sql =
        "SELECT id, author, created_at, edited_at, like_count, comment_count, message, version
        FROM {schema}.social_post WHERE id = ANY($1)";
    read(writer.query(sql, &[&ids]).await?, |row| {
        let post = Post {
            author: row.try_get(1)?,
            created_at: row.try_get(2)?,
            edited_at: row.try_get(3)?,
            like_count: row.try_get(4)?,
            comment_count: row.try_get(5)?,
            message: row.try_get(6)?,
            version: row.try_get(7)?,
        };
        Ok((row.try_get(0)?, post))
    })
}

async fn likes(writer: &Writer<'_>, keys: &Keys) -> Result<Vec<((Uuid, String), Like)>, Error> {
    if keys.likes.is_empty() {
        return Ok(Vec::new());
    }
    let (posts, actors): (Vec<&Uuid>, Vec<&String>) =
        keys.likes.iter().map(|(p, a)| (p, a)).unzip();
    let sql = "SELECT t.post, t.actor, t.at, t.post_at FROM {schema}.social_like t
        JOIN unnest($1::uuid[], $2::text[]) k (post, actor) ON t.post = k.post AND t.actor = k.actor";
    read(writer.query(sql, &[&posts, &actors]).await?, |row| {
        let like = Like {
            at: row.try_get(2)?,
            post_at: row.try_get(3)?,
        };
        Ok(((row.try_get(0)?, row.try_get(1)?), like))
    })
}

const COMMENT: &str =
    "t.post, t.id, t.created_at, t.seq, t.author, t.edited_at, t.like_count, t.message";

fn comment(row: &Row) -> Result<((Uuid, Uuid), Comment), Error> {
    let comment = Comment {
        created_at: row.try_get(2)?,
        seq: row.try_get(3)?,
        author: row.try_get(4)?,
        edited_at: row.try_get(5)?,
        like_count: row.try_get(6)?,
        message: row.try_get(7)?,
    };
    Ok(((row.try_get(0)?, row.try_get(1)?), comment))
}

async fn comments(writer: &Writer<'_>, keys: &Keys) -> Result<Vec<((Uuid, Uuid), Comment)>, Error> {
    if keys.comments.is_empty() {
        return Ok(Vec::new());
    }
    let (posts, ids): (Vec<_>, Vec<_>) = keys.comments.iter().copied().unzip();
    let sql = format!(
        "SELECT {COMMENT} FROM {{schema}}.social_comment t
         JOIN unnest($1::uuid[], $2::uuid[]) k (post, id) ON t.post = k.post AND t.id = k.id"
    );
    read(writer.query(&sql, &[&posts, &ids]).await?, comment)
}

async fn comments_of_deleted(
    writer: &Writer<'_>,
    keys: &Keys,
) -> Result<Vec<((Uuid, Uuid), Comment)>, Error> {
    if keys.deleted.is_empty() {
        return Ok(Vec::new());
    }
    let posts: Vec<_> = keys.deleted.iter().collect();
    let sql = format!("SELECT {COMMENT} FROM {{schema}}.social_comment t WHERE t.post = ANY($1)");
    read(writer.query(&sql, &[&posts]).await?, comment)
}

async fn comment_likes(
    writer: &Writer<'_>,
    keys: &Keys,
) -> Result<Vec<((Uuid, Uuid, String), ())>, Error> {
    if keys.comment_likes.is_empty() {
        return Ok(Vec::new());
    }
    let (mut posts, mut comments, mut actors) = (Vec::new(), Vec::new(), Vec::new());
    for (post, comment, actor) in &keys.comment_likes {
        posts.push(post);
        comments.push(comment);
        actors.push(actor);
    }
    let sql = "SELECT t.post, t.comment, t.actor FROM {schema}.social_comment_like t
        JOIN unnest($1::uuid[], $2::uuid[], $3::text[]) k (post, comment, actor)
        ON t.post = k.post AND t.comment = k.comment AND t.actor = k.actor";
    let found = writer.query(sql, &[&posts, &comments, &actors]).await?;
    read(found, |row| {
        Ok(((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?), ()))
    })
}

async fn authors(writer: &Writer<'_>, keys: &Keys) -> Result<Vec<(String, Author)>, Error> {
    if keys.authors.is_empty() {
        return Ok(Vec::new());
    }
    let actors: Vec<_> = keys.authors.iter().collect();
    let sql = "SELECT actor, handle, handle_since, display_name, version
        FROM {schema}.social_author WHERE actor = ANY($1)";
    read(writer.query(sql, &[&actors]).await?, |row| {
        let author = Author {
            handle: row.try_get(1)?,
            handle_since: row.try_get(2)?,
            display_name: row.try_get(3)?,
            version: row.try_get(4)?,
        };
        Ok((row.try_get(0)?, author))
    })
}

/// Of those who comment in the slice, and of those whose comments are removed in it, known once these are.
async fn commenters(
    writer: &Writer<'_>,
    events: &[Happened],
    slice: &Slice,
    empty: &BTreeSet<Uuid>,
) -> Result<BTreeMap<(Uuid, String), Cell<Commenter>>, Error> {
    let mut keys = BTreeSet::new();
    for event in events {
        match event {
            Happened::ToPost(post, _) if empty.contains(post) => {}
            Happened::ToPost(post, PostEvent::CommentAdded(added)) => {
                keys.insert((*post, added.author.clone()));
            }
            Happened::ToPost(post, PostEvent::CommentRemoved(removed)) => {
                let comment = slice.comments.get(&(*post, removed.comment_id));
                if let Some(comment) = comment.and_then(Cell::get) {
                    keys.insert((*post, comment.author.clone()));
                }
            }
            _ => {}
        }
    }
    if keys.is_empty() {
        return Ok(cells(keys, Vec::new()));
    }
    let (posts, actors): (Vec<&Uuid>, Vec<&String>) = keys.iter().map(|(p, a)| (p, a)).unzip();
    let sql = "SELECT t.post, t.actor, t.comments, t.post_at FROM {schema}.social_commenter t
        JOIN unnest($1::uuid[], $2::text[]) k (post, actor) ON t.post = k.post AND t.actor = k.actor";
    let found = writer.query(sql, &[&posts, &actors]).await?;
    let found = read(found, |row| {
        let commenter = Commenter {
            comments: row.try_get(2)?,
            post_at: row.try_get(3)?,
        };
        Ok(((row.try_get(0)?, row.try_get(1)?), commenter))
    })?;
    Ok(cells(keys, found))
}

fn read<T>(rows: Vec<Row>, read: impl Fn(&Row) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    rows.iter().map(read).collect()
}
