//! Versions of a stream and what is expected of them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::envelope::CommandId;

/// How many events a stream has: 0 is empty, 1 stands after the first event.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Version(u64);

impl Version {
    /// The version of a stream without events.
    pub const EMPTY: Self = Self(0);

    /// The version after `events` events.
    #[must_use]
    pub const fn new(events: u64) -> Self {
        Self(events)
    }

    /// The number of events.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The version `events` events later.
    #[must_use]
    pub const fn plus(self, events: usize) -> Self {
        Self(self.0 + events as u64)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What an append expects of its stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExpectedVersion {
    /// Whatever is there.
    Any,
    /// No event yet.
    NoStream,
    /// Exactly this version, which must be the end of a commit.
    Exact(Version),
    /// Exactly this version, and it must be this command's commit that ends there.
    ///
    /// For a decision on a commit that is not yet durable: should that one be lost, another may end
    /// at the same version, and the number alone would not tell.
    After {
        /// The version.
        version: Version,
        /// Whose commit ends there.
        command: CommandId,
    },
}

impl ExpectedVersion {
    /// Whether a stream at `actual`, whose last commit is that of `last`, is as expected.
    #[must_use]
    pub fn accepts(self, actual: Version, last: Option<CommandId>) -> bool {
        match self {
            Self::Any => true,
            Self::NoStream => actual == Version::EMPTY,
            Self::Exact(version) => actual == version,
            Self::After { version, command } => actual == version && last == Some(command),
        }
    }
}

impl From<Version> for ExpectedVersion {
    fn from(version: Version) -> Self {
        Self::Exact(version)
    }
}

impl fmt::Display for ExpectedVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("any"),
            Self::NoStream => f.write_str("no stream"),
            Self::Exact(version) => version.fmt(f),
            Self::After { version, command } => write!(f, "{version} after command {command}"),
        }
    }
}

/// What a client demands of the stream's version before its command is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Precondition {
    /// Exactly this version.
    Exact(Version),
    /// At least one event.
    Exists,
}

impl Precondition {
    /// Whether a stream at `actual` satisfies it.
    #[must_use]
    pub fn accepts(self, actual: Version) -> bool {
        match self {
            Self::Exact(version) => actual == version,
            Self::Exists => actual > Version::EMPTY,
        }
    }
}

impl fmt::Display for Precondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(version) => version.fmt(f),
            Self::Exists => f.write_str("any existing version"),
        }
    }
}
