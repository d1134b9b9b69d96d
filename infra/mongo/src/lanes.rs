//! The event log's traits, over the partitions of any engine.

use std::sync::Arc;

use cqrs_core::{
    AppendError, AppendToLog, Appended, CommandId, Commit, ExpectedVersion, InvalidCommit,
    LogPosition, Partition, Position, ReadError, ReadLog, RecordedCommit, StreamName, TailLog,
    Version,
};
use tokio::sync::oneshot;

use crate::engine::Engine;
use crate::error::StoreFailure;
use crate::queue::{Append, Confirm, Job, Queue, Refused};
use crate::read;
use crate::record;
use crate::tail::Tail;

/// The most bytes of one document: 16 MiB is the server's limit.
const MAX_DOCUMENT: usize = (16 << 20) - (64 << 10);

/// All partitions, as one process has them.
pub(crate) struct Lanes<E> {
    /// In every document that this opening of the store writes.
    pub(crate) writer: i64,
    pub(crate) lanes: Vec<Lane<E>>,
}

/// What callers share with the tasks of one partition.
pub(crate) struct Lane<E> {
    pub(crate) engine: E,
    pub(crate) queue: Arc<Queue>,
    pub(crate) tail: Arc<Tail>,
}

impl<E: Engine> Lane<E> {
    fn push(&self, job: Job) -> Result<(), Refused> {
        self.queue.push(job, self.engine.now())
    }
}

impl<E: Engine> AppendToLog for Lanes<E> {
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        let stream = commit.stream.clone();
        let called = self.call_append(commit);
        async move {
            let answer = called?.await;
            answer.unwrap_or_else(|_| Err(failed(stream, StoreFailure::closed())))
        }
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> impl Future<Output = Result<LogPosition, AppendError>> + Send {
        let stream = stream.clone();
        let (reply, answer) = oneshot::channel();
        let job = Job::Confirm(Confirm {
            stream: stream.clone(),
            expected,
            reply,
        });
        let pushed = self.lane_of(&stream).push(job);
        async move {
            pushed.map_err(|refused| not_taken(refused, &stream))?;
            let answer = answer.await;
            answer.unwrap_or_else(|_| Err(failed(stream, StoreFailure::closed())))
        }
    }
}

impl<E: Engine> Lanes<E> {
    /// Writes the commit down and gives it its place in the queue.
    fn call_append(
        &self,
        commit: Commit,
    ) -> Result<oneshot::Receiver<Result<Appended, AppendError>>, AppendError> {
        commit.check()?;
        let doc = record::encode(&commit, self.writer);
        let bytes = doc.as_bytes().len();
        if bytes > MAX_DOCUMENT {
            return Err(InvalidCommit::TooLarge { bytes }.into());
        }
        let (reply, answer) = oneshot::channel();
        let job = Job::Append(Append {
            expected: commit.expected,
            command: commit.header.command_id,
            request: commit.header.request,
            events: commit.events.len(),
            doc: Arc::new(doc),
            reply,
            stream: commit.stream.clone(),
        });
        let pushed = self.lane_of(&commit.stream).push(job);
        pushed.map_err(|refused| not_taken(refused, &commit.stream))?;
        Ok(answer)
    }

    fn lane_of(&self, stream: &StreamName) -> &Lane<E> {
        let partition = stream.partition(self.partitions());
        &self.lanes[usize::from(partition.index())]
    }

    /// What belongs to `partition`.
    pub(crate) fn lane(&self, partition: Partition) -> Result<&Lane<E>, ReadError> {
        let lane = self.lanes.get(usize::from(partition.index()));
        lane.ok_or_else(|| ReadError::NoSuchPartition {
            partition,
            partitions: self.partitions(),
        })
    }
}

fn not_taken(refused: Refused, stream: &StreamName) -> AppendError {
    match refused {
        Refused::Full => AppendError::Overloaded,
        Refused::Closed => failed(stream.clone(), StoreFailure::closed()),
    }
}

fn failed(stream: StreamName, failure: StoreFailure) -> AppendError {
    AppendError::Store {
        stream,
        source: failure.into(),
    }
}

impl<E: Engine> ReadLog for Lanes<E> {
    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        let partition = stream.partition(self.partitions());
        let engine = &self.lane(partition)?.engine;
        read::stream(engine, partition, stream, after, max_events).await
    }

    async fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        let lane = self.lane(partition)?;
        let read = read::partition(&lane.engine, partition, after, max_events).await;
        let (slice, more) = read?;
        if let Some(last) = slice.last() {
            let last = last.at.position;
            // What was left out was seen too: on this `goes_on` rests.
            lane.tail.reached(if more { last.next() } else { last });
        }
        Ok(slice)
    }

    async fn find_commit(&self, command: CommandId) -> Result<Option<RecordedCommit>, ReadError> {
        let lanes = Partition::all(self.partitions()).zip(&self.lanes);
        let reads = lanes.map(|(partition, lane)| read::command(&lane.engine, partition, command));
        let found = futures_util::future::try_join_all(reads).await?;
        Ok(found.into_iter().flatten().next())
    }
}

impl<E: Engine> TailLog for Lanes<E> {
    fn partitions(&self) -> u16 {
        u16::try_from(self.lanes.len()).unwrap_or(u16::MAX)
    }

    async fn head(&self, partition: Partition) -> Result<Position, ReadError> {
        let lane = self.lane(partition)?;
        // What is known to be durable stays so: only what may be past it is looked for.
        let head = lane.engine.head(lane.tail.head()).await;
        let head = head.map_err(read::store)?;
        lane.tail.reached(head);
        Ok(head)
    }

    fn goes_on(&self, partition: Partition, after: Position) -> bool {
        self.lane(partition)
            .is_ok_and(|lane| lane.tail.head() > after)
    }

    async fn wait_past(&self, partition: Partition, after: Position) -> Result<(), ReadError> {
        let lane = self.lane(partition)?;
        lane.tail.passed(after).await.map_err(read::store)
    }
}
