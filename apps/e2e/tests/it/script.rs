//! Every command of the domain once or more, as one story that can be told in several ways.

use serde_json::{Value, json};

use crate::client::{Request, write};
use crate::names::uuid;

/// The story of three actors, a post that stays and one that is deleted.
#[derive(Debug)]
pub(crate) struct Story {
    pub(crate) author: String,
    pub(crate) commenter: String,
    pub(crate) guest: String,
    pub(crate) handle: String,
    pub(crate) post: String,
    pub(crate) deleted: String,
    pub(crate) comment: String,
    pub(crate) removed: String,
    number: u128,
}

/// One command of it.
#[derive(Debug)]
pub(crate) struct Step {
    /// What the command is called in messages.
    pub(crate) name: &'static str,
    /// The command's own id.
    pub(crate) id: String,
    pub(crate) actor: String,
    pub(crate) data: Value,
}

impl Story {
    /// The story of `number`, with actors and ids of its own.
    pub(crate) fn new(number: u128) -> Self {
        let id = |part: u128| uuid(number << 96 | part);
        Self {
            author: format!("ada-{number}"),
            commenter: format!("bob-{number}"),
            guest: format!("cid-{number}"),
            handle: format!("Bob_{number}"),
            post: id(1),
            deleted: id(2),
            comment: id(3),
            removed: id(4),
            number,
        }
    }

    pub(crate) fn steps(&self) -> Vec<Step> {
        let (post, comment) = (&self.post, &self.comment);
        let (ada, bob, cid) = (&self.author, &self.commenter, &self.guest);
        let on_post = json!({ "post_id": post });
        let on_comment = json!({"post_id": post, "comment_id": comment});
        let told = [
            (
                "RegisterAuthor",
                bob,
                json!({"handle": self.handle, "display_name": "Bob"}),
            ),
            ("CreatePost", ada, json!({"id": post, "message": " first "})),
            (
                "EditPost",
                ada,
                json!({"post_id": post, "message": "second"}),
            ),
            ("LikePost", bob, on_post.clone()),
            ("UnlikePost", bob, on_post.clone()),
            ("LikePost", bob, on_post.clone()),
            ("LikePost", cid, on_post.clone()),
            (
                "AddComment",
                bob,
                json!({"post_id": post, "id": comment, "message": "yes"}),
            ),
            (
                "EditComment",
                bob,
                json!({"post_id": post, "comment_id": comment, "message": "no"}),
            ),
            ("LikeComment", ada, on_comment.clone()),
            ("UnlikeComment", ada, on_comment.clone()),
            ("LikeComment", ada, on_comment),
            (
                "AddComment",
                cid,
                json!({"post_id": post, "id": self.removed, "message": "hm"}),
            ),
            (
                "RemoveComment",
                ada,
                json!({"post_id": post, "comment_id": self.removed}),
            ),
            (
                "CreatePost",
                ada,
                json!({"id": self.deleted, "message": "gone"}),
            ),
            ("DeletePost", ada, json!({"post_id": self.deleted})),
        ];
        let steps = told.into_iter().enumerate();
        steps
            .map(|(index, (name, actor, data))| Step {
                name,
                id: uuid(self.number << 96 | 0x100 | index as u128),
                actor: actor.clone(),
                data,
            })
            .collect()
    }
}

impl Step {
    /// By its own route.
    pub(crate) fn as_route(&self) -> Request {
        let mut body = self.data.clone();
        let members = body.as_object_mut().unwrap();
        let mut take = |member: &str| match members.remove(member) {
            Some(Value::String(id)) => id,
            _ => String::new(),
        };
        let post = format!("/v1/posts/{}", take("post_id"));
        let comment = format!("{post}/comments/{}", take("comment_id"));
        let (method, path) = match self.name {
            "CreatePost" => ("POST", "/v1/posts".to_owned()),
            "EditPost" => ("PUT", format!("{post}/message")),
            "DeletePost" => ("DELETE", post),
            "LikePost" => ("PUT", format!("{post}/like")),
            "UnlikePost" => ("DELETE", format!("{post}/like")),
            "AddComment" => ("POST", format!("{post}/comments")),
            "EditComment" => ("PUT", comment),
            "RemoveComment" => ("DELETE", comment),
            "LikeComment" => ("PUT", format!("{comment}/like")),
            "UnlikeComment" => ("DELETE", format!("{comment}/like")),
            "RegisterAuthor" => ("PUT", "/v1/authors/me".to_owned()),
            name => panic!("no route of `{name}`"),
        };
        let body = if body == json!({}) { Value::Null } else { body };
        write(&self.actor, method, &path, &body)
    }

    /// As a message over HTTP.
    pub(crate) fn as_message(&self) -> Request {
        let message = json!({"type": self.name, "id": self.id, "data": self.data});
        write(&self.actor, "POST", "/v1/commands", &message)
    }

    /// As a record of the command topic.
    pub(crate) fn as_record(&self) -> Value {
        json!({"type": self.name, "id": self.id, "actor": self.actor, "data": self.data})
    }
}
