//! A post, plainly: every text and every name kept, every rule spelled out. Obviously right, not fast.

use std::collections::{BTreeMap, BTreeSet};

use cqrs_core::{Decide, Envelope};
use proptest::prelude::*;
use social_domain::{
    AddComment, CommentId, CreatePost, DeletePost, EditComment, EditPost, LikeComment, LikePost,
    Post, PostError, PostEvent, RemoveComment, UnlikeComment, UnlikePost,
};

use crate::support::{POST, comment, envelope, message, text};

/// Any command to the post, of small ids, texts and actors, so that they meet.
#[derive(Debug, Clone)]
pub(crate) enum Ask {
    Create(&'static str),
    Edit(&'static str),
    Delete,
    Like,
    Unlike,
    Comment(Option<u128>, &'static str),
    EditComment(u128, &'static str),
    RemoveComment(u128),
    LikeComment(u128),
    UnlikeComment(u128),
}

/// Who asks what, under which command id.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) actor: &'static str,
    pub(crate) command: u128,
    pub(crate) ask: Ask,
}

/// Command sequences; most begin with a creation, some end with a deletion.
pub(crate) fn requests() -> impl Strategy<Value = Vec<Request>> {
    let actor = || prop::sample::select(vec!["ada", "bob", "cyd"]);
    let word = || prop::sample::select(vec!["one", "two"]);
    let id = 1..4_u128;
    let ask = prop_oneof![
        1 => word().prop_map(Ask::Create),
        3 => word().prop_map(Ask::Edit),
        6 => Just(Ask::Like),
        4 => Just(Ask::Unlike),
        6 => (prop::option::of(id.clone()), word()).prop_map(|(id, word)| Ask::Comment(id, word)),
        4 => (id.clone(), word()).prop_map(|(id, word)| Ask::EditComment(id, word)),
        2 => id.clone().prop_map(Ask::RemoveComment),
        6 => id.clone().prop_map(Ask::LikeComment),
        4 => id.prop_map(Ask::UnlikeComment),
    ];
    let request = |ask| {
        (actor(), 1..1_000_u128, ask).prop_map(|(actor, command, ask)| Request {
            actor,
            command,
            ask,
        })
    };
    let first = request(word().prop_map(Ask::Create).boxed());
    let middle = prop::collection::vec(request(ask.clone().boxed()), 0..40);
    let last = request(prop_oneof![Just(Ask::Delete), Just(Ask::Like)].boxed());
    let after = prop::collection::vec(request(ask.boxed()), 0..6);
    (prop::option::weighted(0.9, first), middle, last, after).prop_map(
        |(first, middle, last, after)| {
            let begun = first.into_iter().chain(middle);
            begun.chain([last]).chain(after).collect()
        },
    )
}

impl Request {
    pub(crate) fn envelope(&self) -> Envelope {
        envelope(self.actor, self.command)
    }

    /// The comment that it is about.
    pub(crate) fn comment(&self) -> Option<CommentId> {
        match self.ask {
            Ask::Comment(None, _) => {
                Some(CommentId::new(self.envelope().command_id.derive("comment")))
            }
            Ask::Comment(Some(id), _)
            | Ask::EditComment(id, _)
            | Ask::RemoveComment(id)
            | Ask::LikeComment(id)
            | Ask::UnlikeComment(id) => Some(comment(id)),
            _ => None,
        }
    }

    /// Asks `post`.
    pub(crate) fn ask(&self, post: &Post) -> Result<Vec<PostEvent>, PostError> {
        let (by, post_id) = (&self.envelope(), POST);
        match self.ask {
            Ask::Create(word) => {
                let post_id = Some(post_id);
                let message = message(word);
                post.decide(&CreatePost { post_id, message }, by)
            }
            Ask::Edit(word) => {
                let message = message(word);
                post.decide(&EditPost { post_id, message }, by)
            }
            Ask::Delete => post.decide(&DeletePost { post_id }, by),
            Ask::Like => post.decide(&LikePost { post_id }, by),
            Ask::Unlike => post.decide(&UnlikePost { post_id }, by),
            Ask::Comment(id, word) => {
                let command = AddComment {
                    post_id,
                    comment_id: id.map(comment),
                    message: text(word),
                };
                post.decide(&command, by)
            }
            Ask::EditComment(id, word) => {
                let command = EditComment {
                    post_id,
                    comment_id: comment(id),
                    message: text(word),
                };
                post.decide(&command, by)
            }
            Ask::RemoveComment(id) => {
                let comment_id = comment(id);
                post.decide(
                    &RemoveComment {
                        post_id,
                        comment_id,
                    },
                    by,
                )
            }
            Ask::LikeComment(id) => {
                let comment_id = comment(id);
                post.decide(
                    &LikeComment {
                        post_id,
                        comment_id,
                    },
                    by,
                )
            }
            Ask::UnlikeComment(id) => {
                let comment_id = comment(id);
                post.decide(
                    &UnlikeComment {
                        post_id,
                        comment_id,
                    },
                    by,
                )
            }
        }
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) author: Option<&'static str>,
    pub(crate) deleted: bool,
    pub(crate) message: &'static str,
    pub(crate) likes: BTreeSet<&'static str>,
    pub(crate) comments: BTreeMap<CommentId, ModelComment>,
}

#[derive(Debug, Clone)]
pub(crate) struct ModelComment {
    pub(crate) author: &'static str,
    pub(crate) text: &'static str,
    pub(crate) removed: bool,
    pub(crate) likes: BTreeSet<&'static str>,
}

impl Model {
    /// Does it; whether anything changed.
    pub(crate) fn ask(&mut self, request: &Request) -> Result<bool, PostError> {
        let actor = request.actor;
        if let Ask::Create(word) = request.ask {
            if self.author.is_some() {
                return Err(PostError::AlreadyExists);
            }
            (self.author, self.message) = (Some(actor), word);
            return Ok(true);
        }
        let author = self.author.ok_or(PostError::PostNotFound)?;
        if self.deleted {
            return Err(PostError::PostDeleted);
        }
        match request.ask {
            Ask::Create(_) => unreachable!("dealt with above"),
            Ask::Edit(_) | Ask::Delete if actor != author => Err(PostError::NotTheAuthor),
            Ask::Edit(word) => Ok(std::mem::replace(&mut self.message, word) != word),
            Ask::Delete => {
                self.deleted = true;
                Ok(true)
            }
            Ask::Like => Ok(self.likes.insert(actor)),
            Ask::Unlike => Ok(self.likes.remove(actor)),
            _ => self.ask_comment(request, author),
        }
    }

    fn ask_comment(&mut self, request: &Request, author: &str) -> Result<bool, PostError> {
        let (actor, id) = (request.actor, request.comment().unwrap());
        if let Ask::Comment(_, text) = request.ask {
            if self.comments.contains_key(&id) {
                return Err(PostError::AlreadyExists);
            }
            let comment = ModelComment {
                author: actor,
                text,
                removed: false,
                likes: BTreeSet::new(),
            };
            self.comments.insert(id, comment);
            return Ok(true);
        }
        let comment = self.comments.get_mut(&id);
        let comment = comment
            .filter(|comment| !comment.removed)
            .ok_or(PostError::CommentNotFound)?;
        match request.ask {
            Ask::EditComment(_, _) if actor != comment.author => Err(PostError::NotTheAuthor),
            Ask::EditComment(_, word) => Ok(std::mem::replace(&mut comment.text, word) != word),
            Ask::RemoveComment(_) if actor != comment.author && actor != author => {
                Err(PostError::NotTheAuthor)
            }
            Ask::RemoveComment(_) => {
                comment.removed = true;
                Ok(true)
            }
            Ask::LikeComment(_) => Ok(comment.likes.insert(actor)),
            Ask::UnlikeComment(_) => Ok(comment.likes.remove(actor)),
            _ => unreachable!("not about a comment"),
        }
    }

    /// Likes, comments that stand, and the likes of each; nothing once deleted.
    pub(crate) fn counts(&self) -> (usize, usize, BTreeMap<CommentId, usize>) {
        if self.deleted {
            return (0, 0, BTreeMap::new());
        }
        let standing = self.comments.iter().filter(|(_, c)| !c.removed);
        let comments: BTreeMap<_, _> = standing.map(|(id, c)| (*id, c.likes.len())).collect();
        (self.likes.len(), comments.len(), comments)
    }
}
