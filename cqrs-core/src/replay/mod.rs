//! Making the next version of a read model beside the live one, and putting it in its place.
//!
//! Invariants:
//!
//! - Everything that writes a version goes through its checkpoints by compare-and-set, so whatever is
//!   interrupted goes on where its last transaction ended, and two at once do no harm.
//! - The live version is left alone, but for the pointer, its state, and ordinary batches that bring it up to date.
//! - A version is promoted in one transaction that holds the live version's checkpoints, so that it stands
//!   still, and only once the new one has reached it on every partition: no reader goes back in time.
//! - Both versions are fed until one is retired, each by transactions of its own: going back is a promotion.
//! - A version with a parked stream that the live one lacks is promoted only by force: it is looked at once it stands still too.
//! - What a version is, is looked at in the transaction that changes it: what is live is never retired, what was cancelled
//!   never comes back.
//!
//! | what happens | what is found | end |
//! |---|---|---|
//! | stopped while history is copied | a version that is `building`, each partition at the end of its last slice | the next rebuild goes on there |
//! | stopped while indexes are made | the same: all are there when the transaction that sets `ready` ends | the next rebuild makes those that are missing |
//! | stopped after that | a version that is `ready`; projectors feed it | the next rebuild catches up, and it can be promoted |
//! | an event is poisonous in today's code | its stream is parked in the new version | promotion refuses unless the live one lacks it too, or by force |
//! | the new version does not reach the live one in time, as under heavy load | nothing is changed; the live one is let go | tried again, then [`ReplayError::Behind`] |
//! | stopped, or the connection lost, before the promotion's commit | the pointer is where it was | promote again |
//! | the connection lost during it | the pointer says which | promote again: it finds itself live |
//! | who promotes or verifies stands still, or is lost without a word, with a version held | the engine ends the transaction | promote again; whoever feeds goes on |
//! | cancelled by another process meanwhile | the version's checkpoints are gone | [`ReplayError::Cancelled`]; the live one is as it was |
//! | promoted after it was chosen to be cancelled | it is live | [`ReplayError::State`]; it stays |
//! | two replays at once | the second finds the lock taken | [`ReplayError::Running`] |
//! | the lock's connection is lost | found at the next step | [`ReplayError::Model`]; what was written counts |

mod error;
mod follow;
mod memory;
mod progress;
mod promote;
mod rebuild;
mod retire;
mod verify;
mod versions;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::follow::{Backoff, RunnerOptions};

pub use error::ReplayError;
pub use follow::{SideBySide, Work, in_one_task};
pub use memory::{
    MemoryChange, MemoryGates, MemoryPromotion, MemoryReplayLock, MemorySnapshot, MemoryVersion,
    MemoryVersions, Unkept, VersionProjection,
};
pub use progress::{ReplayPhase, ReplayProgress, ReplayState};
pub use promote::Promotion;
pub use verify::Verified;
pub use versions::{
    BothPlaces, BuildVersions, ChangeVersions, CompareVersions, Compared, Difference, ModelState,
    ModelVersions, PromoteVersions, PromotionTransaction, ReplayLock, Standing, VersionChange,
    VersionGates, VersionSnapshot, Versioned, Writing,
};

/// Rebuilds, verifies, promotes and retires the versions of one read model.
///
/// Of all that share the versions one replays at a time: see [`lock`](Self::lock).
pub struct Replay<V, L, T> {
    versions: V,
    log: Arc<L>,
    timer: T,
    options: ReplayOptions,
    side_by_side: SideBySide,
    progress: ReplayProgress,
}

/// How a replay works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplayOptions {
    /// How many events a copied slice holds: enough that bulk writing pays, few enough to be held in memory.
    pub copied: usize,
    /// How many events a slice of an ordinary catch-up holds.
    pub applied: usize,
    /// How often an event is tried before its stream is parked.
    pub attempts: u32,
    /// How long to wait between tries.
    pub backoff: Backoff,
    /// How often a running rebuild looks whether it was cancelled.
    pub look: Duration,
    /// How long writers wait for a comparison to begin, at most, for each of both versions.
    pub gate: Duration,
}

impl Default for ReplayOptions {
    /// 10,000 and 2,000 events; what runners have; 500 ms; 5 s.
    fn default() -> Self {
        let runner = RunnerOptions::default();
        Self {
            copied: 10_000,
            applied: 2_000,
            attempts: runner.attempts,
            backoff: runner.backoff,
            look: Duration::from_millis(500),
            gate: Duration::from_secs(5),
        }
    }
}

/// What a replay of these versions can end with.
type Failed<V> = ReplayError<<V as ModelVersions>::Error>;

impl<V, L, T> Replay<V, L, T> {
    /// Replays `log` into `versions`. What ends versions needs no log: `()` will do.
    #[must_use]
    pub fn new(versions: V, log: L, timer: T) -> Self {
        Self {
            versions,
            log: Arc::new(log),
            timer,
            options: ReplayOptions::default(),
            side_by_side: in_one_task,
            progress: ReplayProgress::default(),
        }
    }

    /// The same, which works so.
    #[must_use]
    pub fn with_options(mut self, options: ReplayOptions) -> Self {
        self.options = options;
        self
    }

    /// The same, whose partitions run side by side so: in tasks of their own, on as many cores as there are.
    #[must_use]
    pub fn driven_by(mut self, side_by_side: SideBySide) -> Self {
        self.side_by_side = side_by_side;
        self
    }

    /// How far it is. Clones show the same.
    #[must_use]
    pub fn progress(&self) -> ReplayProgress {
        self.progress.clone()
    }
}

impl<V: ChangeVersions, L, T> Replay<V, L, T> {
    /// Takes the right to replay, until it is dropped.
    ///
    /// # Errors
    ///
    /// - [`ReplayError::Running`]: somebody else has it.
    /// - [`ReplayError::Model`]: the server did not answer.
    pub async fn lock(&self) -> Result<V::Lock, Failed<V>> {
        let lock = self.versions.lock().await.map_err(ReplayError::Model)?;
        lock.ok_or(ReplayError::Running)
    }
}

impl<V: ModelVersions, L, T> Replay<V, L, T> {
    /// The version that was live before the present one, if it is still fed: what going back leads to.
    ///
    /// # Errors
    ///
    /// [`ReplayError::Model`].
    pub async fn previous(&self) -> Result<Option<V::Version>, Failed<V>> {
        self.versions.previous().await.map_err(ReplayError::Model)
    }

    /// The version of that number.
    async fn find(&self, number: u32) -> Result<V::Version, Failed<V>> {
        let versions = self.versions.versions().await;
        let versions = versions.map_err(ReplayError::Model)?;
        let found = versions.into_iter().find(|v| v.number() == number);
        found.ok_or(ReplayError::State {
            version: number,
            state: None,
        })
    }
}

/// What it is where it should be something else.
fn unfit<V: ModelVersions>(version: &V::Version, found: ModelState) -> Failed<V> {
    let version = version.number();
    match found {
        ModelState::Retired => ReplayError::Cancelled { version },
        state => ReplayError::State {
            version,
            state: Some(state),
        },
    }
}

impl<V: fmt::Debug, L, T> fmt::Debug for Replay<V, L, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay")
            .field("versions", &self.versions)
            .field("options", &self.options)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}
