//! Stored snapshots of an author: a changed shape, or a changed fold, raises the schema version.

use cqrs_core::{BoxError, EventType, Snapshotted};
use serde::{Deserialize, Serialize};

use super::Author;
use super::state::Profile;

/// The state of an author, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuthorSnapshot {
    /// Its profile, once registered.
    pub profile: Option<ProfileSnapshot>,
}

/// A profile, as it is stored in an [`AuthorSnapshot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProfileSnapshot {
    /// The handle, in its own case.
    pub handle: String,
    /// The display name.
    pub display_name: String,
}

impl Snapshotted for Author {
    type Wire = AuthorSnapshot;

    fn schema() -> EventType {
        EventType::new("author-snapshot", 1)
    }

    fn to_wire(&self) -> AuthorSnapshot {
        let profile = self.profile.as_ref().map(|profile| ProfileSnapshot {
            handle: profile.handle.to_string(),
            display_name: profile.display_name.to_string(),
        });
        AuthorSnapshot { profile }
    }

    fn from_wire(wire: AuthorSnapshot) -> Result<Self, BoxError> {
        let profile = wire.profile.map(|profile| Profile {
            handle: profile.handle.into(),
            display_name: profile.display_name.into(),
        });
        Ok(Self { profile })
    }
}
