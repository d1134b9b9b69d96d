//! Why a replay goes no further.

use std::error::Error;

use crate::follow::RunnerError;
use crate::log::ReadError;
use crate::position::Partition;
use crate::replay::ModelState;
use crate::stream::StreamName;

/// Why a replay went no further; `E` is the engine's own. What it has written is kept and counts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError<E: Error + 'static> {
    /// Somebody else replays.
    #[error("another replay is running")]
    Running,
    /// The shutdown came first. Do the same again to go on.
    #[error("interrupted")]
    Interrupted,
    /// Somebody cancelled the version meanwhile.
    #[error("version {version} was cancelled")]
    Cancelled {
        /// The version.
        version: u32,
    },
    /// The version has parked what the live one has not.
    #[error("{} streams are parked that are not in the live version", streams.len())]
    Parked {
        /// The streams.
        streams: Vec<(Partition, StreamName)>,
    },
    /// The version did not reach the live one in time.
    #[error("version {version} did not reach the live one in {attempts} attempts")]
    Behind {
        /// The version.
        version: u32,
        /// How often it was tried.
        attempts: u32,
    },
    /// There is no live version.
    #[error("no version is live")]
    NoneLive,
    /// Versions of different layouts cannot be compared.
    #[error("the live version has layout {live}, the other {other}")]
    Layouts {
        /// The live one's.
        live: u32,
        /// The other's.
        other: u32,
    },
    /// There is no such version, or it is in another state than this needs.
    #[error("version {version} is {}", state.map_or("unknown", ModelState::as_str))]
    State {
        /// The version.
        version: u32,
        /// What it is instead; `None` where there is none of that number.
        state: Option<ModelState>,
    },
    /// A partition cannot be read on.
    #[error("the log cannot be followed")]
    Runner(#[from] RunnerError),
    /// The log did not say where it ends.
    #[error("the log did not answer")]
    Log(#[from] ReadError),
    /// A version is not what this needs, or its server did not answer.
    #[error(transparent)]
    Model(E),
}
