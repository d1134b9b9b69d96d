//! What follows from a command to a post. Checks in order: 404 or 410, 403, 409.

use cqrs_core::{Decide, Decided, Envelope};

use super::commands::{
    AddComment, CreatePost, DeletePost, EditComment, EditPost, LikeComment, LikePost,
    RemoveComment, UnlikeComment, UnlikePost,
};
use super::events::{
    CommentAdded, CommentEdited, CommentLiked, CommentRemoved, CommentUnliked, PostCreated,
    PostDeleted, PostEdited, PostEvent, PostLiked, PostUnliked,
};
use super::state::Fingerprint;
use super::{Post, PostError};
use crate::receipt::Receipt;
use crate::value::{CommentId, PostId};

type Decision = Result<Vec<PostEvent>, PostError>;

impl Decide<CreatePost> for Post {
    const BEGINS: bool = true;

    fn target(command: &CreatePost, envelope: &Envelope) -> PostId {
        let derived = || PostId::new(envelope.command_id.derive("post"));
        command.post_id.unwrap_or_else(derived)
    }

    fn decide(&self, command: &CreatePost, envelope: &Envelope) -> Decision {
        if self.exists() {
            return Err(PostError::AlreadyExists);
        }
        happens(PostCreated {
            author: actor(envelope),
            message: command.message.as_str().to_owned(),
        })
    }

    fn reply(command: &CreatePost, decided: &Decided<'_, PostEvent>) -> Receipt {
        let derived = || PostId::new(decided.header.command_id.derive("post"));
        about_post(command.post_id.unwrap_or_else(derived), decided)
    }
}

impl Decide<EditPost> for Post {
    fn target(command: &EditPost, _: &Envelope) -> PostId {
        command.post_id
    }

    fn decide(&self, command: &EditPost, envelope: &Envelope) -> Decision {
        let post = self.live()?;
        only(&post.author, envelope)?;
        if post.message == Fingerprint::of(command.message.as_str()) {
            return nothing();
        }
        happens(PostEdited {
            message: command.message.as_str().to_owned(),
        })
    }

    fn reply(command: &EditPost, decided: &Decided<'_, PostEvent>) -> Receipt {
        about_post(command.post_id, decided)
    }
}

impl Decide<DeletePost> for Post {
    fn target(command: &DeletePost, _: &Envelope) -> PostId {
        command.post_id
    }

    fn decide(&self, _: &DeletePost, envelope: &Envelope) -> Decision {
        only(&self.live()?.author, envelope)?;
        happens(PostDeleted {})
    }

    fn reply(command: &DeletePost, decided: &Decided<'_, PostEvent>) -> Receipt {
        about_post(command.post_id, decided)
    }
}

impl Decide<LikePost> for Post {
    fn target(command: &LikePost, _: &Envelope) -> PostId {
        command.post_id
    }

    fn decide(&self, _: &LikePost, envelope: &Envelope) -> Decision {
        if self.live()?.likes.contains(envelope.actor.as_str()) {
            return nothing();
        }
        happens(PostLiked {
            actor: actor(envelope),
        })
    }

    fn reply(command: &LikePost, decided: &Decided<'_, PostEvent>) -> Receipt {
        about_post(command.post_id, decided)
    }
}

impl Decide<UnlikePost> for Post {
    fn target(command: &UnlikePost, _: &Envelope) -> PostId {
        command.post_id
    }

    fn decide(&self, _: &UnlikePost, envelope: &Envelope) -> Decision {
        if !self.live()?.likes.contains(envelope.actor.as_str()) {
            return nothing();
        }
        happens(PostUnliked {
            actor: actor(envelope),
        })
    }

    fn reply(command: &UnlikePost, decided: &Decided<'_, PostEvent>) -> Receipt {
        about_post(command.post_id, decided)
    }
}

impl Decide<AddComment> for Post {
    fn target(command: &AddComment, _: &Envelope) -> PostId {
        command.post_id
    }

    fn decide(&self, command: &AddComment, envelope: &Envelope) -> Decision {
        let comment_id = command
            .comment_id
            .map_or_else(|| envelope.command_id.derive("comment"), CommentId::as_uuid);
        if self.live()?.knows(comment_id) {
            return Err(PostError::AlreadyExists);
        }
        happens(CommentAdded {
            comment_id,
            author: actor(envelope),
            message: command.message.as_str().to_owned(),
        })
    }

    fn reply(command: &AddComment, decided: &Decided<'_, PostEvent>) -> Receipt {
        let derived = || CommentId::new(decided.header.command_id.derive("comment"));
        about_comment(command.comment_id.unwrap_or_else(derived), decided)
    }
}

impl Decide<EditComment> for Post {
    fn target(command: &EditComment, _: &Envelope) -> PostId {
        command.post_id
    }

    fn decide(&self, command: &EditComment, envelope: &Envelope) -> Decision {
        let comment = self.live()?.comment(command.comment_id)?;
        only(&comment.author, envelope)?;
        if comment.text == Fingerprint::of(command.message.as_str()) {
            return nothing();
        }
        happens(CommentEdited {
            comment_id: command.comment_id.as_uuid(),
            message: command.message.as_str().to_owned(),
        })
    }

    fn reply(command: &EditComment, decided: &Decided<'_, PostEvent>) -> Receipt {
        about_comment(command.comment_id, decided)
    }
}

impl Decide<RemoveComment> for Post {
    fn target(command: &RemoveComment, _: &Envelope) -> PostId {
        command.post_id
    }

    fn decide(&self, command: &RemoveComment, envelope: &Envelope) -> Decision {
        let post = self.live()?;
        let comment = post.comment(command.comment_id)?;
        only(&comment.author, envelope).or_else(|_| only(&post.author, envelope))?;
        happens(CommentRemoved {
            comment_id: command.comment_id.as_uuid(),
        })
    }

    fn reply(command: &RemoveComment, decided: &Decided<'_, PostEvent>) -> Receipt {
        about_comment(command.comment_id, decided)
    }
}

impl Decide<LikeComment> for Post {
    fn target(command: &LikeComment, _: &Envelope) -> PostId {
        command.post_id
    }

    fn decide(&self, command: &LikeComment, envelope: &Envelope) -> Decision {
        let comment = self.live()?.comment(command.comment_id)?;
        if comment.likes.contains(envelope.actor.as_str()) {
            return nothing();
        }
        happens(CommentLiked {
            comment_id: command.comment_id.as_uuid(),
            actor: actor(envelope),
        })
    }

    fn reply(command: &LikeComment, decided: &Decided<'_, PostEvent>) -> Receipt {
        about_comment(command.comment_id, decided)
    }
}

impl Decide<UnlikeComment> for Post {
    fn target(command: &UnlikeComment, _: &Envelope) -> PostId {
        command.post_id
    }

    fn decide(&self, command: &UnlikeComment, envelope: &Envelope) -> Decision {
        let comment = self.live()?.comment(command.comment_id)?;
        if !comment.likes.contains(envelope.actor.as_str()) {
            return nothing();
        }
        happens(CommentUnliked {
            comment_id: command.comment_id.as_uuid(),
            actor: actor(envelope),
        })
    }

    fn reply(command: &UnlikeComment, decided: &Decided<'_, PostEvent>) -> Receipt {
        about_comment(command.comment_id, decided)
    }
}

fn happens(event: impl Into<PostEvent>) -> Decision {
    Ok(vec![event.into()])
}

fn nothing() -> Decision {
    Ok(Vec::new())
}

fn only(author: &str, envelope: &Envelope) -> Result<(), PostError> {
    if author == envelope.actor.as_str() {
        Ok(())
    } else {
        Err(PostError::NotTheAuthor)
    }
}

fn actor(envelope: &Envelope) -> String {
    envelope.actor.as_str().to_owned()
}

fn about_post(id: PostId, decided: &Decided<'_, PostEvent>) -> Receipt {
    Receipt::new(id.as_uuid(), decided)
}

fn about_comment(id: CommentId, decided: &Decided<'_, PostEvent>) -> Receipt {
    Receipt::new(id.as_uuid(), decided)
}
