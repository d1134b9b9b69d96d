//! How many durable commands per second: the executor on the store against a bare loop over the same engine.
//!
//! `cargo bench -p benches --bench durable`
//!
//! One iteration is one command by each of the callers, each of whom awaits its
//! answer before the next; every command begins a stream.
//!
//! - `commands`: the executor on the store, with a read model following the log. After
//!   every measured run the read model must be current within a second.
//! - `log alone`: the same without the read model.
//! - `bare loop`: one thread with one connection to a file that the store made, so with the same table and
//!   indexes, under the same pragmas. It writes one group of as many rows as there are callers, then commits. It
//!   knows beforehand that nothing conflicts, decides and encodes nothing, answers
//!   nobody and keeps no read model: it is the limit, not a peer.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::path::Path;
use std::time::{Duration, Instant};

use benches::{Note, Write, envelope, next_id};
use cqrs_core::{
    Codec, Executor, ExecutorOptions, Handler, LogPosition, Partition, ProjectionRunner,
    RecordedEvent, RunnerOptions, TailLog, Timer,
};
use cqrs_sqlite::{ApplyFailure, ReadModel, SqliteOptions, SqliteProjection, SqliteStore};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const CALLERS: [u64; 3] = [1, 16, 256];

type Notes = Executor<Note, SqliteStore>;

fn durable(c: &mut Criterion) {
    let mut group = c.benchmark_group("durable");
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(3));
    for callers in CALLERS {
        group.throughput(Throughput::Elements(callers));
        for (name, projected) in [("commands", true), ("log alone", false)] {
            group.bench_function(BenchmarkId::new(name, callers), |bench| {
                let runtime = Runtime::new().expect("a runtime");
                let folder = folder();
                let path = folder.path().join("store.db");
                let store = SqliteStore::open(path, SqliteOptions::default()).expect("a store");
                let follower = projected.then(|| runtime.block_on(follow(&store)));
                let options = ExecutorOptions::default();
                let notes = Executor::new(store.clone(), Codec::new(), options);
                bench.iter_custom(|rounds| {
                    runtime.block_on(async {
                        let elapsed = commands(&notes, callers, rounds).await;
                        if let Some(progress) = &follower {
                            is_current(&store, progress).await;
                        }
                        elapsed
                    })
                });
            });
        }
        group.bench_function(BenchmarkId::new("bare loop", callers), |bench| {
            let folder = folder();
            let mut bare = Bare::open(&folder.path().join("bare.db"));
            bench.iter_custom(|rounds| bare.write(callers, rounds).expect("written"));
        });
    }
    group.finish();
}

/// Beside the build, not in a temporary directory, which may well be in memory.
fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// `rounds` commands by each of `callers` tasks, each awaiting its own before the next.
async fn commands(notes: &Notes, callers: u64, rounds: u64) -> Duration {
    let start = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let notes = notes.clone();
            tokio::spawn(async move {
                for _ in 0..rounds {
                    notes.handle(Write, &envelope()).await.expect("written");
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.expect("done");
    }
    start.elapsed()
}

/// Starts a projection of the notes; it ends with the runtime.
async fn follow(store: &SqliteStore) -> cqrs_core::Progress {
    let projection = SqliteProjection::open(store.clone(), Notebook);
    let projection = projection.await.expect("a projection");
    let options = RunnerOptions::default();
    let runner = ProjectionRunner::new(store.clone(), projection, Tokio, options);
    let progress = runner.progress();
    tokio::spawn(async move { runner.run(std::future::pending()).await });
    progress
}

/// Checks that the read model gets to the log's end within a second.
async fn is_current(store: &SqliteStore, progress: &cqrs_core::Progress) {
    let partition = Partition::new(0);
    let head = store.head(partition).await.expect("the log's end");
    let reached = progress.reached(LogPosition::new(partition, head));
    tokio::time::timeout(Duration::from_secs(1), reached)
        .await
        .expect("the read model is current within a second");
}

struct Tokio;

impl Timer for Tokio {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// One row per note.
struct Notebook;

impl ReadModel for Notebook {
    fn name(&self) -> &'static str {
        "notebook"
    }

    fn layout(&self) -> u32 {
        1
    }

    fn handles(&self, event_type: &str) -> bool {
        event_type == "note-written"
    }

    fn create(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(
            "CREATE TABLE notebook (note TEXT PRIMARY KEY, author TEXT NOT NULL, time INTEGER NOT NULL)
             STRICT, WITHOUT ROWID;",
        )
    }

    fn drop_tables(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch("DROP TABLE IF EXISTS notebook;")
    }

    fn apply(
        &self,
        connection: &Connection,
        events: &[RecordedEvent<'_>],
    ) -> Result<(), ApplyFailure> {
        let mut insert = connection
            .prepare_cached("INSERT INTO notebook VALUES (?1, ?2, ?3)")
            .map_err(|error| ApplyFailure::new(0, error))?;
        for (index, event) in events.iter().enumerate() {
            let header = &event.commit.header;
            insert
                .execute(params![
                    event.commit.stream.as_str(),
                    header.actor.as_str(),
                    header.time.as_millis()
                ])
                .map_err(|error| ApplyFailure::new(index, error))?;
        }
        Ok(())
    }
}

/// The limit: rows of the same size into the same table by a loop.
struct Bare {
    connection: Connection,
    /// The blob that the store made of a note's event.
    events: Vec<u8>,
    at: i64,
}

impl Bare {
    /// A file that the store has made, with one commit in it.
    fn open(path: &Path) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let options = SqliteOptions::default();
        let pragmas = format!(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;
             PRAGMA mmap_size=0; PRAGMA foreign_keys=OFF; PRAGMA journal_size_limit=67108864;
             PRAGMA wal_autocheckpoint={}; PRAGMA cache_size=-{};",
            options.autocheckpoint_pages, options.writer_cache_kib
        );
        runtime.block_on(async {
            let store = SqliteStore::open(path, options).expect("a store");
            let notes = Executor::new(store.clone(), Codec::new(), ExecutorOptions::default());
            commands(&notes, 1, 1).await;
            store.close().await;
        });
        let connection = Connection::open(path).expect("the store's file");
        connection.execute_batch(&pragmas).expect("set");
        let query = "SELECT at, events FROM commits";
        let (at, events) = connection
            .query_row(query, [], |row| Ok((row.get(0)?, row.get(1)?)))
            .expect("one commit");
        Self {
            connection,
            events,
            at,
        }
    }

    /// `rounds` groups of `rows` rows, each made durable before the next.
    fn write(&mut self, rows: u64, rounds: u64) -> rusqlite::Result<Duration> {
        let start = Instant::now();
        let mut begin = self.connection.prepare_cached("BEGIN IMMEDIATE")?;
        let mut commit = self.connection.prepare_cached("COMMIT")?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO commits (at, stream, first, count, command, actor, time,
                 correlation, causation, events)
             VALUES (?1, ?2, 1, 1, ?3, 'ada', 1700000000000, ?3, ?3, ?4)",
        )?;
        for _ in 0..rounds {
            begin.execute([])?;
            for _ in 0..rows {
                self.at += 1;
                let id = next_id();
                let stream = format!("note-{id}");
                insert.execute(params![self.at, stream, id.as_bytes(), self.events])?;
            }
            commit.execute([])?;
        }
        Ok(start.elapsed())
    }
}

criterion_group!(benches, durable);
criterion_main!(benches);
