//! What the suite of replays opens, and how it appends, feeds and looks.

use std::future::pending;
use std::time::Duration;

use crate::envelope::CommandId;
use crate::follow::RunnerOptions;
use crate::log::{AppendToLog, EventLog, ReadError, ReadLog, RecordedCommit, TailLog};
use crate::position::{Partition, Position};
use crate::projection::ProjectionRunner;
use crate::replay::{
    BuildVersions, ChangeVersions, CompareVersions, ModelState, ModelVersions, PromoteVersions,
    Replay, ReplayError, ReplayOptions, Versioned, Writing,
};
use crate::stream::StreamName;
use crate::testing::fixtures::yield_now;
use crate::time::Timer;
use crate::version::{ExpectedVersion, Version};

use super::notebook::Note;

/// What an adapter opens for each test of [`replay_contract!`](crate::replay_contract): the versions of a [`Notebook`](super::Notebook), of
/// which the first is live, empty, and of the layout that [`versions`](Self::versions) knows.
pub trait NotebookVersions: Send + Sync {
    /// A log of two partitions.
    type Log: EventLog + TailLog + Clone + 'static;
    /// The versions.
    type Versions: BuildVersions + ChangeVersions + PromoteVersions + CompareVersions;
    /// What waits.
    type Timer: Timer + Clone + 'static;

    /// The log.
    fn log(&self) -> &Self::Log;

    /// The versions, as a process of its own has them.
    fn versions(&self) -> Self::Versions;

    /// The timer.
    fn timer(&self) -> Self::Timer;

    /// The live version's checkpoints and rows, as of one moment, the rows in the order in which they were written.
    fn read(&self) -> impl Future<Output = (Vec<Position>, Vec<Note>)> + Send;
}

pub(super) type Replaying<S> = Replay<
    <S as NotebookVersions>::Versions,
    Slow<<S as NotebookVersions>::Log>,
    <S as NotebookVersions>::Timer,
>;

/// A log that lets everything else run before it is read: a store in memory never waits by itself.
pub(super) struct Slow<L>(L);

impl<L: EventLog + TailLog> ReadLog for Slow<L> {
    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        self.0.read_stream(stream, after, max_events).await
    }

    async fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        yield_now().await;
        self.0.read_partition(partition, after, max_events).await
    }

    async fn find_commit(&self, command: CommandId) -> Result<Option<RecordedCommit>, ReadError> {
        self.0.find_commit(command).await
    }
}

impl<L: EventLog + TailLog> TailLog for Slow<L> {
    fn partitions(&self) -> u16 {
        self.0.partitions()
    }

    async fn head(&self, partition: Partition) -> Result<Position, ReadError> {
        self.0.head(partition).await
    }

    async fn wait_past(&self, partition: Partition, after: Position) -> Result<(), ReadError> {
        self.0.wait_past(partition, after).await
    }
}

pub(super) fn replay<S: NotebookVersions>(store: &S) -> Replaying<S> {
    let options = ReplayOptions {
        copied: 3,
        applied: 2,
        attempts: 1,
        look: Duration::from_millis(5),
        ..ReplayOptions::default()
    };
    let log = Slow(store.log().clone());
    Replay::new(store.versions(), log, store.timer()).with_options(options)
}

/// Appends one commit to stream `n`.
pub(super) async fn append(store: &impl NotebookVersions, n: u64, payloads: &[&str]) {
    let stream = super::stream(n % 7);
    let commit = super::commit(n, &stream, ExpectedVersion::Any, payloads);
    store.log().append(commit).await.unwrap();
}

pub(super) async fn fill(store: &impl NotebookVersions, numbers: std::ops::Range<u64>) {
    for n in numbers {
        append(store, n, &["a", "b"]).await;
    }
}

/// Brings `version` to the log's end, as a projector does.
pub(super) async fn feed<S: NotebookVersions>(
    store: &S,
    version: &<S::Versions as ModelVersions>::Version,
) {
    let projection = store.versions().projection(version, Writing::Feeding);
    let options = RunnerOptions {
        attempts: 1,
        max_events: 3,
        ..RunnerOptions::default()
    };
    let runner = ProjectionRunner::new(store.log().clone(), projection, store.timer(), options);
    runner.catch_up(pending()).await.unwrap();
}

pub(super) async fn version<S: NotebookVersions>(
    store: &S,
    number: u32,
) -> <S::Versions as ModelVersions>::Version {
    let versions = store.versions().versions().await.unwrap();
    versions.into_iter().find(|v| v.number() == number).unwrap()
}

pub(super) async fn states(store: &impl NotebookVersions) -> Vec<(u32, ModelState)> {
    let versions = store.versions().versions().await.unwrap();
    versions.iter().map(|v| (v.number(), v.state())).collect()
}

/// The live version, fed; its number.
pub(super) async fn fed_live<S: NotebookVersions>(store: &S) -> u32 {
    let versions = store.versions().versions().await.unwrap();
    let live = versions.into_iter().find(|v| v.state() == ModelState::Live);
    let live = live.unwrap();
    feed(store, &live).await;
    live.number()
}

/// What is held is let go when its holder's end is noticed, which may take a server a moment.
pub(super) async fn locked<S: NotebookVersions>(
    _: &S,
    replay: &Replaying<S>,
) -> <S::Versions as ChangeVersions>::Lock {
    loop {
        match replay.lock().await {
            Ok(lock) => return lock,
            Err(ReplayError::Running) => yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

pub(super) async fn head(store: &impl NotebookVersions) -> Vec<Position> {
    let mut heads = Vec::new();
    for partition in Partition::all(store.log().partitions()) {
        heads.push(store.log().head(partition).await.unwrap());
    }
    heads
}
