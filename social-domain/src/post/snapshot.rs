//! Stored snapshots of a post: a changed shape, or a changed fold, raises the schema version.

use cqrs_core::{BoxError, EventType, Snapshotted};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Post;
use super::state::{Comment, Fingerprint, Live, State};

/// The state of a post, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum PostSnapshot {
    /// Nothing happened yet.
    Absent,
    /// It can be read.
    Live {
        /// Whose it is.
        author: String,
        /// Its message's fingerprint.
        message: Uuid,
        /// Who likes it, in order.
        likes: Vec<String>,
        /// The comments under it, in order of their ids.
        comments: Vec<CommentSnapshot>,
        /// The ids of those that were removed, in order.
        removed: Vec<Uuid>,
    },
    /// It was deleted.
    Deleted,
}

/// A comment, as it is stored in a [`PostSnapshot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommentSnapshot {
    /// The comment.
    pub id: Uuid,
    /// Who commented.
    pub author: String,
    /// The text's fingerprint.
    pub text: Uuid,
    /// Who likes it, in order.
    pub likes: Vec<String>,
}

/// A stored state that no history leads to.
#[derive(Debug, thiserror::Error)]
enum InvalidSnapshot {
    #[error("comment `{0}` stands there twice")]
    Comment(Uuid),
    #[error("a like of `{0}` stands there twice")]
    Like(String),
}

impl Snapshotted for Post {
    type Wire = PostSnapshot;

    fn schema() -> EventType {
        EventType::new("post-snapshot", 1)
    }

    fn to_wire(&self) -> PostSnapshot {
        self.to_snapshot()
    }

    fn from_wire(wire: PostSnapshot) -> Result<Self, BoxError> {
        Ok(Self::from_state(wire.into_state()?))
    }
}

impl PostSnapshot {
    pub(super) fn of(state: &State) -> Self {
        match state {
            State::Absent => Self::Absent,
            State::Deleted => Self::Deleted,
            State::Live(live) => Self::Live {
                author: live.author.to_string(),
                message: live.message.0,
                likes: live.likes.iter().map(str::to_owned).collect(),
                comments: live.comments.iter().map(CommentSnapshot::of).collect(),
                removed: live.removed.iter().copied().collect(),
            },
        }
    }

    fn into_state(self) -> Result<State, InvalidSnapshot> {
        let (author, message, likes, comments, removed) = match self {
            Self::Absent => return Ok(State::Absent),
            Self::Deleted => return Ok(State::Deleted),
            Self::Live {
                author,
                message,
                likes,
                comments,
                removed,
            } => (author, message, likes, comments, removed),
        };
        let mut live = Live::new(&author, Fingerprint(message));
        for actor in likes {
            if !live.like(&actor) {
                return Err(InvalidSnapshot::Like(actor));
            }
        }
        for id in removed {
            if live.knows(id) {
                return Err(InvalidSnapshot::Comment(id));
            }
            live.remember_removed(id);
        }
        for comment in comments {
            comment.join(&mut live)?;
        }
        Ok(State::Live(live))
    }
}

impl CommentSnapshot {
    fn of((id, comment): (&Uuid, &Comment)) -> Self {
        Self {
            id: *id,
            author: comment.author.to_string(),
            text: comment.text.0,
            likes: comment.likes.iter().map(str::to_owned).collect(),
        }
    }

    fn join(self, live: &mut Live) -> Result<(), InvalidSnapshot> {
        if live.knows(self.id) {
            return Err(InvalidSnapshot::Comment(self.id));
        }
        live.add_comment(self.id, &self.author, Fingerprint(self.text));
        for actor in self.likes {
            if !live.like_comment(self.id, &actor) {
                return Err(InvalidSnapshot::Like(actor));
            }
        }
        Ok(())
    }
}
