//! Making the next version of a read model beside the live one, and putting it in its place.
//!
//! Invariants:
//!
//! - Everything that writes a version goes through its checkpoints by compare-and-set, so whatever is
//!   interrupted goes on where its last transaction ended, and two at once do no harm.
//! - The live version is left alone, but for the pointer, its state, and ordinary batches that bring it up to date.
//! - A version is promoted in one transaction that holds the live version's checkpoint rows, so that it stands
//!   still, and only once the new one has reached it on every partition: no reader goes back in time.
//! - Both versions are fed until one is retired, each by transactions of its own: going back is a promotion.
//! - A version with a parked stream that the live one lacks is promoted only by force.
//!
//! | what happens | what is found | end |
//! |---|---|---|
//! | stopped while history is copied | a version that is `building`, each partition at the end of its last slice | the next rebuild goes on there |
//! | stopped while indexes are made | the same: all are there when the transaction that sets `ready` ends | the next rebuild makes those that are missing |
//! | stopped after that | a version that is `ready`; projectors feed it | the next rebuild catches up, and it can be promoted |
//! | an event is poisonous in today's code | its stream is parked in the new version | promotion refuses unless the live one lacks it too, or by force |
//! | the new version does not reach the live one in time, as under heavy load | nothing is changed; the rows are let go | tried again, then [`ReplayError::Behind`] |
//! | stopped, or the connection lost, before the promotion's commit | the pointer is where it was | promote again |
//! | the connection lost during it | the pointer says which | promote again: it finds itself live |
//! | cancelled by another process meanwhile | the version's checkpoints are gone | [`ReplayError::Cancelled`]; the live one is as it was |
//! | two replays at once | the second finds the lock taken | [`ReplayError::Running`] |
//! | the lock's connection is lost | found at the next step | [`ReplayError::Model`]; what was written counts |

mod index;
mod lock;
mod parallel;
mod progress;
mod promote;
mod rebuild;
mod retire;
mod verify;

use std::sync::Arc;

use cqrs_core::{
    LogPosition, Partition, Position, ProjectionRunner, ReadError, ReadLog, RunnerError,
    RunnerOptions, StreamName, TailLog, Timer, UpTo,
};

use crate::error::ModelError;
use crate::model::PgReadModel;
use crate::models::{ModelVersion, PgModels};
use crate::projection::PgProjection;
use crate::replay::parallel::side_by_side;

pub use lock::ReplayLock;
pub use progress::{ReplayPhase, ReplayProgress, ReplayState};
pub use promote::Promotion;
pub use verify::{Difference, Verified};

/// Rebuilds, verifies, promotes and retires the versions of one read model.
///
/// Of all that share the prefix one replays at a time: see [`lock`](Self::lock).
#[derive(Debug)]
pub struct PgReplay<L, M, T> {
    models: PgModels,
    model: Arc<M>,
    log: Arc<L>,
    timer: T,
    progress: ReplayProgress,
}

/// Why a replay went no further. What it has written is kept and counts.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
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
    /// Versions of different layouts cannot be compared.
    #[error("the live version has layout {live}, the other {other}")]
    Layouts {
        /// The live one's.
        live: u32,
        /// The other's.
        other: u32,
    },
    /// A partition cannot be read on.
    #[error("the log cannot be followed")]
    Runner(#[from] RunnerError),
    /// The log did not say where it ends.
    #[error("the log did not answer")]
    Log(#[from] ReadError),
    /// A version is not what this needs, or the server did not answer.
    #[error(transparent)]
    Model(#[from] ModelError),
}

impl From<tokio_postgres::Error> for ReplayError {
    fn from(source: tokio_postgres::Error) -> Self {
        Self::Model(source.into())
    }
}

impl<L, M: PgReadModel, T> PgReplay<L, M, T> {
    /// Replays `log` into versions of `model`. What ends versions needs no log: `()` will do.
    #[must_use]
    pub fn new(models: PgModels, model: Arc<M>, log: L, timer: T) -> Self {
        Self {
            models,
            model,
            log: Arc::new(log),
            timer,
            progress: ReplayProgress::default(),
        }
    }

    /// How far it is. Clones show the same.
    #[must_use]
    pub fn progress(&self) -> ReplayProgress {
        self.progress.clone()
    }

    /// Takes the right to replay, until it is dropped.
    ///
    /// # Errors
    ///
    /// - [`ReplayError::Running`]: somebody else has it.
    /// - [`ReplayError::Model`]: the server did not answer.
    pub async fn lock(&self) -> Result<ReplayLock, ReplayError> {
        ReplayLock::take(&self.models).await
    }

    fn projection(&self, version: &ModelVersion) -> PgProjection<M> {
        PgProjection::new(
            self.models.clone(),
            version.clone(),
            Arc::clone(&self.model),
        )
    }
}

impl<L, M, T> PgReplay<L, M, T>
where
    L: ReadLog + TailLog + 'static,
    M: PgReadModel,
    T: Timer + Clone + 'static,
{
    async fn heads(&self) -> Result<Vec<Position>, ReadError> {
        let mut heads = Vec::new();
        for partition in Partition::all(self.log.partitions()) {
            heads.push(self.log.head(partition).await?);
        }
        Ok(heads)
    }

    /// Applies the log up to `until`, by `projection`. Whether it got there; else `shutdown` came first.
    async fn apply_up_to(
        &self,
        phase: ReplayPhase,
        projection: PgProjection<M>,
        until: &[Position],
        max_events: usize,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<bool, RunnerError> {
        let options = RunnerOptions {
            max_events,
            read_ahead: true,
            ..RunnerOptions::default()
        };
        let source = UpTo::new(&self.log, until);
        let runner = ProjectionRunner::new(source, projection, self.timer.clone(), options);
        let progress = runner.progress();
        self.progress.enter(phase, Some((progress.clone(), until)));
        side_by_side(&Arc::new(runner), self.log.partitions(), shutdown).await?;
        Ok(Partition::all(self.log.partitions())
            .zip(until)
            .all(|(partition, until)| progress.position(partition) >= *until))
    }
}

/// The places of `positions`, by partition.
fn places(positions: &[Position]) -> Vec<LogPosition> {
    let partitions = Partition::all(u16::MAX).zip(positions);
    partitions
        .map(|(partition, at)| LogPosition::new(partition, *at))
        .collect()
}
