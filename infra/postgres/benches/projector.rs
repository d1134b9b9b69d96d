//! Events a second into a read model, beside the bare driver doing the same writes.
//!
//! `POSTGRES_URL=… cargo bench -p cqrs-postgres`
//!
//! - `apply`: batches of 1,000 events over 500 rows; beside it the same rows by one `unnest` upsert in one transaction.
//! - `rebuild`: a history of 100,000 events, a row each, from the log into an empty version; beside it the
//!   same log read in the same slices, and the same rows by a binary `COPY` for each.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::collections::BTreeMap;
use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{
    Actor, AppendToLog, Batch, Checkpoint, CommandId, Commit, CommitHeader, Encoding, EventData,
    EventRef, EventType, ExpectedVersion, MemoryStore, Partition, Position, Projection, ReadLog,
    RecordedCommit, RecordedEvent, Reservations, StreamName, Timer, Timestamp,
};
use cqrs_postgres::{
    ApplyFailure, Column, PgModels, PgOptions, PgPool, PgProjection, PgReadModel, PgReplay,
    SchemaName, SqlType, Table, Writer,
};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;
use uuid::Uuid;

const PARTITION: Partition = Partition::new(0);
const SLICE: usize = 1_000;
const ROWS: usize = 500;
const HISTORY: usize = 100_000;
const COPIED: usize = 10_000;

static LATEST: Table = Table {
    name: "latest",
    columns: &[
        Column::key("stream", SqlType::Text),
        Column::sum("events", SqlType::Int8),
        Column::value("payload", SqlType::Text),
        Column::version("version"),
    ],
};
static ENTRY: Table = Table {
    name: "entry",
    columns: &[
        Column::key("stream", SqlType::Text),
        Column::key("version", SqlType::Int8),
        Column::value("payload", SqlType::Text),
    ],
};

/// Either the latest of each stream, or every event.
enum Model {
    Latest,
    Entries,
}

impl PgReadModel for Model {
    fn name(&self) -> &str {
        "bench"
    }

    fn layout(&self) -> u32 {
        1
    }

    fn handles(&self, _: &str) -> bool {
        true
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![&LATEST, &ENTRY]
    }

    fn create_tables(&self) -> &'static str {
        "CREATE TABLE {schema}.latest (stream text COLLATE \"C\" PRIMARY KEY, events bigint NOT NULL,
             payload text NOT NULL, version bigint NOT NULL);
         CREATE TABLE {schema}.entry (stream text COLLATE \"C\", version bigint,
             payload text NOT NULL, PRIMARY KEY (stream, version))"
    }

    fn create_indexes(&self) -> &'static str {
        ""
    }

    async fn apply(
        &self,
        writer: &Writer<'_>,
        events: &[RecordedEvent<'_>],
    ) -> Result<(), ApplyFailure> {
        match self {
            Self::Latest => {
                let mut rows = writer.rows(&LATEST);
                for (stream, (count, payload, version)) in folded(events) {
                    rows.push(&[&stream, &count, &payload, &version])
                        .map_err(ApplyFailure::somewhere)?;
                }
                writer.upsert(rows).await?;
            }
            Self::Entries => {
                let mut rows = writer.rows(&ENTRY);
                for event in events {
                    let (stream, payload, version) = fields(event);
                    rows.push(&[&stream, &version, &payload])
                        .map_err(ApplyFailure::somewhere)?;
                }
                writer.insert(rows).await?;
            }
        }
        Ok(())
    }
}

fn fields<'a>(event: &RecordedEvent<'a>) -> (&'a str, &'a str, i64) {
    let payload = std::str::from_utf8(&event.data.payload).unwrap_or_default();
    let version = i64::try_from(event.version.get()).unwrap_or(i64::MAX);
    (event.commit.stream.as_str(), payload, version)
}

fn folded<'a>(events: &[RecordedEvent<'a>]) -> BTreeMap<&'a str, (i64, &'a str, i64)> {
    let mut rows = BTreeMap::<&str, (i64, &str, i64)>::new();
    for event in events {
        let (stream, payload, version) = fields(event);
        let row = rows.entry(stream).or_default();
        *row = (row.0 + 1, payload, version);
    }
    rows
}

#[derive(Clone)]
struct TokioTimer;

impl Timer for TokioTimer {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

async fn history(events: usize) -> MemoryStore {
    let log = MemoryStore::new(1);
    for n in 0..events {
        let id = Uuid::from_u128(n as u128 + 1);
        let payload =
            format!("{{\"message\":\"the words of number {n}, as long as such words are\"}}");
        let commit = Commit {
            stream: StreamName::new("thing", &(n % ROWS)).expect("a name"),
            expected: ExpectedVersion::Any,
            header: CommitHeader {
                command_id: CommandId::new(id),
                request: None,
                actor: Actor::parse("ada").expect("an actor"),
                time: Timestamp::from_millis(0),
                correlation_id: id,
                causation_id: id,
                trace: None,
            },
            events: vec![EventData {
                event_type: EventType::new("thing-done", 1),
                encoding: Encoding::Json,
                payload: payload.into(),
            }],
            reservations: Reservations::none(),
        };
        log.append(commit).await.expect("appended");
    }
    log
}

async fn slices(log: &MemoryStore, size: usize) -> Vec<Vec<RecordedCommit>> {
    let (mut slices, mut after) = (Vec::new(), Position::START);
    loop {
        let slice = log
            .read_partition(PARTITION, after, size)
            .await
            .expect("read");
        let Some(last) = slice.last() else {
            return slices;
        };
        after = last.at.position;
        slices.push(slice);
    }
}

fn events(slice: &[RecordedCommit]) -> Vec<RecordedEvent<'_>> {
    slice
        .iter()
        .flat_map(RecordedCommit::recorded_events)
        .collect()
}

fn models(pool: &PgPool) -> PgModels {
    let prefix = format!("b{:016x}", getrandom::u64().expect("random"));
    PgModels::new(pool.clone(), &SchemaName::parse(&prefix).expect("a name"))
}

async fn apply(pool: &PgPool, slices: &[Vec<RecordedCommit>], rounds: u64) -> Duration {
    let (models, model) = (models(pool), Arc::new(Model::Latest));
    let live = models.open(&*model, 1).await.expect("opened");
    let projection = PgProjection::new(models, live, model);
    let mut elapsed = Duration::ZERO;
    let mut at = Checkpoint::default();
    for round in 0..rounds {
        let slice = &slices[usize::try_from(round).unwrap_or(0) % slices.len()];
        let first = |commit| EventRef { commit, event: 0 };
        let apply: Vec<_> = (0..slice.len()).map(first).collect();
        let batch = Batch {
            partition: PARTITION,
            expected: at,
            position: at.position.next(),
            commits: slice.into(),
            apply: &apply,
            park: &[],
        };
        let start = Instant::now();
        projection.apply(&batch).await.expect("applied");
        elapsed += start.elapsed();
        at.position = batch.position;
    }
    elapsed
}

async fn raw_upserts(pool: &PgPool, slices: &[Vec<RecordedCommit>], rounds: u64) -> Duration {
    let (models, client) = (models(pool), pool.get().await.expect("connected"));
    let made = models.open(&Model::Latest, 1).await.expect("opened");
    let sql = format!(
        "INSERT INTO {}.latest AS t SELECT * FROM unnest($1::text[], $2::int8[], $3::text[], $4::int8[])
         ON CONFLICT (stream) DO UPDATE SET events = t.events + excluded.events,
             payload = excluded.payload, version = excluded.version
         WHERE t.version < excluded.version",
        made.schema
    );
    let upsert = client.prepare(&sql).await.expect("prepared");
    let mut elapsed = Duration::ZERO;
    for round in 0..rounds {
        let slice = &slices[usize::try_from(round).unwrap_or(0) % slices.len()];
        let start = Instant::now();
        let (mut streams, mut counts, mut payloads, mut versions) =
            (vec![], vec![], vec![], vec![]);
        for (stream, (count, payload, version)) in folded(&events(slice)) {
            streams.push(stream);
            counts.push(count);
            payloads.push(payload);
            versions.push(version);
        }
        let begin = "BEGIN; SET LOCAL synchronous_commit TO off";
        client.batch_execute(begin).await.expect("begun");
        client
            .execute(&upsert, &[&streams, &counts, &payloads, &versions])
            .await
            .expect("written");
        client.batch_execute("COMMIT").await.expect("committed");
        elapsed += start.elapsed();
    }
    elapsed
}

async fn rebuild(pool: &PgPool, log: &MemoryStore) -> Duration {
    let (models, model) = (models(pool), Arc::new(Model::Entries));
    models.open(&*model, 1).await.expect("opened");
    let replay = PgReplay::new(models, model, log.clone(), TokioTimer);
    let lock = replay.lock().await.expect("locked");
    let start = Instant::now();
    let rebuilt = replay.rebuild(&lock, pending()).await.expect("rebuilt");
    let elapsed = start.elapsed();
    replay.retire(rebuilt.version).await.expect("retired");
    elapsed
}

async fn raw_copy(pool: &PgPool, log: &MemoryStore) -> Duration {
    let (models, client) = (models(pool), pool.get().await.expect("connected"));
    let made = models.open(&Model::Entries, 1).await.expect("opened");
    let sql = format!("COPY {}.entry FROM STDIN (FORMAT binary)", made.schema);
    let start = Instant::now();
    for slice in slices(log, COPIED).await {
        let sink = client.copy_in(&sql).await.expect("copying");
        let mut rows = pin!(BinaryCopyInWriter::new(
            sink,
            &[Type::TEXT, Type::INT8, Type::TEXT]
        ));
        for event in events(&slice) {
            let (stream, payload, version) = fields(&event);
            rows.as_mut()
                .write(&[&stream, &version, &payload])
                .await
                .expect("written");
        }
        rows.finish().await.expect("copied");
    }
    start.elapsed()
}

fn benches(c: &mut Criterion) {
    let Ok(url) = std::env::var("POSTGRES_URL") else {
        println!("POSTGRES_URL is not set: nothing is measured");
        return;
    };
    let runtime = Runtime::new().expect("a runtime");
    let pool = PgOptions::parse(&url)
        .and_then(|o| o.pool())
        .expect("a pool");
    let log = runtime.block_on(history(HISTORY));
    let slices = runtime.block_on(slices(&log, SLICE));

    let mut group = c.benchmark_group("apply");
    group.throughput(Throughput::Elements(SLICE as u64));
    group.bench_function("projection", |b| {
        b.iter_custom(|n| runtime.block_on(apply(&pool, &slices, n)));
    });
    group.bench_function("raw upserts", |b| {
        b.iter_custom(|n| runtime.block_on(raw_upserts(&pool, &slices, n)));
    });
    group.finish();

    let mut group = c.benchmark_group("rebuild");
    group.sample_size(10);
    group.throughput(Throughput::Elements(HISTORY as u64));
    group.bench_function("replay", |b| {
        b.iter_custom(|n| (0..n).map(|_| runtime.block_on(rebuild(&pool, &log))).sum());
    });
    group.bench_function("raw read and COPY", |b| {
        b.iter_custom(|n| {
            (0..n)
                .map(|_| runtime.block_on(raw_copy(&pool, &log)))
                .sum()
        });
    });
    group.finish();
}

criterion_group!(projector, benches);
criterion_main!(projector);
