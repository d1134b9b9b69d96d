//! What every command of this domain answers.

use cqrs_core::{Decided, LogPosition, Version};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The answer to a command that was not refused. Its JSON is the body that clients get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The post, comment or author that the command is about.
    pub id: Uuid,
    /// The version of the stream; for comments that of their post.
    pub version: Version,
    /// Where the stream's last commit stands.
    pub position: LogPosition,
}

impl Receipt {
    /// The answer about `id`, from how the command ended.
    pub(crate) fn new<E>(id: Uuid, decided: &Decided<'_, E>) -> Self {
        Self {
            id,
            version: decided.version,
            position: decided.at,
        }
    }
}
