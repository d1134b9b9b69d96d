//! What each event does to the rows.

use std::collections::BTreeSet;
use std::collections::btree_map::Entry;

use cqrs_core::BoxError;
use rusqlite::{OptionalExtension, params};
use social_domain::{CommentAdded, CommentEdited, PostEvent};
use uuid::Uuid;

use crate::model::{Contradiction, Happened};
use crate::sqlite::model::Change;
use crate::sqlite::often;
use crate::sqlite::slice::{Comment, Like, Slice};

/// A stored comment's place in its table, and whose it is.
struct Found {
    created_at: i64,
    seq: i64,
    author: String,
    like_count: i64,
}

/// Where an event is applied.
struct Place {
    post: Uuid,
    key: i64,
    post_at: i64,
    at: i64,
    version: i64,
    index: usize,
}

impl Slice<'_> {
    /// Applies one event; one that was applied before changes nothing.
    pub(super) fn apply(&mut self, change: Change, index: usize) -> Result<(), BoxError> {
        let Change {
            happened,
            at,
            version,
        } = change;
        match happened {
            Happened::ToPost(post, event) => self.apply_to_post(post, event, at, version, index),
            Happened::ToAuthor(actor, event) => self.apply_to_author(&actor, event, at, version),
        }
    }

    fn apply_to_post(
        &mut self,
        id: Uuid,
        event: PostEvent,
        at: i64,
        version: i64,
        index: usize,
    ) -> Result<(), BoxError> {
        let Some(post) = self.post(id)? else {
            let PostEvent::PostCreated(created) = event else {
                return Err(Contradiction::NoPost.into());
            };
            self.stats
                .note(&created.author, index, |stat| stat.posts += 1);
            self.create(id, created.author, created.message, at, version, index)?;
            return Ok(());
        };
        if version <= post.version {
            return Ok(());
        }
        if post.author.is_none() {
            return Err(Contradiction::Deleted.into());
        }
        post.version = version;
        post.last = index;
        let place = Place {
            post: id,
            key: post.key,
            post_at: post.created_at,
            at,
            version,
            index,
        };
        match event {
            // Its first event makes the row: this is a repeat under a later version.
            PostEvent::PostCreated(_) => Ok(()),
            PostEvent::PostEdited(edited) => {
                post.message = Some(edited.message);
                post.edited_at = Some(at);
                Ok(())
            }
            PostEvent::PostDeleted(_) => self.delete_post(&place),
            PostEvent::PostLiked(liked) => self.like_post(&place, liked.actor),
            PostEvent::PostUnliked(unliked) => self.unlike_post(&place, &unliked.actor),
            PostEvent::CommentAdded(added) => self.add_comment(&place, added),
            PostEvent::CommentEdited(edited) => self.edit_comment(&place, edited),
            PostEvent::CommentRemoved(c) => self.remove_comment(&place, c.comment_id),
            PostEvent::CommentLiked(c) => self.like_comment(&place, c.comment_id, c.actor),
            PostEvent::CommentUnliked(c) => self.unlike_comment(&place, c.comment_id, &c.actor),
        }
    }

    fn like_post(&mut self, place: &Place, actor: String) -> Result<(), BoxError> {
        self.stats.note(&actor, place.index, |_| {});
        let liked = match self.under(place.post) {
            Some((under, _)) => match under.likes.entry(actor) {
                Entry::Occupied(_) => 0,
                Entry::Vacant(vacant) => {
                    let (at, index) = (place.at, place.index);
                    vacant.insert(Like { at, index });
                    1
                }
            },
            None => {
                let like = self.often.get(self.connection, often::LIKE)?;
                rows(like.execute(params![place.key, actor, place.at, place.post_at])?)?
            }
        };
        self.count(place.post, place.index, liked, 0);
        Ok(())
    }

    fn unlike_post(&mut self, place: &Place, actor: &str) -> Result<(), BoxError> {
        self.stats.note(actor, place.index, |_| {});
        let unliked = match self.under(place.post) {
            Some((under, _)) => i64::from(under.likes.remove(actor).is_some()),
            None => rows(
                self.connection
                    .prepare_cached("DELETE FROM social_like WHERE post = ?1 AND actor = ?2")?
                    .execute(params![place.key, actor])?,
            )?,
        };
        self.count(place.post, place.index, -unliked, 0);
        Ok(())
    }

    fn add_comment(&mut self, place: &Place, added: CommentAdded) -> Result<(), BoxError> {
        let (id, author) = (added.comment_id, added.author);
        self.stats
            .note(&author, place.index, |stat| stat.comments += 1);
        if let Some((under, _)) = self.under(place.post) {
            let Entry::Vacant(vacant) = under.comments.entry(id) else {
                return Err(Contradiction::CommentAgain(id).into());
            };
            vacant.insert(Comment {
                created_at: place.at,
                seq: place.version,
                author,
                edited_at: None,
                message: added.message,
                likes: BTreeSet::new(),
                last: place.index,
            });
        } else {
            let (key, message) = (place.key, added.message);
            let comment = self.often.get(self.connection, often::COMMENT)?;
            let id = id.as_bytes();
            comment.execute(params![key, place.at, place.version, id, author, message])?;
            let commenter = self.often.get(self.connection, often::COMMENTER)?;
            commenter.execute(params![key, author, place.post_at])?;
        }
        self.count(place.post, place.index, 0, 1);
        Ok(())
    }

    fn edit_comment(&mut self, place: &Place, edited: CommentEdited) -> Result<(), BoxError> {
        let (id, message) = (edited.comment_id, edited.message);
        if let Some((under, _)) = self.under(place.post) {
            let comment = under.comment(id)?;
            comment.message = message;
            comment.edited_at = Some(place.at);
            comment.last = place.index;
            return Ok(());
        }
        let changed = self
            .connection
            .prepare_cached(
                "UPDATE social_comment SET message = ?3, edited_at = ?4 WHERE post = ?1 AND id = ?2",
            )?
            .execute(params![place.key, id.as_bytes(), message, place.at])?;
        if changed == 0 {
            return Err(Contradiction::NoComment(id).into());
        }
        Ok(())
    }

    fn remove_comment(&mut self, place: &Place, id: Uuid) -> Result<(), BoxError> {
        let (author, likes) = match self.under(place.post) {
            Some((under, _)) => {
                let removed = under.comments.remove(&id);
                let removed = removed.ok_or(Contradiction::NoComment(id))?;
                (removed.author, rows(removed.likes.len())?)
            }
            None => self.remove_stored(place, id)?,
        };
        self.stats.note(&author, place.index, |stat| {
            stat.comments -= 1;
            stat.likes -= likes;
        });
        self.count(place.post, place.index, 0, -1);
        Ok(())
    }

    /// Whose it was, and its likes.
    fn remove_stored(&self, place: &Place, id: Uuid) -> Result<(String, i64), BoxError> {
        let comment = self.found(place, id)?;
        self.connection
            .prepare_cached(
                "DELETE FROM social_comment WHERE post = ?1 AND created_at = ?2 AND seq = ?3",
            )?
            .execute(params![place.key, comment.created_at, comment.seq])?;
        let left: i64 = self
            .connection
            .prepare_cached(
                "UPDATE social_commenter SET comments = comments - 1 WHERE post = ?1 AND actor = ?2
                 RETURNING comments",
            )?
            .query_row(params![place.key, comment.author], |row| row.get(0))?;
        if left == 0 {
            self.connection
                .prepare_cached("DELETE FROM social_commenter WHERE post = ?1 AND actor = ?2")?
                .execute(params![place.key, comment.author])?;
        }
        if comment.like_count > 0 {
            self.connection
                .prepare_cached("DELETE FROM social_comment_like WHERE post = ?1 AND seq = ?2")?
                .execute(params![place.key, comment.seq])?;
        }
        Ok((comment.author, comment.like_count))
    }

    fn like_comment(&mut self, place: &Place, id: Uuid, actor: String) -> Result<(), BoxError> {
        self.stats.note(&actor, place.index, |_| {});
        if let Some((under, stats)) = self.under(place.post) {
            let comment = under.comment(id)?;
            comment.last = place.index;
            if comment.likes.insert(actor) {
                stats.note(&comment.author, place.index, |stat| stat.likes += 1);
            }
            return Ok(());
        }
        let comment = self.found(place, id)?;
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT OR IGNORE INTO social_comment_like (post, seq, actor) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![place.key, comment.seq, actor])?;
        self.count_stored(place, &comment, rows(inserted)?)
    }

    fn unlike_comment(&mut self, place: &Place, id: Uuid, actor: &str) -> Result<(), BoxError> {
        self.stats.note(actor, place.index, |_| {});
        if let Some((under, stats)) = self.under(place.post) {
            let comment = under.comment(id)?;
            comment.last = place.index;
            if comment.likes.remove(actor) {
                stats.note(&comment.author, place.index, |stat| stat.likes -= 1);
            }
            return Ok(());
        }
        let comment = self.found(place, id)?;
        let deleted = self
            .connection
            .prepare_cached(
                "DELETE FROM social_comment_like WHERE post = ?1 AND seq = ?2 AND actor = ?3",
            )?
            .execute(params![place.key, comment.seq, actor])?;
        self.count_stored(place, &comment, -rows(deleted)?)
    }

    fn count_stored(&mut self, place: &Place, comment: &Found, likes: i64) -> Result<(), BoxError> {
        if likes != 0 {
            self.connection
                .prepare_cached(
                    "UPDATE social_comment SET like_count = like_count + ?4
                     WHERE post = ?1 AND created_at = ?2 AND seq = ?3",
                )?
                .execute(params![place.key, comment.created_at, comment.seq, likes])?;
            self.stats
                .note(&comment.author, place.index, |stat| stat.likes += likes);
        }
        Ok(())
    }

    fn found(&self, place: &Place, id: Uuid) -> Result<Found, BoxError> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT created_at, seq, author, like_count FROM social_comment
                 WHERE post = ?1 AND id = ?2",
            )?
            .query_row(params![place.key, id.as_bytes()], |row| {
                Ok(Found {
                    created_at: row.get(0)?,
                    seq: row.get(1)?,
                    author: row.get(2)?,
                    like_count: row.get(3)?,
                })
            })
            .optional()?;
        found.ok_or_else(|| Contradiction::NoComment(id).into())
    }

    /// Empties the post's row and takes back all that it and what is under it counted for.
    fn delete_post(&mut self, place: &Place) -> Result<(), BoxError> {
        let likes = match self.posts.get(&place.post) {
            Some(post) => post.like_count,
            None => 0,
        };
        self.count(place.post, place.index, -likes, 0);
        match self.under(place.post) {
            Some((under, stats)) => {
                for comment in std::mem::take(under).comments.into_values() {
                    let likes = rows(comment.likes.len())?;
                    stats.note(&comment.author, place.index, |stat| {
                        stat.comments -= 1;
                        stat.likes -= likes;
                    });
                }
            }
            None => self.empty_stored(place)?,
        }
        let author = self.posts.get_mut(&place.post).and_then(|post| {
            post.created_at = 0;
            post.edited_at = None;
            post.message = None;
            post.like_count = 0;
            post.comment_count = 0;
            post.author.take()
        });
        if let Some(author) = author {
            self.stats
                .note(&author, place.index, |stat| stat.posts -= 1);
        }
        Ok(())
    }

    /// Deletes what is under a stored post, and takes back what it counted for.
    fn empty_stored(&mut self, place: &Place) -> Result<(), BoxError> {
        let mut statement = self.connection.prepare_cached(
            "SELECT author, count(*), sum(like_count) FROM social_comment WHERE post = ?1
             GROUP BY author",
        )?;
        let mut commenters = statement.query([place.key])?;
        while let Some(row) = commenters.next()? {
            let author: String = row.get(0)?;
            let (comments, likes): (i64, i64) = (row.get(1)?, row.get(2)?);
            self.stats.note(&author, place.index, |stat| {
                stat.comments -= comments;
                stat.likes -= likes;
            });
        }
        for sql in [
            "DELETE FROM social_like WHERE post = ?1",
            "DELETE FROM social_comment_like WHERE post = ?1",
            "DELETE FROM social_comment WHERE post = ?1",
            "DELETE FROM social_commenter WHERE post = ?1",
        ] {
            self.connection.prepare_cached(sql)?.execute([place.key])?;
        }
        Ok(())
    }
}

fn rows(changed: usize) -> Result<i64, BoxError> {
    Ok(i64::try_from(changed)?)
}
