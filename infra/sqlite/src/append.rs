//! Appending on the writer's connection: the checks that make every insert a compare-and-set.

use cqrs_core::{
    AppendError, Appended, CommandId, Commit, ExpectedVersion, LogPosition, Partition, Position,
    ReservedValue, StreamName, Version,
};
use rusqlite::{Connection, OptionalExtension, params};

use crate::error::is_constraint;
use crate::heads::{Head, HeadCache};
use crate::record::{encode_events, int, nat, place, row_id};

/// The last position of each partition.
pub(crate) fn load_heads(connection: &Connection, partitions: u16) -> rusqlite::Result<Vec<u64>> {
    Partition::all(partitions)
        .map(|partition| {
            let (low, high) = bounds(partition);
            connection
                .query_row(
                    "SELECT at FROM commits WHERE at >= ?1 AND at <= ?2 ORDER BY at DESC LIMIT 1",
                    [low, high],
                    |row| row.get(0),
                )
                .optional()
                .map(|found| found.map_or(0, |id| place(id).position.get()))
        })
        .collect()
}

/// The row ids of a partition, the first and last possible.
pub(crate) fn bounds(partition: Partition) -> (i64, i64) {
    let last = Position::new(u64::MAX);
    (
        row_id(LogPosition::new(partition, Position::START)),
        row_id(LogPosition::new(partition, last)),
    )
}

/// Assigns positions and versions. One per writer; knows what the open transaction did.
pub(crate) struct Appender {
    /// The last position of each partition, the open transaction's included.
    positions: Vec<u64>,
    heads: HeadCache,
    blob: Vec<u8>,
}

impl Appender {
    pub(crate) fn new(positions: Vec<u64>, cached_heads: usize) -> Self {
        Self {
            positions,
            heads: HeadCache::new(cached_heads),
            blob: Vec::new(),
        }
    }

    pub(crate) fn positions(&self) -> &[u64] {
        &self.positions
    }

    /// Forgets what a transaction that was rolled back did.
    pub(crate) fn reset(&mut self, durable: Vec<u64>) {
        self.positions = durable;
        self.heads.clear();
    }

    /// Appends `commit`.
    ///
    /// The outer error is the store's: the whole transaction must end.
    pub(crate) fn append(
        &mut self,
        connection: &Connection,
        commit: &Commit,
    ) -> rusqlite::Result<Result<Appended, AppendError>> {
        let head = match self.heads.get(&commit.stream) {
            None if begins(commit) => self.empty(&commit.stream),
            _ => self.head(connection, &commit.stream)?,
        };
        if !commit.expected.accepts(head.version, head.last) {
            let conflict = AppendError::Conflict {
                stream: commit.stream.clone(),
                expected: commit.expected,
                actual: head.version,
            };
            return Ok(repeated(connection, commit)?.unwrap_or(Err(conflict)));
        }
        if let Some((value, owner)) = taken(connection, commit)? {
            let reserved = AppendError::Reserved { value, owner };
            return Ok(repeated(connection, commit)?.unwrap_or(Err(reserved)));
        }
        let partition = head.at.partition;
        let next = Position::new(self.positions[usize::from(partition.index())] + 1);
        let at = LogPosition::new(partition, next);
        if let Err(error) = self.insert(connection, commit, at, head.version) {
            // A failed statement leaves the transaction as it was. The only constraints that are still
            // open are the command's id and, where the head was not looked up, the stream's first version.
            if !is_constraint(&error) {
                return Err(error);
            }
            if let Some(repeated) = repeated(connection, commit)? {
                return Ok(repeated);
            }
            let actual = self.head(connection, &commit.stream)?.version;
            return match actual == head.version {
                true => Err(error),
                false => Ok(Err(AppendError::Conflict {
                    stream: commit.stream.clone(),
                    expected: commit.expected,
                    actual,
                })),
            };
        }
        reserve(connection, commit)?;
        let version = head.version.plus(commit.events.len());
        self.positions[usize::from(partition.index())] = next.get();
        let last = Some(commit.header.command_id);
        self.heads
            .insert(&commit.stream, Head { version, at, last });
        Ok(Ok(Appended {
            at,
            version,
            repeated: false,
        }))
    }

    /// The stream's head, the open transaction's appends included.
    pub(crate) fn head(
        &mut self,
        connection: &Connection,
        stream: &StreamName,
    ) -> rusqlite::Result<Head> {
        if let Some(head) = self.heads.get(stream) {
            return Ok(head);
        }
        let found = connection
            .prepare_cached(
                "SELECT at, first + count - 1, command FROM commits WHERE stream = ?1
                 ORDER BY first DESC LIMIT 1",
            )?
            .query_row([stream.as_str()], |row| {
                Ok(Head {
                    at: place(row.get(0)?),
                    version: Version::new(nat(row.get(1)?)),
                    last: Some(CommandId::new(uuid::Uuid::from_bytes(row.get(2)?))),
                })
            })
            .optional()?;
        let head = found.unwrap_or_else(|| self.empty(stream));
        self.heads.insert(stream, head);
        Ok(head)
    }

    /// The head of a stream without commits.
    fn empty(&self, stream: &StreamName) -> Head {
        Head {
            version: Version::EMPTY,
            last: None,
            at: LogPosition::new(self.partition(stream), Position::START),
        }
    }

    fn partition(&self, stream: &StreamName) -> Partition {
        stream.partition(u16::try_from(self.positions.len()).unwrap_or(1))
    }

    fn insert(
        &mut self,
        connection: &Connection,
        commit: &Commit,
        at: LogPosition,
        before: Version,
    ) -> rusqlite::Result<()> {
        encode_events(&commit.events, &mut self.blob);
        let header = &commit.header;
        let reservations = (!commit.reservations.is_empty())
            .then(|| serde_json::to_string(&commit.reservations))
            .transpose()
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        connection
            .prepare_cached(
                "INSERT INTO commits (at, stream, first, count, command, request, actor, time,
                     correlation, causation, traceparent, tracestate, reservations, events)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
            )?
            .execute(params![
                row_id(at),
                commit.stream.as_str(),
                int(before.get() + 1),
                int(commit.events.len() as u64),
                header.command_id.as_uuid().as_bytes().as_slice(),
                header
                    .request
                    .as_ref()
                    .map(|hash| hash.as_bytes().as_slice()),
                header.actor.as_str(),
                header.time.as_millis(),
                header.correlation_id.as_bytes().as_slice(),
                header.causation_id.as_bytes().as_slice(),
                header.trace.as_ref().map(|trace| trace.traceparent()),
                header.trace.as_ref().and_then(|trace| trace.tracestate()),
                reservations,
                self.blob,
            ])?;
        Ok(())
    }
}

/// Whether the insert itself checks the version: only an empty stream will do, and versions are unique in a stream.
///
/// Values to reserve are checked before the insert, and the version before them.
fn begins(commit: &Commit) -> bool {
    let empty = matches!(
        commit.expected,
        ExpectedVersion::NoStream | ExpectedVersion::Exact(Version::EMPTY)
    );
    empty && commit.reservations.is_empty()
}

/// What an earlier append of the same command came to, if there was one.
fn repeated(
    connection: &Connection,
    commit: &Commit,
) -> rusqlite::Result<Option<Result<Appended, AppendError>>> {
    let header = &commit.header;
    connection
        .prepare_cached("SELECT at, first + count - 1, request FROM commits WHERE command = ?1")?
        .query_row([header.command_id.as_uuid().as_bytes().as_slice()], |row| {
            let request = row.get_ref(2)?.as_blob_or_null()?;
            if request
                != header
                    .request
                    .as_ref()
                    .map(|hash| hash.as_bytes().as_slice())
            {
                return Ok(Err(AppendError::KeyReused));
            }
            Ok(Ok(Appended {
                at: place(row.get(0)?),
                version: Version::new(nat(row.get(1)?)),
                repeated: true,
            }))
        })
        .optional()
}

/// The first value that `commit` reserves and another stream owns.
fn taken(
    connection: &Connection,
    commit: &Commit,
) -> rusqlite::Result<Option<(ReservedValue, StreamName)>> {
    for value in &commit.reservations.reserve {
        if let Some(owner) = owner(connection, value)?
            && owner != commit.stream
        {
            return Ok(Some((value.clone(), owner)));
        }
    }
    Ok(None)
}

/// The stream that owns `value`.
pub(crate) fn owner(
    connection: &Connection,
    value: &ReservedValue,
) -> rusqlite::Result<Option<StreamName>> {
    connection
        .prepare_cached("SELECT stream FROM reservations WHERE scope = ?1 AND value = ?2")?
        .query_row([value.scope(), value.value()], |row| {
            let stream = row.get_ref(0)?.as_str()?;
            StreamName::parse(stream).map_err(|error| {
                let text = rusqlite::types::Type::Text;
                rusqlite::Error::FromSqlConversionFailure(0, text, error.into())
            })
        })
        .optional()
}

fn reserve(connection: &Connection, commit: &Commit) -> rusqlite::Result<()> {
    let stream = commit.stream.as_str();
    for value in &commit.reservations.release {
        connection
            .prepare_cached(
                "DELETE FROM reservations WHERE scope = ?1 AND value = ?2 AND stream = ?3",
            )?
            .execute([value.scope(), value.value(), stream])?;
    }
    for value in &commit.reservations.reserve {
        connection
            .prepare_cached(
                "INSERT INTO reservations (scope, value, stream) VALUES (?1, ?2, ?3)
                 ON CONFLICT DO NOTHING",
            )?
            .execute([value.scope(), value.value(), stream])?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use bytes::Bytes;
    use cqrs_core::{Actor, CommitHeader, Encoding, EventData, EventType, Reservations, Timestamp};
    use uuid::Uuid;

    use super::*;

    /// A store in memory that counts the steps of SQLite's machine.
    struct Counted {
        connection: Connection,
        steps: Arc<AtomicU64>,
        appender: Appender,
        appended: u128,
    }

    impl Counted {
        fn new() -> Self {
            let mut connection = Connection::open_in_memory().unwrap();
            connection
                .execute_batch(include_str!("schema/store.sql"))
                .unwrap();
            let steps = Arc::new(AtomicU64::new(0));
            let counter = Arc::clone(&steps);
            let count = move || {
                counter.fetch_add(1, Ordering::Relaxed);
                false
            };
            connection.progress_handler(1, Some(count)).unwrap();
            Self {
                connection,
                steps,
                // No head but the last one is remembered.
                appender: Appender::new(vec![0], 2),
                appended: 0,
            }
        }

        /// Appends to `stream`; gives the steps that it took.
        fn append(&mut self, stream: u64, expected: ExpectedVersion) -> u64 {
            self.appended += 1;
            let id = Uuid::from_u128(self.appended);
            let commit = Commit {
                stream: StreamName::new("thing", &stream).unwrap(),
                expected,
                header: CommitHeader {
                    command_id: CommandId::new(id),
                    request: None,
                    actor: Actor::parse("ada").unwrap(),
                    time: Timestamp::from_millis(0),
                    correlation_id: id,
                    causation_id: id,
                    trace: None,
                },
                events: vec![EventData {
                    event_type: EventType::new("thing-done", 1),
                    encoding: Encoding::Json,
                    payload: Bytes::from_static(b"{}"),
                }],
                reservations: Reservations::none(),
            };
            let before = self.steps.load(Ordering::Relaxed);
            let appended = self.appender.append(&self.connection, &commit);
            appended.unwrap().unwrap();
            self.steps.load(Ordering::Relaxed) - before
        }

        /// Begins `streams`, then goes on with the first, so that every statement has been prepared.
        fn begin(&mut self, streams: u64) {
            for stream in 0..streams {
                self.append(stream, ExpectedVersion::NoStream);
            }
            self.append(0, ExpectedVersion::Any);
        }

        /// What it takes to begin a stream, to go on with one that is not remembered, and to find the log's end.
        fn costs(&mut self) -> [u64; 3] {
            let begin = self.append(u64::MAX, ExpectedVersion::NoStream);
            self.append(u64::MAX - 1, ExpectedVersion::NoStream);
            self.append(u64::MAX - 2, ExpectedVersion::NoStream);
            let go_on = self.append(0, ExpectedVersion::Any);
            let before = self.steps.load(Ordering::Relaxed);
            assert_eq!(
                load_heads(&self.connection, 1).unwrap()[0] as u128,
                self.appended
            );
            [begin, go_on, self.steps.load(Ordering::Relaxed) - before]
        }
    }

    #[test]
    fn an_append_takes_as_many_steps_in_a_large_store_and_on_a_long_stream() {
        let mut small = Counted::new();
        small.begin(3);
        let small = small.costs();
        assert!(small.iter().all(|steps| *steps > 0), "{small:?}");

        let mut large = Counted::new();
        large.begin(2_000);
        for _ in 0..2_000 {
            large.append(0, ExpectedVersion::Any);
        }
        assert_eq!(large.costs(), small);
    }
}
