//! What every store of the read model shares: which events it takes, and what they are.

use cqrs_core::{BoxError, Codec, Event, RecordedEvent};
use social_domain::{AuthorEvent, PostEvent};
use uuid::Uuid;

/// The social read model's tables: posts, comments, likes, authors and what is counted of them.
///
/// Rows are a function of the events alone: neither a clock nor the order in which partitions are
/// read shows in an answer. It is the read model of each store that has an adapter here.
#[derive(Debug, Default)]
pub struct SocialReadModel {
    posts: Codec<PostEvent>,
    authors: Codec<AuthorEvent>,
}

/// An event, and what it happened to.
#[derive(Debug)]
pub(crate) enum Happened {
    ToPost(Uuid, PostEvent),
    ToAuthor(String, AuthorEvent),
}

/// The log says what cannot be, after what it said before.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Contradiction {
    #[error("stream `{0}` holds neither a post nor an author")]
    Stream(String),
    #[error("there is no post before this event")]
    NoPost,
    #[error("the post is deleted before this event")]
    Deleted,
    #[error("there is no comment `{0}` before this event")]
    NoComment(Uuid),
    #[cfg(feature = "sqlite")]
    #[error("there is a comment `{0}` before this event")]
    CommentAgain(Uuid),
    #[error("the actor is not registered before this event")]
    NotRegistered,
}

impl SocialReadModel {
    /// The name under which its checkpoints are kept.
    pub const NAME: &'static str = "social";

    /// A model that reads events in their current shapes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A model that reads older shapes through the upcasters of these codecs.
    #[must_use]
    pub fn with_codecs(posts: Codec<PostEvent>, authors: Codec<AuthorEvent>) -> Self {
        Self { posts, authors }
    }

    /// Whether events of this stored type change it.
    #[must_use]
    pub fn names(event_type: &str) -> bool {
        PostEvent::TYPES
            .iter()
            .chain(AuthorEvent::TYPES)
            .any(|(name, _)| *name == event_type)
    }

    pub(crate) fn happened(&self, event: &RecordedEvent<'_>) -> Result<Happened, BoxError> {
        let stream = &event.commit.stream;
        match stream.category() {
            "post" => {
                let post = Uuid::try_parse(stream.id())?;
                Ok(Happened::ToPost(post, self.posts.decode(event.data)?))
            }
            "author" => {
                let decoded = self.authors.decode(event.data)?;
                Ok(Happened::ToAuthor(stream.id().to_owned(), decoded))
            }
            _ => Err(Contradiction::Stream(stream.to_string()).into()),
        }
    }
}
