//! A committer over a partition in memory, called as the store calls it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cqrs_core::{
    Actor, AppendError, Appended, CommandId, Commit, CommitHeader, Encoding, EventData, EventType,
    ExpectedVersion, LogPosition, Partition, Position, Reservations, StreamName, Timestamp,
    Version,
};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::engine::Time;
use crate::queue::{self, Bounds, Confirm, Job, Queue, Refused};
use crate::record;
use crate::tail::Tail;

use super::memory::MemoryEngine;
use super::{Committer, Limits};

/// How long an outcome stays unknown before callers are told.
pub(super) const GIVE_UP: Duration = Duration::from_millis(400);

pub(super) type Answer<T> = oneshot::Receiver<Result<T, AppendError>>;

pub(super) fn stream(id: u64) -> StreamName {
    StreamName::new("thing", &id).unwrap()
}

pub(super) fn command(number: u64) -> CommandId {
    CommandId::new(Uuid::from_u64_pair(0xc0de, number))
}

pub(super) fn exactly(version: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(Version::new(version))
}

pub(super) fn after(version: u64, number: u64) -> ExpectedVersion {
    ExpectedVersion::After {
        version: Version::new(version),
        command: command(number),
    }
}

fn commit(number: u64, stream: &StreamName, expected: ExpectedVersion, events: usize) -> Commit {
    let event = EventData {
        event_type: EventType::new("thing-done", 1),
        encoding: Encoding::Json,
        payload: Bytes::from_static(b"{}"),
    };
    Commit {
        stream: stream.clone(),
        expected,
        header: CommitHeader {
            command_id: command(number),
            request: None,
            actor: Actor::parse("ada").unwrap(),
            time: Timestamp::from_millis(0),
            correlation_id: Uuid::nil(),
            causation_id: Uuid::nil(),
            trace: None,
        },
        events: vec![event; events],
        reservations: Reservations::none(),
    }
}

/// Appends as another process would: behind whatever is there.
pub(super) fn rival(engine: &MemoryEngine, number: u64, stream: &StreamName) {
    let mut state = engine.state();
    let position = state.log.last_key_value().map_or(0, |(last, _)| *last) + 1;
    let of_stream = state.log.values().filter(|stub| stub.stream == *stream);
    let version = of_stream.map(|stub| stub.version().get()).max();
    let doc = record::encode(&commit(number, stream, ExpectedVersion::Any, 1), -1);
    let doc = record::place(&doc, Position::new(position), version.unwrap_or(0) + 1);
    drop(state.write(&[Arc::new(doc)]));
}

pub(super) struct Harness {
    engine: MemoryEngine,
    pub(super) queue: Arc<Queue>,
    writer: i64,
    task: JoinHandle<()>,
}

impl Harness {
    pub(super) fn start(engine: &MemoryEngine, writer: i64) -> Self {
        let bounds = Bounds {
            jobs: 1_000,
            bytes: 1 << 20,
            per_stream: 100,
        };
        let queue = Arc::new(Queue::new(bounds));
        let limits = Limits {
            group: 8,
            group_bytes: 1 << 16,
            give_up: GIVE_UP,
            cached_heads: 64,
        };
        let (tail, partition) = (Arc::new(Tail::default()), Partition::new(0));
        let committer = Committer::new(
            engine.clone(),
            partition,
            writer,
            Arc::clone(&queue),
            tail,
            limits,
        );
        let task = tokio::spawn(committer.run());
        Self {
            engine: engine.clone(),
            queue,
            writer,
            task,
        }
    }

    pub(super) fn try_append(
        &self,
        number: u64,
        stream: &StreamName,
        expected: ExpectedVersion,
        events: usize,
    ) -> Result<Answer<Appended>, Refused> {
        let commit = commit(number, stream, expected, events);
        let (reply, answer) = oneshot::channel();
        let job = Job::Append(queue::Append {
            stream: stream.clone(),
            expected,
            command: commit.header.command_id,
            request: None,
            events,
            doc: Arc::new(record::encode(&commit, self.writer)),
            reply,
        });
        self.queue.push(job, self.engine.now()).map(|()| answer)
    }

    pub(super) fn append(
        &self,
        number: u64,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> Answer<Appended> {
        self.try_append(number, stream, expected, 1).unwrap()
    }

    pub(super) fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> Answer<LogPosition> {
        self.try_confirm(stream, expected).unwrap()
    }

    pub(super) fn try_confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> Result<Answer<LogPosition>, Refused> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Confirm(Confirm {
            stream: stream.clone(),
            expected,
            reply,
        });
        self.queue.push(job, self.engine.now()).map(|()| answer)
    }

    /// Ends it where it stands.
    pub(super) fn crash(&self) {
        self.task.abort();
    }

    /// Closes it and waits for its end.
    pub(super) async fn end(self) {
        self.queue.close();
        self.task.await.unwrap();
    }
}
