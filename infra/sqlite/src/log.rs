//! The event log's traits.

use cqrs_core::{
    AppendError, AppendToLog, Appended, CommandId, Commit, ExpectedVersion, LogPosition, Partition,
    Position, ReadError, ReadLog, RecordedCommit, StreamName, TailLog, Version,
};
use rusqlite::{Connection, OptionalExtension, params};
use tokio::sync::oneshot;

use crate::append::bounds;
use crate::error::{ReadFailure, StoreFailure};
use crate::queue::Refused;
use crate::record::{self, COLUMNS, int, nat, row_id, store};
use crate::store::SqliteStore;
use crate::writer::Job;

/// A slice ends here, whatever was asked for: 16 MiB of payload.
const MAX_SLICE_BYTES: usize = 16 << 20;

impl AppendToLog for SqliteStore {
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        let stream = commit.stream.clone();
        let called = commit.check().map_err(AppendError::from).and_then(|()| {
            let (reply, answer) = oneshot::channel();
            let bytes = commit.payload_len();
            match self
                .shared()
                .writes
                .push(Job::Append { commit, reply }, bytes)
            {
                Ok(()) => Ok(answer),
                Err(refused) => Err(not_taken(refused, &stream)),
            }
        });
        async move {
            let answer = called?.await;
            answer.unwrap_or_else(|_| Err(failed(stream, StoreFailure::unanswered())))
        }
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> impl Future<Output = Result<LogPosition, AppendError>> + Send {
        let stream = stream.clone();
        let (reply, answer) = oneshot::channel();
        let job = Job::Confirm {
            stream: stream.clone(),
            expected,
            reply,
        };
        let pushed = self.shared().writes.push(job, 0);
        async move {
            pushed.map_err(|refused| not_taken(refused, &stream))?;
            let answer = answer.await;
            answer.unwrap_or_else(|_| Err(failed(stream, StoreFailure::unanswered())))
        }
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

impl ReadLog for SqliteStore {
    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        let (stream, partitions) = (stream.clone(), self.shared().partitions);
        let read = move |connection: &Connection| {
            read_stream(connection, &stream, partitions, after, max_events)
        };
        self.read(read).await.map_err(unread)
    }

    async fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        self.check_partition(partition)?;
        if let Some(slice) = self.shared().recent.read(partition, after, max_events) {
            return Ok(slice);
        }
        let read =
            move |connection: &Connection| read_partition(connection, partition, after, max_events);
        self.read(read).await.map_err(unread)
    }

    async fn find_commit(&self, command: CommandId) -> Result<Option<RecordedCommit>, ReadError> {
        let read = move |connection: &Connection| find_commit(connection, command);
        self.read(read).await.map_err(unread)
    }
}

impl TailLog for SqliteStore {
    fn partitions(&self) -> u16 {
        self.shared().partitions
    }

    async fn head(&self, partition: Partition) -> Result<Position, ReadError> {
        self.check_partition(partition)?;
        let tail = self.shared().tails[usize::from(partition.index())].borrow();
        Ok(Position::new(tail.head))
    }

    async fn wait_past(&self, partition: Partition, after: Position) -> Result<(), ReadError> {
        self.check_partition(partition)?;
        let mut tail = self.shared().tails[usize::from(partition.index())].subscribe();
        let seen = tail
            .wait_for(|tail| tail.closed || tail.head > after.get())
            .await;
        match seen {
            Ok(tail) if tail.head > after.get() => Ok(()),
            _ => Err(ReadError::Store {
                source: StoreFailure::closed().into(),
            }),
        }
    }
}

impl SqliteStore {
    pub(crate) fn check_partition(&self, partition: Partition) -> Result<(), ReadError> {
        let partitions = self.shared().partitions;
        if partition.index() < partitions {
            Ok(())
        } else {
            Err(ReadError::NoSuchPartition {
                partition,
                partitions,
            })
        }
    }
}

pub(crate) fn unread(failure: ReadFailure<ReadError>) -> ReadError {
    match failure {
        ReadFailure::Failed(error) => error,
        ReadFailure::Store(failure) => ReadError::Store {
            source: failure.into(),
        },
        ReadFailure::Overloaded => ReadError::Store {
            source: "the readers' queue is full".into(),
        },
    }
}

pub(crate) fn find_commit(
    connection: &Connection,
    command: CommandId,
) -> Result<Option<RecordedCommit>, ReadError> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM commits WHERE command = ?1"))
        .map_err(store)?
        .query_row([command.as_uuid().as_bytes().as_slice()], |row| {
            Ok(record::read(row))
        })
        .optional()
        .map_err(store)?
        .transpose()
}

fn read_stream(
    connection: &Connection,
    stream: &StreamName,
    partitions: u16,
    after: Version,
    max_events: usize,
) -> Result<Vec<RecordedCommit>, ReadError> {
    let mut slice = Slice::new(max_events);
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM commits WHERE stream = ?1 AND first > ?2 ORDER BY first"
        ))
        .map_err(store)?;
    let mut rows = statement
        .query(params![stream.as_str(), int(after.get())])
        .map_err(store)?;
    let mut before = after;
    while let Some(row) = rows.next().map_err(store)? {
        let commit = record::read(row)?;
        if commit.version_before() != before {
            return Err(ReadError::Corrupt {
                at: commit.at,
                reason: format!(
                    "stream `{stream}` goes on after version {}, expected {before}",
                    commit.version_before()
                ),
            });
        }
        before = commit.version;
        if !slice.take(commit) {
            break;
        }
    }
    if slice.commits.is_empty() && after > Version::EMPTY {
        check_boundary(connection, stream, partitions, after)?;
    }
    Ok(slice.commits)
}

/// That `after`, with no commit beginning behind it, is not inside of the last one.
fn check_boundary(
    connection: &Connection,
    stream: &StreamName,
    partitions: u16,
    after: Version,
) -> Result<(), ReadError> {
    let end = connection
        .prepare_cached(
            "SELECT at, first + count - 1 FROM commits WHERE stream = ?1
             ORDER BY first DESC LIMIT 1",
        )
        .map_err(store)?
        .query_row([stream.as_str()], |row| {
            Ok((record::place(row.get(0)?), Version::new(nat(row.get(1)?))))
        })
        .optional()
        .map_err(store)?;
    match end {
        Some((_, end)) if end == after => Ok(()),
        Some((at, end)) if end > after => Err(ReadError::Corrupt {
            at,
            reason: format!("version {after} of stream `{stream}` is inside a commit"),
        }),
        end => Err(ReadError::Corrupt {
            at: end.map_or_else(
                || LogPosition::new(stream.partition(partitions), Position::START),
                |(at, _)| at,
            ),
            reason: format!("stream `{stream}` ends before version {after}"),
        }),
    }
}

pub(crate) fn read_partition(
    connection: &Connection,
    partition: Partition,
    after: Position,
    max_events: usize,
) -> Result<Vec<RecordedCommit>, ReadError> {
    let mut slice = Slice::new(max_events);
    let mut statement = connection
        .prepare_cached(&format!(
            "SELECT {COLUMNS} FROM commits WHERE at > ?1 AND at <= ?2 ORDER BY at"
        ))
        .map_err(store)?;
    let (_, last) = bounds(partition);
    let mut rows = statement
        .query([row_id(LogPosition::new(partition, after)), last])
        .map_err(store)?;
    let mut next = after.next();
    while let Some(row) = rows.next().map_err(store)? {
        let commit = record::read(row)?;
        if commit.at.position != next {
            return Err(ReadError::Corrupt {
                at: commit.at,
                reason: format!("position {next} is missing before it"),
            });
        }
        next = next.next();
        if !slice.take(commit) {
            break;
        }
    }
    Ok(slice.commits)
}

/// Whole commits up to a number of events, at least one.
pub(crate) struct Slice {
    pub(crate) commits: Vec<RecordedCommit>,
    events: usize,
    bytes: usize,
}

impl Slice {
    pub(crate) fn new(max_events: usize) -> Self {
        Self {
            commits: Vec::new(),
            events: max_events,
            bytes: MAX_SLICE_BYTES,
        }
    }

    /// Takes `commit` if it fits; `false` ends the slice.
    pub(crate) fn take(&mut self, commit: RecordedCommit) -> bool {
        let bytes = commit.events.iter().map(|e| e.payload.len()).sum();
        let events = self.events.checked_sub(commit.events.len());
        let bytes = self.bytes.checked_sub(bytes);
        if (events.is_none() || bytes.is_none()) && !self.commits.is_empty() {
            return false;
        }
        self.commits.push(commit);
        self.events = events.unwrap_or(0);
        self.bytes = bytes.unwrap_or(0);
        self.events > 0
    }
}
