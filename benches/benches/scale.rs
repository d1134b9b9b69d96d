//! Does a start, or a command, cost more in a large store or on a long stream?
//!
//! `cargo bench -p benches --bench scale [-- EVENTS...]`
//!
//! Makes stores of 1,000 and of 1,000,000 events, once in streams of 10, once in a single one, and prints in each what follows. Where
//! numbers are given, stores of so many events are made instead, in streams of 10: `-- 1000 10000000` takes minutes and a few GB of disk.
//!
//! - `start`: opening the store and a read model that is current, until its runner stands at the log's end.
//! - `command`: one caller, one command after the other on a stream that is in the cache.
//! - `first command`: by an executor that never saw the stream, which has a snapshot.
//!
//! - `memory`: of the process at the end, when one executor has had a command on each of as many streams as there are, [`MOST`] at
//!   the most, and what of it the cache of states says that it holds; it may hold [`ExecutorOptions::cache_bytes`].
//!
//! Medians; `fsync` is that of one bare insert under the same pragmas, which every command has in it. What is measured in the
//! stores of a row of the table is measured in all of them in turn, so that a disk that has become slower is so for all.

use std::time::{Duration, Instant};

use benches::{Add, Note, envelope, next_id};
use cqrs_core::{
    Actor, AppendToLog, BoxError, Codec, CommandId, Commit, CommitHeader, Encoding, EventData,
    EventType, Executor, ExecutorOptions, ExpectedVersion, Handler, LogPosition, Partition,
    ProjectionRunner, RecordedEvent, Reservations, RunnerOptions, Snapshot, SnapshotStore,
    Snapshotted, StreamName, TailLog, Timer, Timestamp, Version,
};
use cqrs_sqlite::{ApplyFailure, ReadModel, SqliteOptions, SqliteProjection, SqliteStore};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

const SAMPLES: usize = 201;
/// As many events as a commit of the filling has; divides all lengths.
const PER_COMMIT: u64 = 10;
/// On how many streams a command is done to see what memory that takes.
const MOST: usize = 100_000;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let given: Vec<u64> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let once = args.iter().any(|arg| arg == "--test");
    let runtime = Runtime::new().expect("a runtime");
    println!(
        "| events | in streams of | start | command | / the first row's | first command | fsync | streams in use | memory | cached |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    let usual = if once { [100, 200] } else { [1_000, 1_000_000] };
    for long in [false, true] {
        let sizes = if given.is_empty() { &usual[..] } else { &given };
        if long && !given.is_empty() {
            break;
        }
        runtime.block_on(compare(sizes, long, if once { 21 } else { SAMPLES }));
    }
}

type Notes = Executor<Note, SqliteStore>;

/// A row for each of `sizes`; what is timed is timed in all stores in turn.
async fn compare(sizes: &[u64], long: bool, samples: usize) {
    let mut stores = Vec::new();
    for events in sizes {
        let per_stream = if long { *events } else { PER_COMMIT };
        stores.push(Made::of(*events, per_stream).await);
    }
    for _ in 0..samples / 20 {
        for made in &mut stores {
            made.start().await;
        }
    }
    for made in &mut stores {
        timed(&made.notes, made.note).await;
    }
    for _ in 0..samples {
        for made in &mut stores {
            made.sample().await;
        }
    }
    let first = median(&stores[0].commands);
    for made in &stores {
        let times = [&made.starts, &made.commands, &made.firsts, &made.fsyncs];
        let [start, command, begun, fsync] = times.map(|times| median(times));
        let (streams, memory) = made.use_many().await;
        let cached = made.notes.stats().cached_bytes >> 10;
        println!(
            "| {} | {} | {:.1} ms | {command:.0} µs | {:.2} | {begun:.0} µs | {fsync:.0} µs | {streams} | {memory} | {cached} kB |",
            made.events,
            made.per_stream,
            start / 1e3,
            command / first,
        );
        made.store.close().await;
    }
}

/// A store, and what it took.
struct Made {
    events: u64,
    per_stream: u64,
    folder: TempDir,
    store: SqliteStore,
    notes: Notes,
    /// The last stream, which has a snapshot.
    note: Uuid,
    streams: Vec<Uuid>,
    starts: Vec<Duration>,
    commands: Vec<Duration>,
    firsts: Vec<Duration>,
    fsyncs: Vec<Duration>,
}

impl Made {
    async fn of(events: u64, per_stream: u64) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let store = open(&folder);
        let streams = fill(&store, events, per_stream).await;
        ready(&store).await;
        Self {
            events,
            per_stream,
            notes: executor(&store),
            store,
            note: *streams.last().expect("at least one stream"),
            streams,
            folder,
            starts: Vec::new(),
            commands: Vec::new(),
            firsts: Vec::new(),
            fsyncs: Vec::new(),
        }
    }

    /// Once more from the file.
    async fn start(&mut self) {
        self.store.close().await;
        let start = Instant::now();
        self.store = open(&self.folder);
        ready(&self.store).await;
        self.starts.push(start.elapsed());
        self.notes = executor(&self.store);
    }

    async fn sample(&mut self) {
        self.commands.push(timed(&self.notes, self.note).await);
        let other = executor(&self.store);
        self.firsts.push(timed(&other, self.note).await);
        self.fsyncs.push(insert(&self.store).await);
        // The other executor's commit is news to this one, which finds it out by a conflict.
        let reload = self.notes.handle(Add(self.note), &envelope()).await;
        assert!(reload.is_err(), "the cached state is behind");
        timed(&self.notes, self.note).await;
    }

    /// A command on each of many streams, 64 at the same time; on how many, and the memory of this process after it.
    async fn use_many(&self) -> (usize, String) {
        let streams = &self.streams[..self.streams.len().min(MOST)];
        let callers = streams.chunks(streams.len().div_ceil(64)).map(|streams| {
            let (notes, streams) = (self.notes.clone(), streams.to_vec());
            tokio::spawn(async move {
                for stream in streams {
                    timed(&notes, stream).await;
                }
            })
        });
        for caller in callers.collect::<Vec<_>>() {
            caller.await.expect("a caller");
        }
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        (streams.len(), line.unwrap_or("unknown").trim().to_owned())
    }
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

/// Appends `events`, and a snapshot of the last stream; the streams.
async fn fill(store: &SqliteStore, events: u64, per_stream: u64) -> Vec<Uuid> {
    const AT_ONCE: u64 = 100;
    let mut streams = Vec::new();
    let mut last = None;
    let commits: Vec<u64> = (0..events / PER_COMMIT).collect();
    for batch in commits.chunks(AT_ONCE as usize) {
        // Called in order, so that a stream's commits land in order; awaited together.
        let mut landing = Vec::new();
        for number in batch {
            let before = number * PER_COMMIT % per_stream;
            if before == 0 {
                streams.push(next_id());
            }
            let stream = streams.last().expect("the first commit begins one");
            landing.push(store.append(commit(*stream, before)));
        }
        for landing in landing {
            last = Some(landing.await.expect("appended"));
        }
    }
    let last = last.expect("at least one commit");
    let snapshot = Snapshot {
        stream: StreamName::new("note", streams.last().expect("a stream")).expect("a name"),
        version: last.version,
        at: last.at,
        schema: Note::schema(),
        encoding: Encoding::Json,
        payload: last.version.get().to_string().into(),
    };
    store.save(snapshot).await.expect("kept");
    streams
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

/// In microseconds.
fn median(times: &[Duration]) -> f64 {
    let mut times = times.to_vec();
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e6
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
    type Event = ();

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

    fn decode(&self, _: &RecordedEvent<'_>) -> Result<(), BoxError> {
        Ok(())
    }

    fn apply(
        &self,
        _: &Connection,
        _: Partition,
        _: impl Iterator<Item = Result<(), ApplyFailure>>,
    ) -> Result<(), ApplyFailure> {
        Ok(())
    }
}
