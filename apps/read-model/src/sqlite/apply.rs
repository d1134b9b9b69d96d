//! What each event does to the rows.

use cqrs_core::{BoxError, RecordedEvent};
use rusqlite::{OptionalExtension, params};
use social_domain::{AuthorEvent, PostEvent};
use uuid::Uuid;

use crate::model::{Contradiction, Happened, SocialReadModel};
use crate::sqlite::often;
use crate::sqlite::slice::Slice;

/// A comment's place in its table, and whose it is.
struct Comment {
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
    pub(super) fn apply(
        &mut self,
        model: &SocialReadModel,
        event: &RecordedEvent<'_>,
        index: usize,
    ) -> Result<(), BoxError> {
        let at = event.commit.header.time.as_millis();
        let version = i64::try_from(event.version.get())?;
        match model.decode(event)? {
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
            self.stat(&created.author, index, |stat| stat.posts += 1);
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
            PostEvent::PostLiked(liked) => self.like_post(&place, &liked.actor),
            PostEvent::PostUnliked(unliked) => self.unlike_post(&place, &unliked.actor),
            PostEvent::CommentAdded(c) => {
                self.add_comment(&place, c.comment_id, &c.author, &c.message)
            }
            PostEvent::CommentEdited(c) => self.edit_comment(&place, c.comment_id, &c.message),
            PostEvent::CommentRemoved(c) => self.remove_comment(&place, c.comment_id),
            PostEvent::CommentLiked(c) => self.like_comment(&place, c.comment_id, &c.actor),
            PostEvent::CommentUnliked(c) => self.unlike_comment(&place, c.comment_id, &c.actor),
        }
    }

    fn like_post(&mut self, place: &Place, actor: &str) -> Result<(), BoxError> {
        let like = self.often.get(self.connection, often::LIKE)?;
        let inserted = like.execute(params![place.key, actor, place.at, place.post_at])?;
        self.stat(actor, place.index, |_| {});
        self.count(place.post, place.index, rows(inserted)?, 0);
        Ok(())
    }

    fn unlike_post(&mut self, place: &Place, actor: &str) -> Result<(), BoxError> {
        let deleted = self
            .connection
            .prepare_cached("DELETE FROM social_like WHERE post = ?1 AND actor = ?2")?
            .execute(params![place.key, actor])?;
        self.stat(actor, place.index, |_| {});
        self.count(place.post, place.index, -rows(deleted)?, 0);
        Ok(())
    }

    fn add_comment(
        &mut self,
        place: &Place,
        id: Uuid,
        author: &str,
        message: &str,
    ) -> Result<(), BoxError> {
        let Place { key, at, .. } = *place;
        let comment = self.often.get(self.connection, often::COMMENT)?;
        comment.execute(params![
            key,
            at,
            place.version,
            id.as_bytes(),
            author,
            message
        ])?;
        let commenter = self.often.get(self.connection, often::COMMENTER)?;
        commenter.execute(params![key, author, place.post_at])?;
        self.stat(author, place.index, |stat| stat.comments += 1);
        self.count(place.post, place.index, 0, 1);
        Ok(())
    }

    fn edit_comment(&mut self, place: &Place, id: Uuid, message: &str) -> Result<(), BoxError> {
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
        let comment = self.comment(place, id)?;
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
        self.stat(&comment.author, place.index, |stat| {
            stat.comments -= 1;
            stat.likes -= comment.like_count;
        });
        self.count(place.post, place.index, 0, -1);
        Ok(())
    }

    fn like_comment(&mut self, place: &Place, id: Uuid, actor: &str) -> Result<(), BoxError> {
        let comment = self.comment(place, id)?;
        let inserted = self
            .connection
            .prepare_cached(
                "INSERT OR IGNORE INTO social_comment_like (post, seq, actor) VALUES (?1, ?2, ?3)",
            )?
            .execute(params![place.key, comment.seq, actor])?;
        self.stat(actor, place.index, |_| {});
        self.count_comment(place, &comment, rows(inserted)?)
    }

    fn unlike_comment(&mut self, place: &Place, id: Uuid, actor: &str) -> Result<(), BoxError> {
        let comment = self.comment(place, id)?;
        let deleted = self
            .connection
            .prepare_cached(
                "DELETE FROM social_comment_like WHERE post = ?1 AND seq = ?2 AND actor = ?3",
            )?
            .execute(params![place.key, comment.seq, actor])?;
        self.stat(actor, place.index, |_| {});
        self.count_comment(place, &comment, -rows(deleted)?)
    }

    fn count_comment(
        &mut self,
        place: &Place,
        comment: &Comment,
        likes: i64,
    ) -> Result<(), BoxError> {
        if likes != 0 {
            self.connection
                .prepare_cached(
                    "UPDATE social_comment SET like_count = like_count + ?4
                     WHERE post = ?1 AND created_at = ?2 AND seq = ?3",
                )?
                .execute(params![place.key, comment.created_at, comment.seq, likes])?;
            self.stat(&comment.author, place.index, |stat| stat.likes += likes);
        }
        Ok(())
    }

    fn comment(&self, place: &Place, id: Uuid) -> Result<Comment, BoxError> {
        let found = self
            .connection
            .prepare_cached(
                "SELECT created_at, seq, author, like_count FROM social_comment
                 WHERE post = ?1 AND id = ?2",
            )?
            .query_row(params![place.key, id.as_bytes()], |row| {
                Ok(Comment {
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
        let mut statement = self.connection.prepare_cached(
            "SELECT author, count(*), sum(like_count) FROM social_comment WHERE post = ?1
             GROUP BY author",
        )?;
        let mut commenters = statement.query([place.key])?;
        while let Some(row) = commenters.next()? {
            let author: String = row.get(0)?;
            let (comments, likes): (i64, i64) = (row.get(1)?, row.get(2)?);
            self.stat(&author, place.index, |stat| {
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
        let author = self.posts.get_mut(&place.post).and_then(|post| {
            post.created_at = 0;
            post.edited_at = None;
            post.message = None;
            post.like_count = 0;
            post.comment_count = 0;
            post.author.take()
        });
        if let Some(author) = author {
            self.stat(&author, place.index, |stat| stat.posts -= 1);
        }
        Ok(())
    }

    fn apply_to_author(
        &mut self,
        actor: &str,
        event: AuthorEvent,
        at: i64,
        version: i64,
    ) -> Result<(), BoxError> {
        let changed = match event {
            AuthorEvent::AuthorRegistered(e) => {
                self.connection
                    .prepare_cached(
                        "INSERT INTO social_author (actor, handle, handle_since, display_name, version)
                         VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO NOTHING",
                    )?
                    .execute(params![actor, e.handle, at, e.display_name, version])?;
                return Ok(());
            }
            AuthorEvent::HandleChanged(e) => self
                .connection
                .prepare_cached(
                    "UPDATE social_author SET handle = ?2, handle_since = ?3, version = ?4
                     WHERE actor = ?1 AND version < ?4",
                )?
                .execute(params![actor, e.handle, at, version])?,
            AuthorEvent::DisplayNameChanged(e) => self
                .connection
                .prepare_cached(
                    "UPDATE social_author SET display_name = ?2, version = ?3
                     WHERE actor = ?1 AND version < ?3",
                )?
                .execute(params![actor, e.display_name, version])?,
        };
        let known = changed > 0
            || self
                .connection
                .prepare_cached("SELECT 1 FROM social_author WHERE actor = ?1")?
                .exists([actor])?;
        known
            .then_some(())
            .ok_or_else(|| Contradiction::NotRegistered.into())
    }
}

fn rows(changed: usize) -> Result<i64, BoxError> {
    Ok(i64::try_from(changed)?)
}
