//! Does a start, or a command, cost more in a large store or on a long stream?
//!
//! `cargo bench -p benches --bench scale`
//!
//! Makes stores of 1,000 and of 1,000,000 events, once in streams of 10, once in a single one, and prints in each:
//!
//! - `start`: opening the store and a read model that is current, until its runner stands at the log's end.
//! - `command`: one caller, one command after the other on a stream that is in the cache.
//! - `first command`: by an executor that never saw the stream, which has a snapshot.
//!
//! Medians; `fsync` is that of one bare insert under the same pragmas, which every command has in it.

use std::time::{Duration, Instant};

use benches::{Add, Note, envelope, next_id};
use cqrs_core::{
    Actor, AppendToLog, Codec, CommandId, Commit, CommitHeader, Encoding, EventData, EventType,
    Executor, ExecutorOptions, ExpectedVersion, Handler, LogPosition, Partition, ProjectionRunner,
    RecordedEvent, Reservations, RunnerOptions, Snapshot, SnapshotStore, Snapshotted, StreamName,
    TailLog, Timer, Timestamp, Version,
};
use cqrs_sqlite::{ApplyFailure, ReadModel, SqliteOptions, SqliteProjection, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

const SAMPLES: usize = 201;
/// As many events as a commit of the filling has; divides all lengths.
const PER_COMMIT: u64 = 10;

fn main() {
    let once = std::env::args().any(|arg| arg == "--test");
    let sizes = if once { [100, 200] } else { [1_000, 1_000_000] };
    let runtime = Runtime::new().expect("a runtime");
    println!("| events | in streams of | start | command | first command | fsync |");
    println!("|---|---|---|---|---|---|");
    for long in [false, true] {
        for events in sizes {
            let per_stream = if long { events } else { PER_COMMIT };
            let row = runtime.block_on(measure(events, per_stream));
            let [start, command, first, fsync] = row.map(|time| time.as_secs_f64() * 1e6);
            println!(
                "| {events} | {per_stream} | {:.1} ms | {command:.0} µs | {first:.0} µs | {fsync:.0} µs |",
                start / 1e3
            );
        }
    }
}

type Notes = Executor<Note, SqliteStore>;

async fn measure(events: u64, per_stream: u64) -> [Duration; 4] {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let store = open(&folder);
    let note = fill(&store, events, per_stream).await;
    ready(&store).await;
    store.close().await;
    drop(store);

    let mut starts = Vec::new();
    for _ in 0..SAMPLES / 20 {
        let start = Instant::now();
        let store = open(&folder);
        ready(&store).await;
        starts.push(start.elapsed());
        store.close().await;
    }

    let store = open(&folder);
    let notes = executor(&store);
    timed(&notes, note).await;
    let (mut commands, mut firsts, mut fsyncs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..SAMPLES {
        commands.push(timed(&notes, note).await);
        firsts.push(timed(&executor(&store), note).await);
        fsyncs.push(insert(&store).await);
        // The other executor's commit is news to this one, which finds it out by a conflict.
        let reload = notes.handle(Add(note), &envelope()).await;
        assert!(reload.is_err(), "the cached state is behind");
        timed(&notes, note).await;
    }
    store.close().await;
    [starts, commands, firsts, fsyncs].map(median)
}

fn open(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(folder.path().join("store.db"), SqliteOptions::default()).expect("a store")
}

fn executor(store: &SqliteStore) -> Notes {
    let options = ExecutorOptions::default();
    Executor::with_snapshots(store.clone(), Codec::new(), options, store.clone())
}

/// Runs the read model until it stands at the log's end.
async fn ready(store: &SqliteStore) {
    let projection = SqliteProjection::open(store.clone(), Nothing).await;
    let projection = projection.expect("a projection");
    let options = RunnerOptions::default();
    let runner = ProjectionRunner::new(store.clone(), projection, Tokio, options);
    runner.catch_up(std::future::pending()).await.expect("done");
    let partition = Partition::new(0);
    let head = store.head(partition).await.expect("the log's end");
    runner
        .progress()
        .reached(LogPosition::new(partition, head))
        .await;
}

async fn timed(notes: &Notes, note: Uuid) -> Duration {
    let start = Instant::now();
    notes.handle(Add(note), &envelope()).await.expect("added");
    start.elapsed()
}

/// One row, made durable by the writer.
async fn insert(store: &SqliteStore) -> Duration {
    let start = Instant::now();
    let write = store.write(|connection| {
        connection.execute_batch(
            "CREATE TABLE IF NOT EXISTS bare (x INTEGER); INSERT INTO bare VALUES (1);",
        )
    });
    write.await.expect("written");
    start.elapsed()
}

/// Appends `events`, and a snapshot of the last stream, whose id it gives.
async fn fill(store: &SqliteStore, events: u64, per_stream: u64) -> Uuid {
    const AT_ONCE: u64 = 100;
    let mut stream = Uuid::nil();
    let mut last = None;
    let commits: Vec<u64> = (0..events / PER_COMMIT).collect();
    for batch in commits.chunks(AT_ONCE as usize) {
        // Called in order, so that a stream's commits land in order; awaited together.
        let mut landing = Vec::new();
        for number in batch {
            let before = number * PER_COMMIT % per_stream;
            if before == 0 {
                stream = next_id();
            }
            landing.push(store.append(commit(stream, before)));
        }
        for landing in landing {
            last = Some(landing.await.expect("appended"));
        }
    }
    let last = last.expect("at least one commit");
    let snapshot = Snapshot {
        stream: StreamName::new("note", &stream).expect("a name"),
        version: last.version,
        at: last.at,
        schema: Note::schema(),
        encoding: Encoding::Json,
        payload: last.version.get().to_string().into(),
    };
    store.save(snapshot).await.expect("kept");
    stream
}

fn commit(stream: Uuid, before: u64) -> Commit {
    let id = next_id();
    let event = EventData {
        event_type: EventType::new("note-added", 1),
        encoding: Encoding::Json,
        payload: format!(r#"{{"text":"{:0>50}"}}"#, before).into(),
    };
    Commit {
        stream: StreamName::new("note", &stream).expect("a name"),
        expected: ExpectedVersion::Exact(Version::new(before)),
        header: CommitHeader {
            command_id: CommandId::new(id),
            request: None,
            actor: Actor::parse("ada").expect("a valid actor"),
            time: Timestamp::from_millis(1_700_000_000_000),
            correlation_id: id,
            causation_id: id,
            trace: None,
        },
        events: vec![event; PER_COMMIT as usize],
        reservations: Reservations::none(),
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

struct Tokio;

impl Timer for Tokio {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// A read model that names no event: what is measured is how a current one is found to be so.
struct Nothing;

impl ReadModel for Nothing {
    fn name(&self) -> &'static str {
        "nothing"
    }

    fn layout(&self) -> u32 {
        1
    }

    fn handles(&self, _: &str) -> bool {
        false
    }

    fn create(&self, _: &Connection) -> rusqlite::Result<()> {
        Ok(())
    }

    fn drop_tables(&self, _: &Connection) -> rusqlite::Result<()> {
        Ok(())
    }

    fn apply(&self, _: &Connection, _: &[RecordedEvent<'_>]) -> Result<(), ApplyFailure> {
        Ok(())
    }
}
