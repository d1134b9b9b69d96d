//! Messages: commands that change, queries that ask.

use std::fmt;

use crate::BoxError;
use crate::ledger::ReservedValue;
use crate::stream::StreamName;
use crate::version::{Precondition, Version};

/// Something that is sent to exactly one handler, with its own reply and error.
pub trait Message: Send + Sync + 'static {
    /// The stable name, for telemetry and registration errors.
    const NAME: &'static str;
    /// What a handler answers.
    type Reply: Send + 'static;
    /// How a handler refuses.
    type Error: Send + 'static;
}

/// A message that asks for a change, named in the imperative: `CreatePost`.
pub trait Command: Message {}

/// A message that asks for an answer and changes nothing: `GetPost`.
pub trait Query: Message {}

/// What dispatching `M` gives.
pub type DispatchResult<M> = Result<<M as Message>::Reply, DispatchError<<M as Message>::Error>>;

/// Why a message was not answered with its reply.
///
/// [`Refused`](Self::Refused) is the handler's own error; the rest is what any
/// message can meet on its way. A plain error of the message converts with `?`.
#[derive(Debug)]
#[non_exhaustive]
pub enum DispatchError<E> {
    /// The handler refused. Nothing changed.
    Refused(E),
    /// A behaviour found the message itself invalid. Nothing changed.
    Invalid {
        /// The member that is wrong.
        field: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The stream is not at the version that the client demanded. Nothing changed.
    VersionMismatch {
        /// What was demanded.
        expected: Precondition,
        /// What is there.
        actual: Version,
    },
    /// Another stream owns a value that the command needed for itself. Nothing changed.
    Taken {
        /// The value.
        value: ReservedValue,
    },
    /// Rivals won every attempt. Nothing changed; ask again.
    Conflict {
        /// The stream that was fought over.
        stream: StreamName,
    },
    /// The same command is being worked on at this moment. Ask again.
    InProgress,
    /// The command's id was used before for another request. Nothing changed.
    KeyReused,
    /// A queue is full. Nothing changed; ask again later.
    Overloaded,
    /// A store did not answer. The command may have happened: ask again under the same id.
    Unavailable {
        /// What the store said.
        source: BoxError,
    },
    /// Nobody handles the message. Nothing changed.
    NoHandler {
        /// The message's name.
        name: &'static str,
    },
    /// What is stored cannot be understood. Nothing changed; a human must look.
    Corrupt {
        /// What was found.
        source: BoxError,
    },
}

impl<E> DispatchError<E> {
    /// The variant's name in snake case, for telemetry. Stable.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Invalid { .. } => "invalid",
            Self::VersionMismatch { .. } => "version_mismatch",
            Self::Taken { .. } => "taken",
            Self::Conflict { .. } => "conflict",
            Self::InProgress => "in_progress",
            Self::KeyReused => "key_reused",
            Self::Overloaded => "overloaded",
            Self::Unavailable { .. } => "unavailable",
            Self::NoHandler { .. } => "no_handler",
            Self::Corrupt { .. } => "corrupt",
        }
    }

    /// The same, with the handler's own error converted by `convert`.
    pub fn map_refused<F>(self, convert: impl FnOnce(E) -> F) -> DispatchError<F> {
        match self {
            Self::Refused(error) => DispatchError::Refused(convert(error)),
            Self::Invalid { field, reason } => DispatchError::Invalid { field, reason },
            Self::VersionMismatch { expected, actual } => {
                DispatchError::VersionMismatch { expected, actual }
            }
            Self::Taken { value } => DispatchError::Taken { value },
            Self::Conflict { stream } => DispatchError::Conflict { stream },
            Self::InProgress => DispatchError::InProgress,
            Self::KeyReused => DispatchError::KeyReused,
            Self::Overloaded => DispatchError::Overloaded,
            Self::Unavailable { source } => DispatchError::Unavailable { source },
            Self::NoHandler { name } => DispatchError::NoHandler { name },
            Self::Corrupt { source } => DispatchError::Corrupt { source },
        }
    }
}

impl<E> From<E> for DispatchError<E> {
    fn from(error: E) -> Self {
        Self::Refused(error)
    }
}

impl<E: fmt::Display> fmt::Display for DispatchError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(error) => error.fmt(f),
            Self::Invalid { field, reason } => write!(f, "`{field}` {reason}"),
            Self::VersionMismatch { expected, actual } => {
                write!(f, "the stream is at version {actual}, expected {expected}")
            }
            Self::Taken { value } => write!(f, "{value} is taken"),
            Self::Conflict { stream } => write!(f, "rivals won every attempt on stream `{stream}`"),
            Self::InProgress => f.write_str("the same command is being worked on"),
            Self::KeyReused => f.write_str("the command's id was used for another request"),
            Self::Overloaded => f.write_str("a queue is full"),
            Self::Unavailable { .. } => f.write_str("a store did not answer"),
            Self::NoHandler { name } => write!(f, "nobody handles `{name}`"),
            Self::Corrupt { .. } => f.write_str("what is stored cannot be understood"),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for DispatchError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Display prints the refusal itself, so its source is ours.
            Self::Refused(error) => error.source(),
            Self::Unavailable { source } | Self::Corrupt { source } => Some(source.as_ref()),
            _ => None,
        }
    }
}
