//! Posts: what can be asked of them, what happens to them, what follows.

mod commands;
mod decide;
mod error;
mod events;
mod likes;
mod snapshot;
mod state;

pub use commands::{
    AddComment, CreatePost, DeletePost, EditComment, EditPost, LikeComment, LikePost,
    RemoveComment, UnlikeComment, UnlikePost,
};
pub use error::PostError;
pub use events::{
    CommentAdded, CommentEdited, CommentLiked, CommentRemoved, CommentUnliked, PostCreated,
    PostDeleted, PostEdited, PostEvent, PostLiked, PostUnliked,
};
pub use snapshot::{CommentSnapshot, PostSnapshot};
pub use state::Post;
