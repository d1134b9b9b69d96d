//! How an author refuses.

use serde::{Deserialize, Serialize};

/// Why an author refuses a command: never, so far.
///
/// That a handle is taken cannot be seen from one stream: the dispatch says so,
/// as [`DispatchError::Taken`](cqrs_core::DispatchError::Taken).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum AuthorError {}
