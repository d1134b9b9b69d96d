//! What each event does to the rows.

use cqrs_core::BoxError;
use social_domain::{AuthorEvent, PostEvent};
use uuid::Uuid;

use crate::model::Contradiction;
use crate::postgres::rows::{Author, Comment, Commenter, Like, Post, Slice, Stat};

/// When an event happened: the time of its command, and the version of its stream after it.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    pub(super) at: i64,
    pub(super) version: i64,
}

impl Slice {
    /// The statistics of `actor`, to be added to.
    fn stat(&mut self, actor: &str) -> &mut Stat {
        self.stats.entry(actor.to_owned()).or_default()
    }

    /// Applies an event of a post; one that was applied before changes nothing.
    pub(super) fn apply_to_post(
        &mut self,
        id: Uuid,
        event: PostEvent,
        when: When,
    ) -> Result<(), BoxError> {
        let cell = self.posts.entry(id).or_default();
        let Some(post) = cell.get() else {
            let PostEvent::PostCreated(created) = event else {
                return Err(Contradiction::NoPost.into());
            };
            self.stat(&created.author).posts += 1;
            let post = Post {
                author: Some(created.author),
                created_at: when.at,
                edited_at: None,
                like_count: 0,
                comment_count: 0,
                message: created.message,
                version: when.version,
            };
            self.posts.entry(id).or_default().put(post);
            return Ok(());
        };
        if when.version <= post.version {
            return Ok(());
        }
        if post.author.is_none() {
            return Err(Contradiction::Deleted.into());
        }
        let post_at = post.created_at;
        match event {
            // Its first event makes the row: this is a repeat under a later version.
            PostEvent::PostCreated(_) => {}
            PostEvent::PostEdited(edited) => self.change_post(id, |post| {
                post.message = edited.message;
                post.edited_at = Some(when.at);
            }),
            PostEvent::PostDeleted(_) => self.delete_post(id),
            PostEvent::PostLiked(liked) => {
                let at = when.at;
                self.stat(&liked.actor);
                let like = self.likes.entry((id, liked.actor)).or_default();
                if like.get().is_none() {
                    like.put(Like { at, post_at });
                    self.count(id, 1, 0);
                }
            }
            PostEvent::PostUnliked(unliked) => {
                self.stat(&unliked.actor);
                let like = self.likes.entry((id, unliked.actor)).or_default();
                if like.take().is_some() {
                    self.count(id, -1, 0);
                }
            }
            PostEvent::CommentAdded(added) => {
                self.stat(&added.author).comments += 1;
                let commenter = (id, added.author.clone());
                let commenter = self.commenters.entry(commenter).or_default();
                match commenter.get_mut() {
                    Some(row) => row.comments += 1,
                    None => {
                        let comments = 1;
                        commenter.put(Commenter { comments, post_at });
                    }
                }
                let comment = Comment {
                    created_at: when.at,
                    seq: when.version,
                    author: added.author,
                    edited_at: None,
                    like_count: 0,
                    message: added.message,
                };
                let cell = self.comments.entry((id, added.comment_id)).or_default();
                cell.put(comment);
                self.count(id, 0, 1);
            }
            PostEvent::CommentEdited(edited) => {
                let comment = self.comment(id, edited.comment_id)?;
                comment.message = edited.message;
                comment.edited_at = Some(when.at);
            }
            PostEvent::CommentRemoved(removed) => self.remove_comment(id, removed.comment_id)?,
            PostEvent::CommentLiked(liked) => {
                self.comment(id, liked.comment_id)?;
                self.stat(&liked.actor);
                let key = (id, liked.comment_id, liked.actor);
                if self.comment_likes.entry(key).or_default().put(()) {
                    self.count_comment(id, liked.comment_id, 1)?;
                }
            }
            PostEvent::CommentUnliked(unliked) => {
                self.comment(id, unliked.comment_id)?;
                self.stat(&unliked.actor);
                let key = (id, unliked.comment_id, unliked.actor);
                let like = self.comment_likes.entry(key).or_default();
                if like.take().is_some() {
                    self.count_comment(id, unliked.comment_id, -1)?;
                }
            }
        }
        self.change_post(id, |post| post.version = when.version);
        Ok(())
    }

    fn change_post(&mut self, id: Uuid, change: impl FnOnce(&mut Post)) {
        if let Some(post) = self.posts.entry(id).or_default().get_mut() {
            change(post);
        }
    }

    /// Moves the post's counters, and its author's likes alike.
    fn count(&mut self, id: Uuid, likes: i64, comments: i64) {
        let mut author = None;
        self.change_post(id, |post| {
            post.like_count += likes;
            post.comment_count += comments;
            author.clone_from(&post.author);
        });
        if let Some(author) = author.filter(|_| likes != 0) {
            self.stat(&author).likes += likes;
        }
    }

    fn comment(&mut self, post: Uuid, id: Uuid) -> Result<&mut Comment, Contradiction> {
        let cell = self.comments.entry((post, id)).or_default();
        cell.get_mut().ok_or(Contradiction::NoComment(id))
    }

    fn count_comment(&mut self, post: Uuid, id: Uuid, likes: i64) -> Result<(), Contradiction> {
        let comment = self.comment(post, id)?;
        comment.like_count += likes;
        let author = comment.author.clone();
        self.stat(&author).likes += likes;
        Ok(())
    }

    fn remove_comment(&mut self, post: Uuid, id: Uuid) -> Result<(), Contradiction> {
        let cell = self.comments.entry((post, id)).or_default();
        let comment = cell.take().ok_or(Contradiction::NoComment(id))?;
        self.comment_likes
            .retain(|(of, comment, _), _| (*of, *comment) != (post, id));
        self.removed.push((post, id));
        let commenter = (post, comment.author.clone());
        let commenter = self.commenters.entry(commenter).or_default();
        if let Some(row) = commenter.get_mut() {
            row.comments -= 1;
            if row.comments == 0 {
                commenter.take();
            }
        }
        let stat = self.stat(&comment.author);
        stat.comments -= 1;
        stat.likes -= comment.like_count;
        self.count(post, 0, -1);
        Ok(())
    }

    /// Empties the post's row and takes back all that it and what is under it counted for.
    fn delete_post(&mut self, id: Uuid) {
        let of_post = |post: &Uuid| *post == id;
        let mut taken = Vec::new();
        for ((post, _), comment) in &mut self.comments {
            if of_post(post) {
                taken.extend(comment.take().map(|c| (c.author, c.like_count)));
            }
        }
        for (author, likes) in taken {
            let stat = self.stat(&author);
            stat.comments -= 1;
            stat.likes -= likes;
        }
        self.likes.retain(|(post, _), _| !of_post(post));
        self.comments.retain(|(post, _), _| !of_post(post));
        self.commenters.retain(|(post, _), _| !of_post(post));
        self.comment_likes.retain(|(post, _, _), _| !of_post(post));
        self.emptied.push(id);
        let (mut author, mut likes) = (None, 0);
        self.change_post(id, |post| {
            author = post.author.take();
            likes = post.like_count;
            post.created_at = 0;
            post.edited_at = None;
            post.like_count = 0;
            post.comment_count = 0;
            post.message = String::new();
        });
        if let Some(author) = author {
            let stat = self.stat(&author);
            stat.posts -= 1;
            stat.likes -= likes;
        }
    }

    /// Applies an event of an author; one that was applied before changes nothing.
    pub(super) fn apply_to_author(
        &mut self,
        actor: String,
        event: AuthorEvent,
        when: When,
    ) -> Result<(), BoxError> {
        let cell = self.authors.entry(actor).or_default();
        let Some(author) = cell.get() else {
            let AuthorEvent::AuthorRegistered(registered) = event else {
                return Err(Contradiction::NotRegistered.into());
            };
            cell.put(Author {
                handle: registered.handle,
                handle_since: when.at,
                display_name: registered.display_name,
                version: when.version,
            });
            return Ok(());
        };
        if when.version <= author.version {
            return Ok(());
        }
        if let Some(author) = cell.get_mut() {
            author.version = when.version;
            match event {
                AuthorEvent::AuthorRegistered(_) => {}
                AuthorEvent::HandleChanged(changed) => {
                    author.handle = changed.handle;
                    author.handle_since = when.at;
                }
                AuthorEvent::DisplayNameChanged(changed) => {
                    author.display_name = changed.display_name;
                }
            }
        }
        Ok(())
    }
}
