//! Authors: what can be asked of them, what happens to them, what follows.

mod commands;
mod error;
mod events;

pub use commands::RegisterAuthor;
pub use error::AuthorError;
pub use events::{AuthorEvent, AuthorRegistered, DisplayNameChanged, HandleChanged};
