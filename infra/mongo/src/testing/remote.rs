//! A process's way to the simulated server, and its log over it.

use std::sync::Arc;
use std::time::Duration;

use bson::RawDocumentBuf;
use cqrs_core::testing::sim::{Node, NodeId, Wire};
use cqrs_core::{
    AppendError, AppendToLog, Appended, CommandId, Commit, ExpectedVersion, LogPosition, Partition,
    Position, Random, ReadError, ReadLog, RecordedCommit, StreamName, TailLog, Timer, Version,
};

use crate::committer::{Committer, Limits};
use crate::engine::{Documents, Engine, Inserted, Slice, Time};
use crate::error::StoreFailure;
use crate::lanes::{Lane, Lanes};
use crate::look::{self, Tailing};
use crate::queue::{Bounds, Queue};
use crate::record::Stub;
use crate::tail::Tail;

use super::server::{SimulatedServer, View, not_primary};

/// How a [`SimulatedLog`] is opened: as the store is, see its options.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedOptions {
    /// How long a call may take.
    pub call_timeout: Duration,
    /// How long an unknown outcome is tried.
    pub give_up: Duration,
    /// The most commits in one insert.
    pub group: usize,
    /// Streams whose head is remembered.
    pub cached_heads: usize,
    /// Calls that may wait.
    pub queue: usize,
}

impl Default for SimulatedOptions {
    /// A second, three seconds, 8, 4, 64: small, so that their edges are met.
    fn default() -> Self {
        Self {
            call_timeout: Duration::from_secs(1),
            give_up: Duration::from_secs(3),
            group: 8,
            cached_heads: 4,
            queue: 64,
        }
    }
}

/// The log as one life of a process has it. Cheap to clone.
#[derive(Clone)]
pub struct SimulatedLog(Arc<Open>);

struct Open {
    lanes: Lanes<Remote>,
}

impl SimulatedLog {
    /// Opens the log on `server`, which the network knows as `at`. Its committers run in `node`.
    #[must_use]
    pub fn open(
        node: &Node,
        at: NodeId,
        server: &SimulatedServer,
        options: SimulatedOptions,
    ) -> Self {
        let writer = i64::from_le_bytes(node.next_u64().to_le_bytes());
        let limits = Limits {
            group: options.group,
            group_bytes: 1 << 20,
            give_up: options.give_up,
            cached_heads: options.cached_heads,
        };
        let lane = |partition| {
            let engine = Remote {
                wire: node.wire(at),
                node: node.clone(),
                server: server.clone(),
                partition,
                limit: options.call_timeout,
            };
            let queue = Arc::new(Queue::new(Bounds {
                jobs: options.queue,
                bytes: 1 << 22,
                per_stream: options.queue,
            }));
            let tail = Arc::new(Tail::default());
            let (jobs, seen) = (Arc::clone(&queue), Arc::clone(&tail));
            let committer = Committer::new(engine.clone(), partition, writer, jobs, seen, limits);
            node.spawn(committer.run());
            node.spawn(look::look(
                engine.clone(),
                Arc::clone(&tail),
                Tailing::Close,
            ));
            Lane {
                engine,
                queue,
                tail,
            }
        };
        let lanes = Partition::all(server.partitions()).map(lane).collect();
        Self(Arc::new(Open {
            lanes: Lanes { writer, lanes },
        }))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        for lane in &self.lanes.lanes {
            lane.queue.close();
            lane.tail.close();
        }
    }
}

impl AppendToLog for SimulatedLog {
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        self.0.lanes.append(commit)
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> impl Future<Output = Result<LogPosition, AppendError>> + Send {
        self.0.lanes.confirm(stream, expected)
    }
}

impl ReadLog for SimulatedLog {
    fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> impl Future<Output = Result<Vec<RecordedCommit>, ReadError>> + Send {
        self.0.lanes.read_stream(stream, after, max_events)
    }

    fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> impl Future<Output = Result<Vec<RecordedCommit>, ReadError>> + Send {
        self.0.lanes.read_partition(partition, after, max_events)
    }

    fn find_commit(
        &self,
        command: CommandId,
    ) -> impl Future<Output = Result<Option<RecordedCommit>, ReadError>> + Send {
        self.0.lanes.find_commit(command)
    }
}

impl TailLog for SimulatedLog {
    fn partitions(&self) -> u16 {
        self.0.lanes.partitions()
    }

    fn head(
        &self,
        partition: Partition,
    ) -> impl Future<Output = Result<Position, ReadError>> + Send {
        self.0.lanes.head(partition)
    }

    fn goes_on(&self, partition: Partition, after: Position) -> bool {
        self.0.lanes.goes_on(partition, after)
    }

    fn wait_past(
        &self,
        partition: Partition,
        after: Position,
    ) -> impl Future<Output = Result<(), ReadError>> + Send {
        self.0.lanes.wait_past(partition, after)
    }
}

impl std::fmt::Debug for SimulatedLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SimulatedLog").finish_non_exhaustive()
    }
}

/// One partition, over the wire.
#[derive(Clone)]
struct Remote {
    wire: Wire,
    node: Node,
    server: SimulatedServer,
    partition: Partition,
    limit: Duration,
}

impl Remote {
    async fn read<R: Send + 'static>(
        &self,
        what: &'static str,
        read: impl FnOnce(&SimulatedServer, Partition, u64) -> R + Send + 'static,
    ) -> Result<R, StoreFailure> {
        let (server, partition, from) = (self.server.clone(), self.partition, self.wire.from());
        let call = move || match server.view(from) {
            View::UpTo(number) => Some(read(&server, partition, number)),
            View::Gone => None,
        };
        let answer = self.wire.call(what, self.limit, call).await;
        let answer = answer.map_err(StoreFailure::new)?;
        answer.ok_or_else(not_primary)
    }
}

impl Engine for Remote {
    async fn insert(&self, docs: Vec<Arc<RawDocumentBuf>>) -> Inserted {
        let (server, partition) = (self.server.clone(), self.partition);
        let insert = move |reply| server.insert(partition, docs, reply);
        match self.wire.call_then("insert", self.limit, insert).await {
            Ok(inserted) => inserted,
            Err(lost) => Inserted::Unknown(StoreFailure::new(lost)),
        }
    }

    async fn head(&self, known: Position) -> Result<Position, StoreFailure> {
        self.read("head", move |server, partition, up_to| {
            let past = server.stubs(partition, up_to, |stub| stub.position > known);
            past.last().map_or(known, |stub| stub.position)
        })
        .await
    }

    async fn after(&self, position: Position, limit: usize) -> Result<Vec<Stub>, StoreFailure> {
        self.read("after", move |server, partition, up_to| {
            let mut found = server.stubs(partition, up_to, |stub| stub.position > position);
            found.truncate(limit);
            found
        })
        .await
    }

    async fn last_of(&self, stream: StreamName) -> Result<Option<Stub>, StoreFailure> {
        self.read("last of a stream", move |server, partition, up_to| {
            let of_stream = server.stubs(partition, up_to, |stub| stub.stream == stream);
            of_stream.into_iter().max_by_key(|stub| stub.first)
        })
        .await
    }

    async fn by_commands(&self, commands: Vec<CommandId>) -> Result<Vec<Stub>, StoreFailure> {
        self.read("by commands", move |server, partition, up_to| {
            server.stubs(partition, up_to, |stub| commands.contains(&stub.command))
        })
        .await
    }

    async fn is_taken(&self, stream: StreamName, first: u64) -> Result<bool, StoreFailure> {
        let (server, partition, from) = (self.server.clone(), self.partition, self.wire.from());
        let call = move || match server.present(from) {
            View::UpTo(number) => {
                let slot = |stub: &Stub| stub.stream == stream && stub.first == first;
                Some(!server.stubs(partition, number, slot).is_empty())
            }
            View::Gone => None,
        };
        let answer = self.wire.call("is taken", self.limit, call).await;
        let answer = answer.map_err(StoreFailure::new)?;
        answer.ok_or_else(not_primary)
    }

    async fn documents(&self, slice: Slice, max_events: usize) -> Result<Documents, StoreFailure> {
        self.read("documents", move |server, partition, up_to| {
            server.documents(partition, up_to, &slice, max_events)
        })
        .await
    }

    async fn document_of(
        &self,
        command: CommandId,
    ) -> Result<Option<RawDocumentBuf>, StoreFailure> {
        self.read("document of", move |server, partition, up_to| {
            server.document_of(partition, up_to, command)
        })
        .await
    }
}

impl Time for Remote {
    fn now(&self) -> Duration {
        self.node.sim().elapsed()
    }

    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send {
        self.node.sleep(span)
    }
}
