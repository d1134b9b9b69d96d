//! Stored events of an author: renaming breaks stored data.
//!
//! Wire types of plain texts: names of types, members and shapes are for ever.
//! A changed shape is a new schema version and an upcaster. The golden files
//! under `tests/golden` hold every shape that was ever written.

use serde::{Deserialize, Serialize};

/// An actor took a handle and a display name for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorRegistered {
    /// The handle, in its own case.
    pub handle: String,
    /// The display name.
    pub display_name: String,
}

/// The handle became another, or is written in another case.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandleChanged {
    /// The one before.
    pub previous: String,
    /// The new one, in its own case.
    pub handle: String,
}

/// The display name became another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DisplayNameChanged {
    /// The new one.
    pub display_name: String,
}

cqrs_core::events! {
    /// What happens to an author. Streams: `author-<actor>`.
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub enum AuthorEvent {
        AuthorRegistered = "author-registered" v1,
        HandleChanged = "handle-changed" v1,
        DisplayNameChanged = "display-name-changed" v1,
    }
}
