//! What clients ask, and what they are told.

use cqrs_core::{Actor, CommandId, DispatchError, Precondition, RequestHash, Version};
use social_domain::{PostId, Receipt};
use uuid::Uuid;

/// What is to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Act {
    Create(u8),
    Edit(u8, String),
    Delete(u8),
    Like(u8),
    Unlike(u8),
    Comment(u8, String),
    Register(String, String),
}

/// A request.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    /// Tells the commands of a run apart.
    pub(crate) number: usize,
    /// Whether it may be sent again.
    pub(crate) keyed: bool,
    pub(crate) actor: Actor,
    pub(crate) act: Act,
    pub(crate) if_match: Option<Version>,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Told {
    Done {
        receipt: Receipt,
        command: CommandId,
    },
    /// A refusal that stays: 403, 404, 409, 410, 412.
    Refused(String),
    /// Nothing is known, or nothing happened: ask again.
    NotNow(&'static str),
    /// What no client may ever be told.
    Broken(String),
}

impl Ask {
    pub(crate) fn request(&self) -> RequestHash {
        let text = format!("{:?} {:?}", self.act, self.if_match);
        let mut digest = [0; 32];
        digest[..16].copy_from_slice(Uuid::new_v5(&Uuid::nil(), text.as_bytes()).as_bytes());
        RequestHash::new(digest)
    }

    pub(crate) fn precondition(&self) -> Option<Precondition> {
        self.if_match.map(Precondition::Exact)
    }

    /// The stream's name.
    pub(crate) fn stream(&self) -> String {
        match &self.act {
            Act::Create(post)
            | Act::Edit(post, _)
            | Act::Delete(post)
            | Act::Like(post)
            | Act::Unlike(post)
            | Act::Comment(post, _) => format!("post-{}", post_id(*post)),
            Act::Register(..) => format!("author-{}", self.actor),
        }
    }
}

/// The posts' ids, as clients choose them.
pub(crate) fn post_id(number: u8) -> PostId {
    PostId::new(Uuid::new_v5(&Uuid::nil(), &[number]))
}

impl Told {
    pub(crate) fn of<E: std::fmt::Debug>(
        result: Result<Receipt, DispatchError<E>>,
        command: CommandId,
    ) -> Self {
        match result {
            Ok(receipt) => Self::Done { receipt, command },
            Err(DispatchError::Refused(error)) => Self::Refused(format!("{error:?}")),
            Err(DispatchError::VersionMismatch { expected, actual }) => {
                Self::Refused(format!("{actual}, not {expected}"))
            }
            Err(DispatchError::Taken { value }) => Self::Refused(format!("{value} is taken")),
            Err(
                error @ (DispatchError::Conflict { .. }
                | DispatchError::InProgress
                | DispatchError::Overloaded
                | DispatchError::Unavailable { .. }),
            ) => Self::NotNow(error.kind()),
            Err(other) => Self::Broken(other.kind().to_owned()),
        }
    }

    /// Whether it stays what it is, however often it is asked for.
    pub(crate) fn is_final(&self) -> bool {
        !matches!(self, Self::NotNow(_))
    }
}
