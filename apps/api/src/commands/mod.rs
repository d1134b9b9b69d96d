//! The commands as the edge sees them: one type for all, parsed from a route or from a message.

mod parse;

use cqrs_core::{
    Command, Decide, DispatchError, DispatchResult, Envelope, Handler, InvalidStreamName, Mediator,
    Message, Precondition, RequestHash, StreamName,
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use social_domain::{
    AddComment, Author, AuthorError, CreatePost, DeletePost, EditComment, EditPost, LikeComment,
    LikePost, Post, PostError, PostId, Receipt, RegisterAuthor, RemoveComment, UnlikeComment,
    UnlikePost,
};
use uuid::Uuid;

pub(crate) use parse::{Parsed, from_message, from_record, from_route, id};

/// Why any of the commands was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// By a post.
    Post(PostError),
    /// By an author.
    Author(AuthorError),
}

impl From<PostError> for Refusal {
    fn from(error: PostError) -> Self {
        Self::Post(error)
    }
}

impl From<AuthorError> for Refusal {
    fn from(error: AuthorError) -> Self {
        Self::Author(error)
    }
}

macro_rules! commands {
    ($($name:ident => $aggregate:ident),+ $(,)?) => {
        /// Whoever handles every command of the domain: the mediator of a service that writes.
        pub trait SocialCommands: $(Handler<$name> +)+ 'static {}

        impl<T> SocialCommands for T where T: $(Handler<$name> +)+ 'static {}

        /// Which command.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum CommandKind {
            $($name,)+
        }

        impl CommandKind {
            /// The command that messages call `name`.
            pub(crate) fn by_name(name: &str) -> Option<Self> {
                match name {
                    $(<$name as Message>::NAME => Some(Self::$name),)+
                    _ => None,
                }
            }
        }

        /// Any command of the domain.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum AnyCommand {
            $(
                #[doc = concat!("[`", stringify!($name), "`].")]
                $name($name),
            )+
        }

        impl AnyCommand {
            /// The name, as messages have it.
            #[must_use]
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => <$name as Message>::NAME,)+
                }
            }

            /// The stream that it is for.
            ///
            /// # Errors
            ///
            /// When the id of its aggregate makes no name of a stream, which those of this domain do.
            pub fn stream(&self, envelope: &Envelope) -> Result<StreamName, InvalidStreamName> {
                match self {
                    $(Self::$name(command) => stream::<$aggregate, _>(command, envelope),)+
                }
            }

            /// Sends it to its handler.
            ///
            /// # Errors
            ///
            /// As the handler's.
            pub async fn dispatch<H: SocialCommands>(
                self,
                mediator: &Mediator<H>,
                envelope: &Envelope,
            ) -> Result<Receipt, DispatchError<Refusal>> {
                match self {
                    $(Self::$name(command) => {
                        let answer: DispatchResult<$name> = mediator.send(command, envelope).await;
                        answer.map_err(|error| error.map_refused(Refusal::from))
                    })+
                }
            }
        }

        $(
            impl From<$name> for AnyCommand {
                fn from(command: $name) -> Self {
                    Self::$name(command)
                }
            }
        )+
    };
}

commands!(
    CreatePost => Post,
    EditPost => Post,
    DeletePost => Post,
    LikePost => Post,
    UnlikePost => Post,
    AddComment => Post,
    EditComment => Post,
    RemoveComment => Post,
    LikeComment => Post,
    UnlikeComment => Post,
    RegisterAuthor => Author,
);

fn stream<A: Decide<C>, C: Command>(
    command: &C,
    envelope: &Envelope,
) -> Result<StreamName, InvalidStreamName> {
    StreamName::new(A::CATEGORY, &A::target(command, envelope))
}

impl AnyCommand {
    /// The method and path of its route, ids in lower case: however the request was written, this is what it meant.
    #[must_use]
    pub fn route(&self) -> (&'static str, String) {
        match self {
            Self::CreatePost(_) => ("POST", "/v1/posts".to_owned()),
            Self::EditPost(c) => ("PUT", format!("/v1/posts/{}/message", c.post_id)),
            Self::DeletePost(c) => ("DELETE", format!("/v1/posts/{}", c.post_id)),
            Self::LikePost(c) => ("PUT", format!("/v1/posts/{}/like", c.post_id)),
            Self::UnlikePost(c) => ("DELETE", format!("/v1/posts/{}/like", c.post_id)),
            Self::AddComment(c) => ("POST", format!("/v1/posts/{}/comments", c.post_id)),
            Self::EditComment(c) => ("PUT", comment_path(c.post_id, c.comment_id, "")),
            Self::RemoveComment(c) => ("DELETE", comment_path(c.post_id, c.comment_id, "")),
            Self::LikeComment(c) => ("PUT", comment_path(c.post_id, c.comment_id, "/like")),
            Self::UnlikeComment(c) => ("DELETE", comment_path(c.post_id, c.comment_id, "/like")),
            Self::RegisterAuthor(_) => ("PUT", "/v1/authors/me".to_owned()),
        }
    }

    /// The members of its body, as parsed.
    fn body(&self) -> Value {
        match self {
            Self::CreatePost(c) => json!({
                "id": c.post_id.map(|id| id.to_string()),
                "message": c.message.as_str(),
            }),
            Self::EditPost(c) => json!({ "message": c.message.as_str() }),
            Self::AddComment(c) => json!({
                "id": c.comment_id.map(|id| id.to_string()),
                "message": c.message.as_str(),
            }),
            Self::EditComment(c) => json!({ "message": c.message.as_str() }),
            Self::RegisterAuthor(c) => json!({
                "display_name": c.display_name.as_str(),
                "handle": c.handle.as_str(),
            }),
            Self::DeletePost(_)
            | Self::LikePost(_)
            | Self::UnlikePost(_)
            | Self::RemoveComment(_)
            | Self::LikeComment(_)
            | Self::UnlikeComment(_) => Value::Null,
        }
    }

    /// What it makes that has a path of its own, if anything.
    pub(crate) fn creates(&self) -> Option<Creates> {
        match self {
            Self::CreatePost(_) => Some(Creates::Post),
            Self::AddComment(c) => Some(Creates::CommentOn(c.post_id)),
            _ => None,
        }
    }

    /// What repeats of the request are compared by: its meaning, not its bytes.
    ///
    /// Frozen: stored with every keyed command.
    pub(crate) fn request_hash(
        &self,
        as_message: bool,
        precondition: Option<Precondition>,
    ) -> RequestHash {
        let (method, path) = self.route();
        let precondition = match precondition {
            None => Value::Null,
            Some(Precondition::Exists) => json!("*"),
            Some(Precondition::Exact(version)) => json!(version.get()),
        };
        // One JSON array, so that no two meanings share a text.
        let meaning = if as_message {
            let data = json!([method, path, self.body()]);
            json!(["POST", "/v1/commands", precondition, self.name(), data])
        } else {
            json!([method, path, precondition, self.body()])
        };
        RequestHash::new(Sha256::digest(meaning.to_string()).into())
    }
}

/// Something new with a path of its own.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Creates {
    Post,
    CommentOn(PostId),
}

impl Creates {
    /// Where it will be found, by the id that it gets.
    pub(crate) fn location(self, id: Uuid) -> String {
        match self {
            Self::Post => format!("/v1/posts/{id}"),
            Self::CommentOn(post) => format!("/v1/posts/{post}/comments/{id}"),
        }
    }
}

fn comment_path(post: PostId, comment: social_domain::CommentId, rest: &str) -> String {
    format!("/v1/posts/{post}/comments/{comment}{rest}")
}
