//! The state of a post: what its decisions need, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use cqrs_core::Aggregate;
use uuid::Uuid;

use super::events::PostEvent;
use super::likes::Likes;
use super::{PostError, PostSnapshot};
use crate::value::{CommentId, PostId};

/// A post: its message, its comments, and the likes on both.
///
/// Texts are kept as fingerprints and a deleted post as a mark, so that many
/// fit into a cache. Every decision takes time logarithmic in the number of
/// likes and comments at most.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Post(State);

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum State {
    #[default]
    Absent,
    Live(Live),
    Deleted,
}

/// A post that exists and was not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) author: Box<str>,
    pub(super) message: Fingerprint,
    pub(super) likes: Likes,
    pub(super) comments: BTreeMap<Uuid, Comment>,
    /// Ids of comments that are gone: they are not given again.
    pub(super) removed: BTreeSet<Uuid>,
    /// Bytes on the heap, kept up to date.
    heap: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Comment {
    pub(super) author: Box<str>,
    pub(super) text: Fingerprint,
    pub(super) likes: Likes,
    /// Bytes of the likes.
    heap: usize,
}

/// What a text is compared by: its UUIDv5, 122 bits of SHA-1.
///
/// Kept in snapshots: a change raises their schema version. A forged collision
/// gains its author nothing: an edit of theirs would be taken for no change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fingerprint(pub(super) Uuid);

impl Fingerprint {
    const NAMESPACE: Uuid = Uuid::from_u128(0x3f8e_0c52_9d67_4a1b_8e24_b5d9_1c70_6fa3);

    pub(super) fn of(text: &str) -> Self {
        Self(Uuid::new_v5(&Self::NAMESPACE, text.as_bytes()))
    }
}

impl Aggregate for Post {
    const CATEGORY: &'static str = "post";
    type Id = PostId;
    type Event = PostEvent;

    fn evolve(self, event: &PostEvent) -> Self {
        Self(match (self.0, event) {
            (State::Absent, PostEvent::PostCreated(created)) => {
                let message = Fingerprint::of(&created.message);
                State::Live(Live::new(&created.author, message))
            }
            (State::Live(_), PostEvent::PostDeleted(_)) => State::Deleted,
            (State::Live(mut live), event) => {
                live.apply(event);
                State::Live(live)
            }
            // Nothing happens to what does not exist; were it in the log, it would have no effect.
            (state, _) => state,
        })
    }

    fn weight(&self) -> usize {
        let heap = match &self.0 {
            State::Live(live) => live.heap,
            State::Absent | State::Deleted => 0,
        };
        size_of::<Self>() + heap
    }
}

impl Post {
    /// How many actors like it; 0 once it is deleted.
    #[must_use]
    pub fn like_count(&self) -> usize {
        self.live().map_or(0, |live| live.likes.len())
    }

    /// How many comments stand under it; 0 once it is deleted.
    #[must_use]
    pub fn comment_count(&self) -> usize {
        self.live().map_or(0, |live| live.comments.len())
    }

    /// How many actors like a comment that stands under it; `None` where there is no such comment.
    #[must_use]
    pub fn comment_like_count(&self, comment: CommentId) -> Option<usize> {
        let comment = self.live().ok()?.comments.get(&comment.as_uuid())?;
        Some(comment.likes.len())
    }

    /// The post where one can do something to it.
    pub(super) fn live(&self) -> Result<&Live, PostError> {
        match &self.0 {
            State::Absent => Err(PostError::PostNotFound),
            State::Live(live) => Ok(live),
            State::Deleted => Err(PostError::PostDeleted),
        }
    }

    /// Whether its stream has an event.
    pub(super) fn exists(&self) -> bool {
        !matches!(self.0, State::Absent)
    }

    pub(super) fn to_snapshot(&self) -> PostSnapshot {
        PostSnapshot::of(&self.0)
    }

    pub(super) fn from_state(state: State) -> Self {
        Self(state)
    }
}

impl Live {
    pub(super) fn new(author: &str, message: Fingerprint) -> Self {
        Self {
            author: author.into(),
            message,
            likes: Likes::default(),
            comments: BTreeMap::new(),
            removed: BTreeSet::new(),
            heap: author.len(),
        }
    }

    /// The comment `id`, unless there is none or it was removed.
    pub(super) fn comment(&self, id: CommentId) -> Result<&Comment, PostError> {
        self.comments
            .get(&id.as_uuid())
            .ok_or(PostError::CommentNotFound)
    }

    /// Whether `id` was ever given to a comment.
    pub(super) fn knows(&self, id: Uuid) -> bool {
        self.comments.contains_key(&id) || self.removed.contains(&id)
    }

    /// Adds a like; whether it is new.
    pub(super) fn like(&mut self, actor: &str) -> bool {
        let grown = self.likes.insert(actor);
        self.heap += grown;
        grown > 0
    }

    /// Adds a like of a comment; whether there is such a comment and the like is new.
    pub(super) fn like_comment(&mut self, id: Uuid, actor: &str) -> bool {
        let Some(comment) = self.comments.get_mut(&id) else {
            return false;
        };
        let grown = comment.likes.insert(actor);
        comment.heap += grown;
        self.heap += grown;
        grown > 0
    }

    pub(super) fn add_comment(&mut self, id: Uuid, author: &str, text: Fingerprint) {
        if self.knows(id) {
            return;
        }
        let comment = Comment {
            author: author.into(),
            text,
            likes: Likes::default(),
            heap: 0,
        };
        self.heap += Comment::cost(author);
        self.comments.insert(id, comment);
    }

    pub(super) fn remember_removed(&mut self, id: Uuid) {
        if self.removed.insert(id) {
            self.heap += REMOVED;
        }
    }

    fn apply(&mut self, event: &PostEvent) {
        match event {
            // A second creation and a deletion are dealt with before.
            PostEvent::PostCreated(_) | PostEvent::PostDeleted(_) => {}
            PostEvent::PostEdited(edited) => self.message = Fingerprint::of(&edited.message),
            PostEvent::PostLiked(liked) => {
                self.like(&liked.actor);
            }
            PostEvent::PostUnliked(unliked) => self.heap -= self.likes.remove(&unliked.actor),
            PostEvent::CommentAdded(added) => {
                let text = Fingerprint::of(&added.message);
                self.add_comment(added.comment_id, &added.author, text);
            }
            PostEvent::CommentEdited(edited) => {
                if let Some(comment) = self.comments.get_mut(&edited.comment_id) {
                    comment.text = Fingerprint::of(&edited.message);
                }
            }
            PostEvent::CommentRemoved(removed) => {
                if let Some(comment) = self.comments.remove(&removed.comment_id) {
                    self.heap -= Comment::cost(&comment.author) + comment.heap;
                    self.remember_removed(removed.comment_id);
                }
            }
            PostEvent::CommentLiked(liked) => {
                self.like_comment(liked.comment_id, &liked.actor);
            }
            PostEvent::CommentUnliked(unliked) => {
                if let Some(comment) = self.comments.get_mut(&unliked.comment_id) {
                    let shrunk = comment.likes.remove(&unliked.actor);
                    comment.heap -= shrunk;
                    self.heap -= shrunk;
                }
            }
        }
    }
}

/// A slot of a tree node, which is two thirds full.
const REMOVED: usize = size_of::<Uuid>() * 3 / 2;

impl Comment {
    /// A slot of a tree node, which is two thirds full, and a block on the heap.
    fn cost(author: &str) -> usize {
        (size_of::<Uuid>() + size_of::<Self>()) * 3 / 2 + 16 + author.len()
    }
}
