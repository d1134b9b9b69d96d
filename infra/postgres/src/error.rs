//! What can go wrong, and which of the server's codes mean that an event is at fault.

use std::error::Error;
use std::io;

use cqrs_core::{ApplyError, BoxError, EventId, StreamName};
use deadpool_postgres::PoolError;
use tokio_postgres::error::SqlState;

use crate::name::SchemaName;

/// One event, or one of several, could not be applied.
#[derive(Debug, thiserror::Error)]
#[error("an event of the slice cannot be applied")]
pub struct ApplyFailure {
    /// Its index in the slice that was given; `None` where a statement of several failed: it is then searched for.
    pub index: Option<usize>,
    /// Why. A `tokio_postgres::Error` in here decides by its code between "this event" and
    /// "the store is away"; so box it as it is.
    pub source: BoxError,
}

impl ApplyFailure {
    /// Event `index` failed with `source`.
    pub fn at(index: usize, source: impl Into<BoxError>) -> Self {
        Self {
            index: Some(index),
            source: source.into(),
        }
    }

    /// Some event failed with `source`; the slice is tried again in parts to find it.
    pub fn somewhere(source: impl Into<BoxError>) -> Self {
        Self {
            index: None,
            source: source.into(),
        }
    }
}

/// One event alone exceeds the server's time-out.
#[derive(Debug, thiserror::Error)]
#[error("event {event} of stream `{stream}` takes longer than a statement may")]
pub(crate) struct TooSlow {
    pub(crate) event: EventId,
    pub(crate) stream: StreamName,
    pub(crate) source: BoxError,
}

impl From<tokio_postgres::Error> for ApplyFailure {
    fn from(source: tokio_postgres::Error) -> Self {
        Self::somewhere(source)
    }
}

/// Why something could not be done to a version of a read model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// No version of this projection is live.
    #[error("no version of `{projection}` is live")]
    NoneLive {
        /// The projection.
        projection: String,
    },
    /// The live version has a layout that this code was not built for.
    #[error("the live version of `{projection}` has layout {found}, this code knows {known}")]
    Layout {
        /// The projection.
        projection: String,
        /// The live one's.
        found: u32,
        /// The one known here.
        known: u32,
    },
    /// The version was made for another number of partitions.
    #[error("`{schema}` has {found} partitions, not {asked}")]
    Partitions {
        /// Its schema.
        schema: SchemaName,
        /// How many it has.
        found: u16,
        /// How many the log has.
        asked: u16,
    },
    /// The server did not answer, or refused. Where something was to be changed, look whether it is.
    #[error("the read model's server did not answer")]
    Store(#[source] BoxError),
}

impl From<tokio_postgres::Error> for ModelError {
    fn from(source: tokio_postgres::Error) -> Self {
        Self::Store(source.into())
    }
}

impl From<PoolError> for ModelError {
    fn from(source: PoolError) -> Self {
        Self::Store(source.into())
    }
}

/// The server is away, or its answer says nothing about an event.
pub(crate) fn away(source: impl Into<BoxError>) -> ApplyError {
    ApplyError::Store {
        source: source.into(),
    }
}

/// Whether what was asked is at fault, not the server: trying again cannot help.
///
/// By class: 21 cardinality, 22 data, 23 constraint, 44 check option, 54 limit, P0 raised by
/// a function. All else (an unknown table too, as after the schema was dropped) may pass.
pub(crate) fn is_data_fault(error: &tokio_postgres::Error) -> bool {
    match error.code() {
        Some(code) => {
            let class = code.code().get(..2).unwrap_or_default();
            matches!(class, "21" | "22" | "23" | "44" | "54" | "P0")
        }
        // A value that the driver could not write, or a column that it could not read.
        None => !error.is_closed() && error.source().is_some_and(|source| !is_transport(source)),
    }
}

fn is_transport(source: &(dyn Error + 'static)) -> bool {
    source.is::<io::Error>() || source.is::<rustls::Error>()
}

/// Whether the server gave the statement up after its time-out.
pub(crate) fn is_too_slow(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::QUERY_CANCELED)
}

/// Whether a cached statement no longer fits its table, somebody having changed a column.
///
/// The statements are prepared anew by then: begin the read again.
#[must_use]
pub fn is_outdated(source: &(dyn Error + 'static)) -> bool {
    driver_error(source).is_some_and(|e| e.code() == Some(&SqlState::FEATURE_NOT_SUPPORTED))
}

/// The driver's error in `source` or its causes.
pub(crate) fn driver_error<'a>(
    source: &'a (dyn Error + 'static),
) -> Option<&'a tokio_postgres::Error> {
    let mut cause = Some(source);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}
