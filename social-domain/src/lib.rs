//! The social domain: posts, comments, likes and authors. Pure.

mod author;
mod post;
mod receipt;
mod value;

pub use author::{
    AuthorError, AuthorEvent, AuthorRegistered, DisplayNameChanged, HandleChanged, RegisterAuthor,
};
pub use post::{
    AddComment, CommentAdded, CommentEdited, CommentLiked, CommentRemoved, CommentUnliked,
    CreatePost, DeletePost, EditComment, EditPost, LikeComment, LikePost, PostCreated, PostDeleted,
    PostEdited, PostError, PostEvent, PostLiked, PostUnliked, RemoveComment, UnlikeComment,
    UnlikePost,
};
pub use receipt::Receipt;
pub use value::{
    ActorId, CommentId, CommentText, DisplayName, Handle, InvalidValue, PostId, PostMessage,
};
