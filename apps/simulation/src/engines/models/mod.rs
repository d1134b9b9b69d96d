//! The read model's database: versions, each with rows, checkpoints and parked streams, the pointer to the live one, and
//! what operators want of them.
//!
//! The versions are `MemoryVersions`, the reference of the contract suite; around it is what a server adds: statements that
//! wait and are given up, sessions that end, a disk that is behind.

mod client;
mod desk;
mod sessions;
mod versions;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cqrs_core::{
    BoxError, Checkpoint, LogPosition, MemoryProjection, MemoryVersions, ModelVersions,
    ParkedStreams, Partition, Position, Projection, ProjectionBackup, RecordedEvent, StreamName,
};

use super::at_once;
use crate::checks::Violation;
use crate::rows::{self, Rows};
use crate::world::PARTITIONS;

pub(crate) use client::ModelClient;
pub(crate) use desk::{Job, Want};
pub(crate) use versions::VersionsClient;

use desk::Desk;
use sessions::Sessions;

/// Rows of any kind.
pub(crate) trait Table: Clone + PartialEq + fmt::Debug + Send + Sync + 'static {}

impl<S: Clone + PartialEq + fmt::Debug + Send + Sync + 'static> Table for S {}

/// The database. Cheap to clone; clones are the same.
pub(crate) struct Models<S: Table = Rows>(Arc<Shared<S>>);

struct Shared<S: Table> {
    /// Whether the code can apply what is poisonous.
    mended: Arc<AtomicBool>,
    versions: MemoryVersions<S>,
    sessions: Sessions,
    state: Mutex<State<S>>,
}

struct State<S> {
    /// Each version as it is on disk.
    saved: BTreeMap<u32, ProjectionBackup<S>>,
    desk: Desk,
    /// How often the tail was lost.
    losses: u64,
    /// What cannot be, and was.
    broken: Vec<Violation>,
}

/// What one statement reads of the live version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Looked {
    pub(crate) live: u32,
    pub(crate) losses: u64,
    /// The checkpoints, by partition.
    pub(crate) at: Vec<Position>,
    /// The version of the row that was asked for; 0 where there is none.
    pub(crate) version: u64,
    /// Whether its stream is parked.
    pub(crate) parked: bool,
}

impl Models {
    /// The social model's database, with one version, which is live.
    pub(crate) fn new() -> Self {
        let mended: Arc<AtomicBool> = Arc::default();
        let folding = Arc::clone(&mended);
        let fold = move |rows: &mut Rows, event: &RecordedEvent<'_>| rows.fold(event, &folding);
        Self::with(
            "social",
            rows::types().collect(),
            Rows::default(),
            mended,
            fold,
        )
    }

    /// From now on nothing is poisonous.
    pub(crate) fn mend(&self) {
        self.0.mended.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_mended(&self) -> bool {
        self.0.mended.load(Ordering::Relaxed)
    }

    /// The live version's checkpoints, and the row of `stream`, as of one moment.
    pub(crate) fn look(&self, stream: &StreamName) -> Looked {
        let losses = self.state().losses;
        self.0.versions.read(|live, model| {
            let parked = at_once(model.parked(stream.partition(PARTITIONS))).unwrap_or_default();
            Looked {
                live: live.number,
                losses,
                at: places(model),
                version: model
                    .read(|rows| rows.streams.get(stream.as_str()).map_or(0, |r| r.version)),
                parked: parked.iter().any(|parked| parked.stream == *stream),
            }
        })
    }
}

impl<S: Table> Models<S> {
    /// A database with one version, which is live, of whatever `fold` makes.
    #[cfg(test)]
    pub(crate) fn of(
        name: &'static str,
        types: Vec<&'static str>,
        empty: S,
        fold: impl Fn(&mut S, &RecordedEvent<'_>) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Self {
        let models = Self::with(name, types, empty, Arc::default(), fold);
        models.0.sessions.without_faults();
        models
    }

    fn with(
        name: &'static str,
        types: Vec<&'static str>,
        empty: S,
        mended: Arc<AtomicBool>,
        fold: impl Fn(&mut S, &RecordedEvent<'_>) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Self {
        let fold = Arc::new(fold);
        let make = move |_layout| {
            let fold = Arc::clone(&fold);
            let fold = move |rows: &mut S, event: &RecordedEvent<'_>| fold(rows, event);
            MemoryProjection::new(name, types.clone(), empty.clone(), fold)
        };
        let models = Self(Arc::new(Shared {
            mended,
            versions: MemoryVersions::new(PARTITIONS, make),
            sessions: Sessions::default(),
            state: Mutex::new(State {
                saved: BTreeMap::new(),
                desk: Desk::default(),
                losses: 0,
                broken: Vec::new(),
            }),
        }));
        models.flush();
        models
    }

    /// All that was written so far stays.
    pub(crate) fn flush(&self) {
        let all = at_once(self.0.versions.versions()).unwrap_or_default();
        let mut state = self.state();
        for version in all {
            if let Some(model) = self.model(version.number) {
                state.saved.insert(version.number, model.backup());
            }
        }
    }

    /// The server crashes: its sessions end, and what was not flushed is lost, rows and checkpoints together.
    pub(crate) fn lose(&self) {
        self.0.sessions.end_all();
        let mut state = self.state();
        state.losses += 1;
        for (version, saved) in &state.saved {
            if let Some(model) = self.model(*version) {
                model.restore(saved.clone());
            }
        }
    }

    /// The versions that are fed.
    pub(crate) fn fed(&self) -> Vec<u32> {
        let fed = self.0.versions.fed().into_iter();
        fed.map(|version| version.number).collect()
    }

    pub(crate) fn model(&self, version: u32) -> Option<Arc<MemoryProjection<S>>> {
        self.0.versions.kept(version)
    }

    /// The live version's checkpoints and rows, as of one moment.
    #[cfg(test)]
    pub(crate) fn read<R>(&self, look: impl FnOnce(&S) -> R) -> (Vec<Position>, R) {
        let read = |_, model: &MemoryProjection<S>| (places(model), model.read(look));
        self.0.versions.read(read)
    }

    /// What was broken where nobody but the engine sees it.
    pub(crate) fn broken(&self) -> Vec<Violation> {
        self.state().broken.clone()
    }

    pub(crate) fn breaks(&self, promise: &'static str, text: String) {
        self.state().broken.push(Violation::new(promise, text));
    }

    fn state(&self) -> MutexGuard<'_, State<S>> {
        let state = self.0.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }
}

impl Looked {
    /// Whether everything up to `token` is in it.
    pub(crate) fn reaches(&self, token: LogPosition) -> bool {
        let at = self.at.get(usize::from(token.partition.index()));
        at.is_some_and(|at| *at >= token.position) && !self.parked
    }
}

impl<S: Table> Clone for Models<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Where a version stands.
pub(crate) fn checkpoint<S: Table>(
    model: &MemoryProjection<S>,
    partition: Partition,
) -> Checkpoint {
    at_once(model.checkpoint(partition)).unwrap_or_default()
}

fn places<S: Table>(model: &MemoryProjection<S>) -> Vec<Position> {
    let at = |partition| checkpoint(model, partition).position;
    Partition::all(PARTITIONS).map(at).collect()
}
