//! Why the server cannot be used.

use std::error::Error;
use std::io;
use std::sync::Arc;

use cqrs_core::IntentError;

/// No connection could be opened.
///
/// Cheap to clone: those who wait for one connection share its failure.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// Nobody listens there, or the name is not known.
    #[error("could not reach the server")]
    Unreachable(#[source] Arc<io::Error>),
    /// It did not answer in time.
    #[error("the server did not answer in time")]
    Slow,
    /// The handshake or the login failed.
    #[error("could not log in to the server")]
    Login(#[source] Arc<dyn Error + Send + Sync>),
    /// The database is not there, or not for this user, and could not be made.
    #[error("the database `{name}` is not there for this user, who cannot make it")]
    Database {
        /// As the options name it.
        name: String,
        /// What the server said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The tables could not be made or looked at.
    #[error("could not make the ledger's tables")]
    Tables(#[source] Arc<dyn Error + Send + Sync>),
    /// Other connections are being opened, or another process is making the tables, and was for too long.
    #[error("others are connecting, or making the ledger's tables")]
    Busy,
    /// The tables are from a later version of this code.
    #[error("the ledger's tables have version {found}, this code knows {known}")]
    TooNew {
        /// Theirs.
        found: i32,
        /// The latest one known here.
        known: i32,
    },
}

/// A call did not come to an answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("there is no connection from before")]
    Lost,
    #[error("too many calls wait for a connection")]
    Overloaded,
    #[error("there is no connection to the ledger's server")]
    Away(#[from] ConnectError),
    #[error("the call failed")]
    Failed(#[from] tiberius::error::Error),
    #[error("the call's task ended early")]
    Broken(#[source] tokio::task::JoinError),
    #[error("the ledger's server answered with an unknown {0}")]
    Unknown(&'static str),
    #[error("a number is past what the ledger's tables hold")]
    TooLarge,
    #[error("the call lost against others {0} times")]
    Raced(u32),
}

impl From<CallError> for IntentError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Lost => Self::Lost,
            CallError::Overloaded => Self::Overloaded,
            error => Self::Store {
                source: error.into(),
            },
        }
    }
}
