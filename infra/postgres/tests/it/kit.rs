//! Schemas of their own on the server, a log in memory, and a read model that counts.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use cqrs_core::{
    Actor, AppendToLog, Batch, Checkpoint, CommandId, Commit, CommitHeader, Encoding, EventData,
    EventRef, EventType, ExpectedVersion, MemoryStore, Partition, Position, ReadLog,
    RecordedCommit, RecordedEvent, Reservations, StreamName, Timestamp,
};
use cqrs_postgres::{
    ApplyFailure, Column, PgModels, PgOptions, PgPool, PgProjection, PgReadModel, PgReader,
    SchemaName, SqlType, Table, Writer,
};
use uuid::Uuid;

pub(crate) const PARTITION: Partition = Partition::new(0);

static COUNT: Table = Table {
    name: "count",
    columns: &[
        Column::key("stream", SqlType::Text),
        Column::sum("n", SqlType::Int8),
        Column::value("last", SqlType::Text),
        Column::version("version"),
    ],
};

/// The same in layout 2.
static WIDE: Table = Table {
    name: "count",
    columns: &[
        Column::key("stream", SqlType::Text),
        Column::sum("n", SqlType::Int8),
        Column::value("last", SqlType::Text),
        Column::value("length", SqlType::Int8),
        Column::version("version"),
    ],
};

/// Every event.
static ENTRY: Table = Table {
    name: "entry",
    columns: &[
        Column::key("stream", SqlType::Text),
        Column::key("version", SqlType::Int8),
        Column::value("payload", SqlType::Text),
    ],
};

/// Counts events by stream, keeps each event and the last payload. While it is not `lenient`, `bad` breaks a
/// constraint, `panic` panics, and `broken` cannot be decoded.
#[derive(Debug, Clone)]
pub(crate) struct Counts {
    pub(crate) layout: u32,
    pub(crate) lenient: bool,
}

pub(crate) const STRICT: Counts = Counts {
    layout: 1,
    lenient: false,
};
pub(crate) const LENIENT: Counts = Counts {
    layout: 1,
    lenient: true,
};

impl Counts {
    fn table(&self) -> &'static Table {
        match self.layout {
            1 => &COUNT,
            _ => &WIDE,
        }
    }
}

impl PgReadModel for Counts {
    fn name(&self) -> &str {
        "counts"
    }

    fn layout(&self) -> u32 {
        self.layout
    }

    fn handles(&self, event_type: &str) -> bool {
        event_type == "thing-done"
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![self.table(), &ENTRY]
    }

    fn create_tables(&self) -> &'static str {
        match self.layout {
            1 => {
                "CREATE TABLE {schema}.count (stream text COLLATE \"C\" PRIMARY KEY,
                 n bigint NOT NULL, last text NOT NULL CHECK (last <> 'bad'),
                 version bigint NOT NULL);
                 CREATE TABLE {schema}.entry (stream text COLLATE \"C\", version bigint,
                 payload text NOT NULL, PRIMARY KEY (stream, version))"
            }
            _ => {
                "CREATE TABLE {schema}.count (stream text COLLATE \"C\" PRIMARY KEY,
                 n bigint NOT NULL, last text NOT NULL CHECK (last <> 'bad'),
                 length bigint NOT NULL, version bigint NOT NULL);
                 CREATE TABLE {schema}.entry (stream text COLLATE \"C\", version bigint,
                 payload text NOT NULL, PRIMARY KEY (stream, version))"
            }
        }
    }

    fn create_indexes(&self) -> &'static str {
        "CREATE INDEX count_n ON {schema}.count (n)"
    }

    async fn apply(
        &self,
        writer: &Writer<'_>,
        events: &[RecordedEvent<'_>],
    ) -> Result<(), ApplyFailure> {
        let mut entries = writer.rows(&ENTRY);
        let mut counts = BTreeMap::<&str, (i64, String, i64)>::new();
        for (index, event) in events.iter().enumerate() {
            let payload = std::str::from_utf8(&event.data.payload).unwrap();
            assert!(self.lenient || payload != "panic", "on purpose");
            if !self.lenient && payload == "broken" {
                return Err(ApplyFailure::at(index, "cannot be decoded"));
            }
            let version = i64::try_from(event.version.get()).unwrap();
            let entry = entries.push(&[&event.commit.stream.as_str(), &version, &payload]);
            entry.map_err(|error| ApplyFailure::at(index, error))?;
            let count = counts.entry(event.commit.stream.as_str()).or_default();
            let last = if self.lenient && payload == "bad" {
                "good"
            } else {
                payload
            };
            *count = (count.0 + 1, last.to_owned(), version);
        }
        let mut rows = writer.rows(self.table());
        for (stream, (n, last, version)) in &counts {
            let pushed = match self.layout {
                1 => rows.push(&[stream, n, last, version]),
                _ => {
                    let length = i64::try_from(last.len()).unwrap();
                    rows.push(&[stream, n, last, &length, version])
                }
            };
            pushed.map_err(ApplyFailure::somewhere)?;
        }
        writer.upsert(rows).await?;
        writer.insert(entries).await?;
        Ok(())
    }
}

/// A prefix that no other test has.
pub(crate) fn prefix() -> SchemaName {
    SchemaName::parse(&format!("t{:016x}", getrandom::u64().unwrap())).unwrap()
}

pub(crate) fn pool() -> PgPool {
    let url = std::env::var("POSTGRES_URL").unwrap();
    PgOptions::parse(&url).unwrap().pool().unwrap()
}

/// The versions of read models under a prefix of their own, and a log with one partition.
pub(crate) struct Fixture {
    pub(crate) models: PgModels,
    pub(crate) log: MemoryStore,
}

pub(crate) fn fixture() -> Fixture {
    fixture_of(1)
}

pub(crate) fn fixture_of(partitions: u16) -> Fixture {
    Fixture {
        models: PgModels::new(pool(), &prefix()),
        log: MemoryStore::new(partitions),
    }
}

impl Fixture {
    pub(crate) async fn counts(&self, model: &Counts) -> PgProjection<Counts> {
        let live = self.models.open(model, 1).await.unwrap();
        self.of(&live, model)
    }

    pub(crate) fn of(
        &self,
        version: &cqrs_postgres::ModelVersion,
        model: &Counts,
    ) -> PgProjection<Counts> {
        let model = Arc::new(model.clone());
        PgProjection::new(self.models.clone(), version.clone(), model)
    }

    pub(crate) fn reader(&self) -> PgReader {
        PgReader::new(self.models.clone(), "counts", 1)
    }

    pub(crate) async fn append(&self, id: impl std::fmt::Display, payloads: &[&str]) {
        self.log
            .append(commit(&stream(id), payloads))
            .await
            .unwrap();
    }

    pub(crate) async fn commits(&self) -> Vec<RecordedCommit> {
        let all = self.log.read_partition(PARTITION, Position::START, 10_000);
        all.await.unwrap()
    }

    /// (events counted, streams) of the live version.
    pub(crate) async fn total(&self) -> (i64, i64) {
        let read = self.reader().begin(&[]).await.unwrap();
        let sql = "SELECT coalesce(sum(n), 0)::int8, count(*) FROM {schema}.count";
        let row = read.query_opt(sql, &[]).await.unwrap().unwrap();
        (row.get(0), row.get(1))
    }
}

pub(crate) fn stream(id: impl std::fmt::Display) -> StreamName {
    StreamName::new("thing", &id).unwrap()
}

/// One event per payload, under a new command id.
pub(crate) fn commit(stream: &StreamName, payloads: &[&str]) -> Commit {
    let id = Uuid::from_u64_pair(getrandom::u64().unwrap(), getrandom::u64().unwrap());
    Commit {
        stream: stream.clone(),
        expected: ExpectedVersion::Any,
        header: CommitHeader {
            command_id: CommandId::new(id),
            request: None,
            actor: Actor::parse("ada").unwrap(),
            time: Timestamp::from_millis(1_700_000_000_000),
            correlation_id: id,
            causation_id: id,
            trace: None,
        },
        events: payloads
            .iter()
            .map(|payload| EventData {
                event_type: EventType::new("thing-done", 1),
                encoding: Encoding::Json,
                payload: Bytes::copy_from_slice(payload.as_bytes()),
            })
            .collect(),
        reservations: Reservations::none(),
    }
}

pub(crate) fn first_of(commits: &[RecordedCommit]) -> Vec<EventRef> {
    let first = |commit| EventRef { commit, event: 0 };
    (0..commits.len()).map(first).collect()
}

/// A batch of partition 0 that parks nothing.
pub(crate) fn batch<'a>(
    expected: u64,
    position: u64,
    commits: &'a [RecordedCommit],
    apply: &'a [EventRef],
) -> Batch<'a> {
    Batch {
        partition: PARTITION,
        expected: at(expected),
        position: Position::new(position),
        commits: commits.into(),
        apply,
        park: &[],
    }
}

pub(crate) fn at(position: u64) -> Checkpoint {
    Checkpoint {
        position: Position::new(position),
        epoch: 0,
    }
}
