//! What a failed call means.

use cqrs_core::{BoxError, IntentError};
use tokio_postgres::error::SqlState;

/// The server's schema cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum SchemaError {
    #[error("the ledger's schema has version {found}, this code knows {known}")]
    TooNew { found: i32, known: i32 },
    #[error("the ledger answered with an unknown {what}")]
    Unknown { what: &'static str },
}

pub(super) fn store(source: impl Into<BoxError>) -> IntentError {
    IntentError::Store {
        source: source.into(),
    }
}

pub(super) fn unknown(what: &'static str) -> IntentError {
    store(SchemaError::Unknown { what })
}

/// Whether the whole call is to be made again: it lost against another transaction and had no effect.
pub(super) fn lost_a_race(error: &tokio_postgres::Error) -> bool {
    matches!(
        error.code(),
        Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE)
    )
}
