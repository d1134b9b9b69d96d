//! The commits of a batch.

use std::ops::Deref;
use std::sync::Arc;

use crate::log::RecordedCommit;

/// Commits that a projection is given: borrowed, or such as it may keep without copying them.
#[derive(Debug, Clone, Copy)]
pub enum Commits<'a> {
    /// They are gone when the call ends.
    Borrowed(&'a [RecordedCommit]),
    /// They live as long as somebody has them, as on another thread.
    Shared(&'a Arc<[RecordedCommit]>),
}

impl Commits<'_> {
    /// The commits, to be kept; copied where they were only borrowed.
    #[must_use]
    pub fn to_shared(self) -> Arc<[RecordedCommit]> {
        match self {
            Self::Borrowed(commits) => commits.into(),
            Self::Shared(commits) => Arc::clone(commits),
        }
    }
}

impl Deref for Commits<'_> {
    type Target = [RecordedCommit];

    fn deref(&self) -> &[RecordedCommit] {
        match self {
            Self::Borrowed(commits) => commits,
            Self::Shared(commits) => commits,
        }
    }
}

impl<'a> From<&'a [RecordedCommit]> for Commits<'a> {
    fn from(commits: &'a [RecordedCommit]) -> Self {
        Self::Borrowed(commits)
    }
}

impl<'a> From<&'a Vec<RecordedCommit>> for Commits<'a> {
    fn from(commits: &'a Vec<RecordedCommit>) -> Self {
        Self::Borrowed(commits)
    }
}

impl<'a> From<&'a Arc<[RecordedCommit]>> for Commits<'a> {
    fn from(commits: &'a Arc<[RecordedCommit]>) -> Self {
        Self::Shared(commits)
    }
}
