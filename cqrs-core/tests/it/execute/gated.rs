//! A log behind a gate.

use cqrs_core::{
    AppendError, AppendToLog, Appended, CommandId, Commit, ExpectedVersion, LogPosition,
    MemoryStore, Partition, Position, ReadError, ReadLog, RecordedCommit, StreamName, TailLog,
    Version,
};
use tokio::sync::watch;

/// A log that takes appends at once but lets nobody know before the gate opens.
#[derive(Clone)]
pub(super) struct Gated {
    pub(super) store: MemoryStore,
    gate: watch::Sender<bool>,
}

impl Gated {
    pub(super) fn new(open: bool) -> Self {
        Self {
            store: MemoryStore::new(1),
            gate: watch::Sender::new(open),
        }
    }

    pub(super) fn open(&self) {
        self.gate.send_replace(true);
    }

    pub(super) fn close(&self) {
        self.gate.send_replace(false);
    }

    async fn passed(&self) {
        let mut open = self.gate.subscribe();
        open.wait_for(|open| *open).await.unwrap();
    }
}

impl AppendToLog for Gated {
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        let landing = self.store.append(commit);
        async move {
            self.passed().await;
            landing.await
        }
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> impl Future<Output = Result<LogPosition, AppendError>> + Send {
        let head = self.store.confirm(stream, expected);
        async move {
            self.passed().await;
            head.await
        }
    }
}

impl ReadLog for Gated {
    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        self.passed().await;
        self.store.read_stream(stream, after, max_events).await
    }

    async fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        self.store
            .read_partition(partition, after, max_events)
            .await
    }

    async fn find_commit(&self, command: CommandId) -> Result<Option<RecordedCommit>, ReadError> {
        self.store.find_commit(command).await
    }
}

impl TailLog for Gated {
    fn partitions(&self) -> u16 {
        self.store.partitions()
    }

    async fn head(&self, partition: Partition) -> Result<Position, ReadError> {
        self.store.head(partition).await
    }

    async fn wait_past(&self, partition: Partition, after: Position) -> Result<(), ReadError> {
        self.store.wait_past(partition, after).await
    }
}
