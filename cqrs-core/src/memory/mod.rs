//! A store in memory: log, ledger, snapshots and checkpoints; the reference for what each promises.

mod intents;
mod ledger;
mod log;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::FixedState;
use tokio::sync::watch;

use crate::envelope::CommandId;
use crate::ledger::ReservedValue;
use crate::log::RecordedCommit;
use crate::position::{LogPosition, Partition, Position};
use crate::projection::{CheckpointError, CheckpointStore};
use crate::snapshot::{Snapshot, SnapshotError, SnapshotStore};
use crate::stream::StreamName;
use crate::version::Version;

pub use intents::{IntentsBackup, MemoryIntents};
pub use ledger::MemoryClaim;

#[expect(clippy::disallowed_types, reason = "with a fixed hasher")]
type Map<K, V> = std::collections::HashMap<K, V, FixedState>;

/// Log, ledger, snapshots and checkpoints in memory, gone with the process.
///
/// Strict: it checks whatever a store on disk would. Cheap to clone; clones are the same store.
#[derive(Clone)]
pub struct MemoryStore {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// The last position of each partition, for those that wait for the next.
    heads: Vec<watch::Sender<u64>>,
    /// Commands that somebody is deciding.
    running: Mutex<Map<CommandId, crate::envelope::RequestHash>>,
}

#[derive(Default)]
struct State {
    partitions: Vec<Vec<RecordedCommit>>,
    /// Where in `histories` each stream's stands.
    streams: Map<StreamName, usize>,
    histories: Vec<History>,
    commands: Map<CommandId, LogPosition>,
    owners: Map<ReservedValue, StreamName>,
    answers: Map<CommandId, (crate::envelope::RequestHash, bytes::Bytes)>,
    snapshots: Map<StreamName, Snapshot>,
    checkpoints: Map<(String, Partition), Position>,
}

/// A stream's commits, by the version after each.
struct History {
    /// The one copy of the name that all of them share.
    stream: StreamName,
    partition: Partition,
    commits: Vec<(Version, Position)>,
}

impl MemoryStore {
    /// An empty store with `partitions` log partitions, at least one.
    #[must_use]
    pub fn new(partitions: u16) -> Self {
        let count = usize::from(partitions.max(1));
        let state = State {
            partitions: vec![Vec::new(); count],
            ..State::default()
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                heads: (0..count).map(|_| watch::Sender::new(0)).collect(),
                running: Mutex::default(),
            }),
        }
    }

    // Nothing panics under this lock half-way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        self.shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl SnapshotStore for MemoryStore {
    async fn load(&self, stream: &StreamName) -> Result<Option<Snapshot>, SnapshotError> {
        Ok(self.state().snapshots.get(stream).cloned())
    }

    async fn save(&self, snapshot: Snapshot) -> Result<(), SnapshotError> {
        let mut state = self.state();
        let newer = state
            .snapshots
            .get(&snapshot.stream)
            .is_some_and(|kept| kept.schema == snapshot.schema && kept.version >= snapshot.version);
        if !newer {
            state.snapshots.insert(snapshot.stream.clone(), snapshot);
        }
        Ok(())
    }
}

impl CheckpointStore for MemoryStore {
    async fn load(
        &self,
        consumer: &str,
        partition: Partition,
    ) -> Result<Position, CheckpointError> {
        let key = (consumer.to_owned(), partition);
        let found = self.state().checkpoints.get(&key).copied();
        Ok(found.unwrap_or_default())
    }

    async fn advance(
        &self,
        consumer: &str,
        partition: Partition,
        from: Position,
        to: Position,
    ) -> Result<bool, CheckpointError> {
        let key = (consumer.to_owned(), partition);
        let mut state = self.state();
        let at = state.checkpoints.entry(key).or_default();
        let moves = *at == from;
        if moves {
            *at = to;
        }
        Ok(moves)
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("partitions", &self.shared.heads.len())
            .finish_non_exhaustive()
    }
}
