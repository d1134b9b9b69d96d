//! How a post refuses.

use serde::{Deserialize, Serialize};

/// Why a post refuses a command. Nothing happened.
///
/// Exhaustive, so that whoever maps it to answers forgets none. Stored with
/// answers: renaming a variant breaks stored data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum PostError {
    /// There never was such a post.
    #[error("there is no such post")]
    PostNotFound,
    /// The post was deleted, and all that was under it.
    #[error("the post was deleted")]
    PostDeleted,
    /// There is no such comment, or no longer.
    #[error("there is no such comment under the post")]
    CommentNotFound,
    /// Only its author may do that.
    #[error("only the author may do that")]
    NotTheAuthor,
    /// The id is in use, or was.
    #[error("the id is already in use")]
    AlreadyExists,
}
