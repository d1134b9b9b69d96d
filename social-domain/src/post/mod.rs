//! Posts: what can be asked of them, what happens to them, what follows.

mod commands;
mod error;
mod events;

pub use commands::{
    AddComment, CreatePost, DeletePost, EditComment, EditPost, LikeComment, LikePost,
    RemoveComment, UnlikeComment, UnlikePost,
};
pub use error::PostError;
pub use events::{
    CommentAdded, CommentEdited, CommentLiked, CommentRemoved, CommentUnliked, PostCreated,
    PostDeleted, PostEdited, PostEvent, PostLiked, PostUnliked,
};
