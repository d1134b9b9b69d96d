//! The social domain: posts, comments, likes and authors. Pure.
//!
//! Two aggregates, [`Post`] (its message, its comments, the likes on both) and
//! [`Author`] (a unique handle and a display name), the commands that they
//! decide, and the events that are stored. No clock, no randomness, no I/O:
//! time and ids arrive in the envelope.
//!
//! ```
//! use cqrs_core::{Actor, Aggregate, CommandId, Decide, Envelope, Timestamp};
//! use social_domain::{CreatePost, LikePost, Post, PostId, PostMessage};
//! use uuid::Uuid;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let ada = Envelope::new(
//!     CommandId::new(Uuid::from_u128(1)),
//!     Actor::parse("ada")?,
//!     Timestamp::from_millis(0),
//! );
//! let create = CreatePost { post_id: None, message: PostMessage::parse(" hello ")? };
//! let post_id = Post::target(&create, &ada);
//! let post = Post::default()
//!     .decide(&create, &ada)?
//!     .iter()
//!     .fold(Post::default(), Post::evolve);
//!
//! let like = LikePost { post_id };
//! let post = post.decide(&like, &ada)?.iter().fold(post, Post::evolve);
//! assert_eq!(post.like_count(), 1);
//! assert!(post.decide(&like, &ada)?.is_empty(), "a like counts once");
//! # Ok(())
//! # }
//! ```

mod author;
mod post;
mod receipt;
mod value;

pub use author::{
    Author, AuthorError, AuthorEvent, AuthorRegistered, AuthorSnapshot, DisplayNameChanged,
    HandleChanged, ProfileSnapshot, RegisterAuthor, author_id,
};
pub use post::{
    AddComment, CommentAdded, CommentEdited, CommentLiked, CommentRemoved, CommentSnapshot,
    CommentUnliked, CreatePost, DeletePost, EditComment, EditPost, LikeComment, LikePost, Post,
    PostCreated, PostDeleted, PostEdited, PostError, PostEvent, PostLiked, PostSnapshot,
    PostUnliked, RemoveComment, UnlikeComment, UnlikePost,
};
pub use receipt::Receipt;
pub use value::{
    ActorId, CommentId, CommentText, DisplayName, Handle, InvalidValue, PostId, PostMessage,
};
