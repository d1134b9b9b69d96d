//! What can go wrong, and which SQLite codes mean that the store itself failed.

use std::error::Error;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use cqrs_core::BoxError;
use rusqlite::ErrorCode;

/// Why a store was not opened. The file is as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file is something else: no SQLite database, or another application's.
    #[error("`{}` is not a store of ours: {found}", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found in its header.
        found: String,
    },
    /// The file was written by another version of this code.
    #[error("`{}` has layout version {found}, this code knows {known}", path.display())]
    UnknownVersion {
        /// The file.
        path: PathBuf,
        /// The version in its header.
        found: u32,
        /// The version known here.
        known: u32,
    },
    /// Another process has it open.
    #[error("`{}` is in use by another process", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The store was created with another number of partitions.
    #[error("the store has {found} partitions, not {asked}")]
    Partitions {
        /// How many it has.
        found: u16,
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
    /// An option is out of its range.
    #[error("`{name}` must be {range}, not {value}")]
    Option {
        /// Its name.
        name: &'static str,
        /// What it may be.
        range: &'static str,
        /// What it was.
        value: u64,
    },
    /// The file could not be read or written.
    #[error("could not open `{}`", path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite said.
        source: BoxError,
    },
}

/// Why [`SqliteStore::read`](crate::SqliteStore::read) gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadFailure<E> {
    /// The closure's own error.
    #[error(transparent)]
    Failed(E),
    /// The readers' queue is full; nothing was read.
    #[error("the readers' queue is full")]
    Overloaded,
    /// The store is closed, a transaction could not begin, or the closure panicked.
    #[error("could not read the store")]
    Store(#[source] StoreFailure),
}

/// Why [`SqliteStore::write`](crate::SqliteStore::write) was not done, or may not have been.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteFailure<E> {
    /// The closure's own error; nothing of it was written.
    #[error(transparent)]
    Failed(E),
    /// The writer's queue is full; nothing was written.
    #[error("the writer's queue is full")]
    Overloaded,
    /// The store failed; whether anything was written is unknown.
    #[error("could not write the store")]
    Store(#[source] StoreFailure),
}

/// The store failed under a whole group: everybody in it is told the same.
#[derive(Debug, Clone)]
pub struct StoreFailure(Arc<dyn Error + Send + Sync>);

impl StoreFailure {
    pub(crate) fn new(source: impl Into<BoxError>) -> Self {
        Self(Arc::from(source.into()))
    }

    pub(crate) fn closed() -> Self {
        Self::new("the store is closed")
    }

    /// The answer never came: its thread stopped or its job panicked.
    pub(crate) fn unanswered() -> Self {
        Self::new("the store closed, or the job panicked, before it was answered")
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

impl From<rusqlite::Error> for StoreFailure {
    fn from(source: rusqlite::Error) -> Self {
        Self::new(source)
    }
}

/// Whether `error` is the store's own failure (and may pass), not that of what was asked.
pub(crate) fn is_store_failure(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::SystemIoFailure
                | ErrorCode::DiskFull
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::DatabaseCorrupt
                | ErrorCode::NotADatabase
                | ErrorCode::CannotOpen
                | ErrorCode::ReadOnly
                | ErrorCode::PermissionDenied
                | ErrorCode::OutOfMemory
                | ErrorCode::OperationInterrupted
                | ErrorCode::OperationAborted
                | ErrorCode::FileLockingProtocolFailed
        )
    )
}

/// Whether `error` is a violated constraint: the statement did nothing, the transaction stands.
pub(crate) fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}
