//! Value objects: `parse` is the only way in, so what exists is valid.

mod actor;
mod handle;
mod ids;
mod text;

pub use actor::ActorId;
pub use handle::Handle;
pub use ids::{CommentId, PostId};
pub use text::{CommentText, DisplayName, PostMessage};

/// Why a text is not the value that it should be.
///
/// The messages are predicates, to stand after the name of a field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidValue {
    /// Nothing is left after trimming.
    #[error("must not be empty")]
    Empty,
    /// Fewer characters than allowed.
    #[error("must have at least {min} characters, not {actual}")]
    TooShort {
        /// How many it has.
        actual: usize,
        /// How many it needs.
        min: usize,
    },
    /// More characters than allowed.
    #[error("must have at most {max} characters, not {actual}")]
    TooLong {
        /// How many it has.
        actual: usize,
        /// How many are allowed.
        max: usize,
    },
    /// A control character that is not allowed there.
    #[error("must not contain the control character U+{:04X}", u32::from(*.character))]
    Control {
        /// The first one.
        character: char,
    },
    /// A character outside of the alphabet.
    #[error("must consist of {allowed}, not U+{:04X}", u32::from(*.character))]
    Character {
        /// The first one.
        character: char,
        /// The alphabet.
        allowed: &'static str,
    },
    /// A name that means something else.
    #[error("must not be `{name}`")]
    ReservedName {
        /// The name.
        name: String,
    },
    /// Not a UUID in the hyphenated form.
    #[error("must be a UUID such as 0198c5a0-7c1e-7d3a-9b64-2f0e8d6a1c57")]
    NotAUuid,
}
