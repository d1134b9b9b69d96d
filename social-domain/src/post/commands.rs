//! What can be asked of a post.

use cqrs_core::{Command, Message};

use super::PostError;
use crate::receipt::Receipt;
use crate::value::{CommentId, CommentText, PostId, PostMessage};

/// Creates a post of the actor's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatePost {
    /// The id that the client chose; else one is derived from the command's.
    pub post_id: Option<PostId>,
    /// What the post says.
    pub message: PostMessage,
}

/// Changes the message of a post; its author only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditPost {
    /// The post.
    pub post_id: PostId,
    /// What it shall say.
    pub message: PostMessage,
}

/// Deletes a post with all that is under it; its author only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeletePost {
    /// The post.
    pub post_id: PostId,
}

/// Likes a post. A second like changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LikePost {
    /// The post.
    pub post_id: PostId,
}

/// Takes a like back. Without one nothing changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnlikePost {
    /// The post.
    pub post_id: PostId,
}

/// Comments on a post.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddComment {
    /// The post.
    pub post_id: PostId,
    /// The id that the client chose; else one is derived from the command's.
    pub comment_id: Option<CommentId>,
    /// What the comment says.
    pub message: CommentText,
}

/// Changes the text of a comment; the commenter only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EditComment {
    /// The post.
    pub post_id: PostId,
    /// The comment.
    pub comment_id: CommentId,
    /// What it shall say.
    pub message: CommentText,
}

/// Removes a comment; the commenter or the post's author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoveComment {
    /// The post.
    pub post_id: PostId,
    /// The comment.
    pub comment_id: CommentId,
}

/// Likes a comment. A second like changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LikeComment {
    /// The post.
    pub post_id: PostId,
    /// The comment.
    pub comment_id: CommentId,
}

/// Takes a like of a comment back. Without one nothing changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnlikeComment {
    /// The post.
    pub post_id: PostId,
    /// The comment.
    pub comment_id: CommentId,
}

macro_rules! commands {
    ($($name:ident),+ $(,)?) => {$(
        impl Message for $name {
            const NAME: &'static str = stringify!($name);
            type Reply = Receipt;
            type Error = PostError;
        }

        impl Command for $name {}
    )+};
}

// The names are those that clients send: renaming one breaks them.
commands!(
    CreatePost,
    EditPost,
    DeletePost,
    LikePost,
    UnlikePost,
    AddComment,
    EditComment,
    RemoveComment,
    LikeComment,
    UnlikeComment,
);
