//! Every rule of a post.

mod refusals;
mod rules;

use cqrs_core::testing::{Given, given};
use social_domain::{
    AddComment, CommentAdded, CommentLiked, CommentRemoved, CommentUnliked, CreatePost, DeletePost,
    EditComment, EditPost, LikeComment, LikePost, Post, PostCreated, PostDeleted, PostEvent,
    PostLiked, PostUnliked, RemoveComment, UnlikeComment, UnlikePost,
};

use crate::support::{POST, comment, message, text};

const AUTHOR: &str = "ada";
const COMMENTER: &str = "bob";
const STRANGER: &str = "eve";

fn create() -> CreatePost {
    CreatePost {
        post_id: Some(POST),
        message: message("hi"),
    }
}

fn edit(to: &str) -> EditPost {
    EditPost {
        post_id: POST,
        message: message(to),
    }
}

fn delete() -> DeletePost {
    DeletePost { post_id: POST }
}

fn like() -> LikePost {
    LikePost { post_id: POST }
}

fn unlike() -> UnlikePost {
    UnlikePost { post_id: POST }
}

fn add(id: Option<u128>) -> AddComment {
    AddComment {
        post_id: POST,
        comment_id: id.map(comment),
        message: text("yes"),
    }
}

fn edit_comment(id: u128, to: &str) -> EditComment {
    EditComment {
        post_id: POST,
        comment_id: comment(id),
        message: text(to),
    }
}

fn remove(id: u128) -> RemoveComment {
    RemoveComment {
        post_id: POST,
        comment_id: comment(id),
    }
}

fn like_comment(id: u128) -> LikeComment {
    LikeComment {
        post_id: POST,
        comment_id: comment(id),
    }
}

fn unlike_comment(id: u128) -> UnlikeComment {
    UnlikeComment {
        post_id: POST,
        comment_id: comment(id),
    }
}

fn created() -> PostEvent {
    PostCreated {
        author: AUTHOR.into(),
        message: "hi".into(),
    }
    .into()
}

fn deleted() -> PostEvent {
    PostDeleted {}.into()
}

fn liked(actor: &str) -> PostEvent {
    let actor = actor.into();
    PostLiked { actor }.into()
}

fn unliked(actor: &str) -> PostEvent {
    let actor = actor.into();
    PostUnliked { actor }.into()
}

/// The commenter's.
fn added(id: u128) -> PostEvent {
    CommentAdded {
        comment_id: comment(id).as_uuid(),
        author: COMMENTER.into(),
        message: "yes".into(),
    }
    .into()
}

fn removed(id: u128) -> PostEvent {
    let comment_id = comment(id).as_uuid();
    CommentRemoved { comment_id }.into()
}

fn comment_liked(id: u128, actor: &str) -> PostEvent {
    CommentLiked {
        comment_id: comment(id).as_uuid(),
        actor: actor.into(),
    }
    .into()
}

fn comment_unliked(id: u128, actor: &str) -> PostEvent {
    CommentUnliked {
        comment_id: comment(id).as_uuid(),
        actor: actor.into(),
    }
    .into()
}

fn post(more: impl IntoIterator<Item = PostEvent>) -> Given<Post> {
    given(std::iter::once(created()).chain(more))
}
