//! What can go wrong.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use cqrs_core::BoxError;

/// Why a store was not opened. Nothing in it was changed, but that missing indexes may have been made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// An option is out of its range, or the URI cannot be read.
    #[error("`{name}` must be {range}")]
    Option {
        /// Its name.
        name: &'static str,
        /// What it may be.
        range: &'static str,
    },
    /// The database holds a log, but not the document that says how it is to be read.
    #[error("database `{database}` has commits in `{collection}`, but no store document")]
    Foreign {
        /// The database.
        database: String,
        /// Where commits were found.
        collection: String,
    },
    /// The store was written by another version of this code.
    #[error("the store has layout version {found}, this code knows {known}")]
    UnknownVersion {
        /// The version in the store.
        found: u64,
        /// The version known here.
        known: u64,
    },
    /// The store was created with another number of partitions.
    #[error("the store has {found} partitions, not {asked}")]
    Partitions {
        /// How many it has.
        found: u64,
        /// How many were asked for.
        asked: u16,
    },
    /// The store spreads its streams by another hash.
    #[error("the store spreads its streams by `{found}`, this code by `{known}`")]
    PartitionHash {
        /// The hash's name in the store.
        found: String,
        /// The hash's name here.
        known: &'static str,
    },
    /// The store is being filled with another one's commits, and is not whole yet.
    #[error("database `{database}` is being imported to")]
    Importing {
        /// The database.
        database: String,
    },
    /// An import needs an empty database, or one that it began to fill.
    #[error("database `{database}` holds a store already")]
    Taken {
        /// The database.
        database: String,
    },
    /// The store document cannot be read.
    #[error("the store document is damaged: {reason}")]
    Damaged {
        /// What is wrong.
        reason: String,
    },
    /// A collection lacks a unique index, and it could not be made: without it the log keeps no promise.
    #[error("`{collection}` lacks the unique index `{index}`")]
    Index {
        /// The collection.
        collection: String,
        /// The index.
        index: &'static str,
        /// What the server said when it was to be made.
        source: Option<BoxError>,
    },
    /// The server did not answer, or refused; ask again.
    #[error("could not open database `{database}`")]
    Store {
        /// The database.
        database: String,
        /// What the driver said.
        source: BoxError,
    },
}

/// The store failed under several callers: everybody is told the same.
#[derive(Debug, Clone)]
pub struct StoreFailure(Arc<dyn Error + Send + Sync>);

impl StoreFailure {
    pub(crate) fn new(source: impl Into<BoxError>) -> Self {
        Self(Arc::from(source.into()))
    }

    pub(crate) fn closed() -> Self {
        Self::new("the store is closed")
    }

    pub(crate) fn timed_out() -> Self {
        Self::new("the server did not answer in time")
    }
}

impl fmt::Display for StoreFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for StoreFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
