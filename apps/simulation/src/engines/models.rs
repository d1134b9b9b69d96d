//! The read model's database: versions, each with rows, checkpoints and parked streams, and the pointer to the live one.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cqrs_core::testing::sim::{Node, NodeId, Wire};
use cqrs_core::{
    ApplyError, Batch, Checkpoint, LogPosition, MemoryProjection, Parked, ParkedStreams, Partition,
    Position, Projection, ProjectionBackup, StreamName,
};

use super::{LIMIT, at_once};
use crate::rows::{self, Rows};

type Model = Arc<MemoryProjection<Rows>>;

/// The database. Cheap to clone; clones are the same.
#[derive(Clone)]
pub(crate) struct Models(Arc<Shared>);

struct Shared {
    /// Whether the code can apply what is poisonous.
    mended: Arc<AtomicBool>,
    state: Mutex<State>,
}

struct State {
    versions: BTreeMap<u32, Version>,
    live: u32,
    /// What the replayer is to do.
    job: Option<Job>,
    /// How often the tail was lost.
    losses: u64,
}

/// What operators want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Job {
    /// Build this version, then let it take the live one's place.
    Rebuild(u32),
    /// Let this version be the live one again.
    Promote(u32),
}

struct Version {
    model: Model,
    /// Whether projectors feed it.
    ready: bool,
    /// As it is on disk.
    saved: ProjectionBackup<Rows>,
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
    /// A database with one version, which is live.
    pub(crate) fn new() -> Self {
        let models = Self(Arc::new(Shared {
            mended: Arc::default(),
            state: Mutex::new(State {
                versions: BTreeMap::new(),
                live: 1,
                job: None,
                losses: 0,
            }),
        }));
        models.add(1, true);
        models
    }

    fn add(&self, version: u32, ready: bool) {
        let mended = Arc::clone(&self.0.mended);
        let fold =
            move |rows: &mut Rows, event: &cqrs_core::RecordedEvent<'_>| rows.fold(event, &mended);
        let model = MemoryProjection::new("social", rows::types(), Rows::default(), fold);
        let saved = model.backup();
        let model = Arc::new(model);
        let version_of = Version {
            model,
            ready,
            saved,
        };
        self.state().versions.insert(version, version_of);
    }

    /// From now on nothing is poisonous.
    pub(crate) fn mend(&self) {
        self.0.mended.store(true, Ordering::Relaxed);
    }

    /// All that was written so far stays.
    pub(crate) fn flush(&self) {
        for version in self.state().versions.values_mut() {
            version.saved = version.model.backup();
        }
    }

    /// The server crashes: what was not flushed is lost, rows and checkpoints together.
    pub(crate) fn lose(&self) {
        let mut state = self.state();
        state.losses += 1;
        for version in state.versions.values() {
            version.model.restore(version.saved.clone());
        }
    }

    /// The versions that are fed.
    pub(crate) fn fed(&self) -> Vec<u32> {
        let state = self.state();
        let fed = state.versions.iter().filter(|(_, version)| version.ready);
        fed.map(|(number, _)| *number).collect()
    }

    pub(crate) fn job(&self) -> Option<Job> {
        self.state().job
    }

    /// An operator wants a new version, unless there is something else to do.
    pub(crate) fn want_rebuild(&self) {
        let next = {
            let mut state = self.state();
            if state.job.is_some() || state.versions.len() > 2 {
                return;
            }
            let next = state.versions.keys().last().map_or(1, |last| last + 1);
            state.job = Some(Job::Rebuild(next));
            next
        };
        self.add(next, false);
    }

    /// An operator wants the version before the live one back, unless there is something else to do.
    pub(crate) fn want_roll_back(&self) {
        let mut state = self.state();
        let before = state.versions.range(..state.live).next_back();
        let before = before.filter(|(_, v)| v.ready).map(|(number, _)| *number);
        if state.job.is_none() {
            state.job = before.map(Job::Promote);
        }
    }

    /// Projectors feed `version` from now on.
    pub(crate) fn make_ready(&self, version: u32) {
        if let Some(version) = self.state().versions.get_mut(&version) {
            version.ready = true;
        }
    }

    /// One transaction: moves the pointer to `version` where it has all that the live one has, and no stream parked that
    /// the live one has not. Whether it is live now.
    pub(crate) fn promote(&self, version: u32, partitions: u16) -> bool {
        let live = self.state().live;
        let (Some(new), Some(old)) = (self.model(version), self.model(live)) else {
            return false;
        };
        let behind = Partition::all(partitions).any(|partition| {
            let parked = |model: &Model| -> Vec<StreamName> {
                let parked = at_once(model.parked(partition)).unwrap_or_default();
                parked.into_iter().map(|parked| parked.stream).collect()
            };
            let lacks = parked(&old);
            checkpoint(&new, partition).position < checkpoint(&old, partition).position
                || parked(&new).iter().any(|stream| !lacks.contains(stream))
        });
        if behind && !cqrs_core::mutant("promote before the live one is reached") {
            return false;
        }
        {
            let mut state = self.state();
            state.live = version;
            state.job = None;
        }
        // Its commit is waited for until it is on disk, and with it all before it.
        self.flush();
        true
    }

    pub(crate) fn model(&self, version: u32) -> Option<Model> {
        let state = self.state();
        state.versions.get(&version).map(|v| Arc::clone(&v.model))
    }

    /// The live version's checkpoints, and the row of `stream`, as of one moment.
    pub(crate) fn look(&self, stream: &StreamName, partitions: u16) -> Looked {
        let (live, losses) = {
            let state = self.state();
            (state.live, state.losses)
        };
        let Some(model) = self.model(live) else {
            unreachable!("the live version is there");
        };
        let at = |partition| checkpoint(&model, partition).position;
        let partition = stream.partition(partitions);
        let parked = at_once(model.parked(partition)).unwrap_or_default();
        Looked {
            live,
            losses,
            at: Partition::all(partitions).map(at).collect(),
            version: model.read(|rows| rows.streams.get(stream.as_str()).map_or(0, |r| r.version)),
            parked: parked.iter().any(|parked| parked.stream == *stream),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
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

/// Where a version stands.
pub(crate) fn checkpoint(model: &Model, partition: Partition) -> Checkpoint {
    at_once(model.checkpoint(partition)).unwrap_or_default()
}

/// One process's way to one version.
#[derive(Clone)]
pub(crate) struct ModelClient {
    wire: Wire,
    model: Model,
}

impl ModelClient {
    pub(crate) fn new(node: &Node, at: NodeId, model: Model) -> Self {
        Self {
            wire: node.wire(at),
            model,
        }
    }

    async fn call<R: Send + 'static>(
        &self,
        what: &'static str,
        run: impl FnOnce(Model) -> Result<R, ApplyError> + Send + 'static,
    ) -> Result<R, ApplyError> {
        let model = Arc::clone(&self.model);
        let answer = self.wire.call(what, LIMIT, move || run(model)).await;
        answer.unwrap_or_else(|lost| {
            Err(ApplyError::Store {
                source: lost.into(),
            })
        })
    }
}

impl Projection for ModelClient {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn handles(&self, event_type: &str) -> bool {
        self.model.handles(event_type)
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Checkpoint, ApplyError> {
        let run = move |model: Model| at_once(model.checkpoint(partition));
        self.call("checkpoint", run).await
    }

    async fn apply(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        let (partition, expected, position) = (batch.partition, batch.expected, batch.position);
        let commits = batch.commits.to_shared();
        let (apply, park) = (batch.apply.to_vec(), batch.park.to_vec());
        let run = move |model: Model| {
            let batch = Batch {
                partition,
                expected,
                position,
                commits: (&commits).into(),
                apply: &apply,
                park: &park,
            };
            at_once(model.apply(&batch))
        };
        let applied = self.call("apply", run).await;
        self.wire.sim().note(self.wire.from(), || {
            let ended = applied
                .as_ref()
                .map_or_else(ToString::to_string, |()| "done".to_owned());
            format!("applies {partition} up to {position}: {ended}")
        });
        applied
    }
}

impl ParkedStreams for ModelClient {
    async fn parked(&self, partition: Partition) -> Result<Vec<Parked>, ApplyError> {
        let run = move |model: Model| at_once(model.parked(partition));
        self.call("parked", run).await
    }

    async fn release(&self, partition: Partition, stream: &StreamName) -> Result<(), ApplyError> {
        let stream = stream.clone();
        let run = move |model: Model| at_once(model.release(partition, &stream));
        self.call("release", run).await
    }
}
