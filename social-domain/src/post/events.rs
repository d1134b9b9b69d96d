//! Stored events of a post: renaming breaks stored data.
//!
//! Wire types of plain texts and UUIDs: names of types, members and shapes are
//! for ever. A changed shape is a new schema version and an upcaster. The
//! golden files under `tests/golden` hold every shape that was ever written.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A post was created.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostCreated {
    /// Whose it is.
    pub author: String,
    /// Its message.
    pub message: String,
}

/// Its message became another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostEdited {
    /// The new one.
    pub message: String,
}

/// It was deleted, with all that is under it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostDeleted {}

/// An actor who did not like it before likes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostLiked {
    /// Who.
    pub actor: String,
}

/// An actor who liked it does so no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostUnliked {
    /// Who.
    pub actor: String,
}

/// A comment was added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentAdded {
    /// The comment; its id is new under this post.
    pub comment_id: Uuid,
    /// Who commented.
    pub author: String,
    /// What the comment says.
    pub message: String,
}

/// A comment's text became another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentEdited {
    /// The comment.
    pub comment_id: Uuid,
    /// The new text.
    pub message: String,
}

/// A comment was removed, with its likes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentRemoved {
    /// The comment.
    pub comment_id: Uuid,
}

/// An actor who did not like a comment before likes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentLiked {
    /// The comment.
    pub comment_id: Uuid,
    /// Who.
    pub actor: String,
}

/// An actor who liked a comment does so no longer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentUnliked {
    /// The comment.
    pub comment_id: Uuid,
    /// Who.
    pub actor: String,
}

cqrs_core::events! {
    /// What happens to a post. Streams: `post-<uuid>`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum PostEvent {
        PostCreated = "post-created" v1,
        PostEdited = "post-edited" v1,
        PostDeleted = "post-deleted" v1,
        PostLiked = "post-liked" v1,
        PostUnliked = "post-unliked" v1,
        CommentAdded = "comment-added" v1,
        CommentEdited = "comment-edited" v1,
        CommentRemoved = "comment-removed" v1,
        CommentLiked = "comment-liked" v1,
        CommentUnliked = "comment-unliked" v1,
    }
}
