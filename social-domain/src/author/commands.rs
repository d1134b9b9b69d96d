//! What can be asked of an author.

use cqrs_core::{Command, Message};

use super::AuthorError;
use crate::receipt::Receipt;
use crate::value::{DisplayName, Handle};

/// Registers the actor, or changes the profile that it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterAuthor {
    /// The handle; unique, whatever the case.
    pub handle: Handle,
    /// The display name.
    pub display_name: DisplayName,
}

// The name is the one that clients send: renaming it breaks them.
impl Message for RegisterAuthor {
    const NAME: &'static str = "RegisterAuthor";
    type Reply = Receipt;
    type Error = AuthorError;
}

impl Command for RegisterAuthor {}
