//! How many durable appends per second: the store against a bare loop over the same engine.
//!
//! Both make every commit durable (WAL, `synchronous=FULL`). The loop writes
//! as many rows per transaction as the store has callers, knows beforehand that nothing
//! conflicts, and answers nobody: it is the limit, not a peer.

use std::time::{Duration, Instant};

use bytes::Bytes;
use cqrs_core::{
    Actor, AppendToLog, CommandId, Commit, CommitHeader, Encoding, EventData, EventType,
    ExpectedVersion, Reservations, StreamName, Timestamp, Version,
};
use cqrs_sqlite::{SqliteOptions, SqliteStore};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;
use uuid::Uuid;

const PAYLOAD: [u8; 300] = [b'x'; 300];
const CALLERS: [u64; 3] = [1, 16, 256];

fn durable(c: &mut Criterion) {
    let mut group = c.benchmark_group("durable appends");
    group.throughput(Throughput::Elements(1));
    group.sample_size(10);
    group.measurement_time(Duration::from_secs(4));
    for callers in CALLERS {
        group.bench_function(BenchmarkId::new("store", callers), |bench| {
            let folder = tempfile::tempdir().expect("a folder");
            let path = folder.path().join("store.db");
            let store = SqliteStore::open(path, SqliteOptions::default()).expect("a store");
            let runtime = Runtime::new().expect("a runtime");
            let mut run = 0;
            bench.iter_custom(|appends| {
                run += 1;
                runtime.block_on(through_callers(&store, run, callers, appends))
            });
        });
        group.bench_function(BenchmarkId::new("bare loop", callers), |bench| {
            let folder = tempfile::tempdir().expect("a folder");
            let connection = bare(&folder.path().join("bare.db")).expect("a database");
            let mut run = 0;
            bench.iter_custom(|appends| {
                run += 1;
                bare_loop(&connection, run, callers, appends).expect("inserted")
            });
        });
    }
    group.finish();
}

/// `appends` commits by `callers` tasks, each awaiting its own before the next.
async fn through_callers(store: &SqliteStore, run: u64, callers: u64, appends: u64) -> Duration {
    let start = Instant::now();
    let tasks: Vec<_> = (0..callers)
        .map(|caller| {
            let store = store.clone();
            let mine = appends / callers + u64::from(caller < appends % callers);
            tokio::spawn(async move {
                let stream = StreamName::new("bench", &format_args!("{run}-{caller}"));
                let stream = stream.expect("a stream");
                for version in 0..mine {
                    let commit = commit(&stream, version);
                    store.append(commit).await.expect("appended");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("done");
    }
    start.elapsed()
}

fn commit(stream: &StreamName, version: u64) -> Commit {
    let id = Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("{stream} {version}").as_bytes(),
    );
    Commit {
        stream: stream.clone(),
        expected: ExpectedVersion::Exact(Version::new(version)),
        header: CommitHeader {
            command_id: CommandId::new(id),
            request: None,
            actor: Actor::parse("ada").expect("an actor"),
            time: Timestamp::from_millis(1_700_000_000_000),
            correlation_id: id,
            causation_id: id,
            trace: None,
        },
        events: vec![EventData {
            event_type: EventType::new("thing-done", 1),
            encoding: Encoding::Json,
            payload: Bytes::from_static(&PAYLOAD),
        }],
        reservations: Reservations::none(),
    }
}

fn bare(path: &std::path::Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.execute_batch(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=4000;
         PRAGMA cache_size=-8192;
         CREATE TABLE log (
             position INTEGER PRIMARY KEY, stream TEXT NOT NULL, version INTEGER NOT NULL,
             command BLOB NOT NULL UNIQUE, payload BLOB NOT NULL, UNIQUE (stream, version)
         ) STRICT;",
    )?;
    Ok(connection)
}

fn bare_loop(
    connection: &Connection,
    run: u64,
    per_transaction: u64,
    appends: u64,
) -> rusqlite::Result<Duration> {
    let start = Instant::now();
    let mut insert = connection
        .prepare("INSERT INTO log (stream, version, command, payload) VALUES (?1, ?2, ?3, ?4)")?;
    for first in (0..appends).step_by(usize::try_from(per_transaction).unwrap_or(1)) {
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for append in first..appends.min(first + per_transaction) {
            let stream = format!("bench-{run}-{}", append % per_transaction);
            let version = append / per_transaction + 1;
            let id = Uuid::new_v5(
                &Uuid::NAMESPACE_OID,
                format!("{stream} {version}").as_bytes(),
            );
            let version = i64::try_from(version).unwrap_or(i64::MAX);
            insert.execute(params![
                stream,
                version,
                id.as_bytes().as_slice(),
                &PAYLOAD[..]
            ])?;
        }
        connection.execute_batch("COMMIT")?;
    }
    Ok(start.elapsed())
}

criterion_group!(benches, durable);
criterion_main!(benches);
