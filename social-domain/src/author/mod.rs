//! Authors: what can be asked of them, what happens to them, what follows.

mod commands;
mod error;
mod events;
mod snapshot;
mod state;

pub use commands::RegisterAuthor;
pub use error::AuthorError;
pub use events::{AuthorEvent, AuthorRegistered, DisplayNameChanged, HandleChanged};
pub use snapshot::{AuthorSnapshot, ProfileSnapshot};
pub use state::{Author, author_id};
