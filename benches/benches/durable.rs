//! How many durable commands per second: the executor on the store against loops written by hand over the same engine.
//!
//! `cargo bench -p benches --bench durable`
//!
//! One iteration is one command by each of the callers, each of whom awaits its
//! answer before the next; every command begins a stream.
//!
//! - `commands`: the executor on the store, with a read model following the log. After
//!   every measured run the read model must be current within a second.
//! - `log alone`: the same without the read model.
//! - `loop with callers`: a group-commit loop as one would write it by hand. Callers are tasks that hand a row
//!   to one thread through a channel and await its answer; the thread writes whatever waits, commits, answers.
//! - `bare loop`: one thread with one connection to a file that the store made, so with the same table and
//!   indexes, under the same pragmas. It writes one group of as many rows as there are callers, then commits: it
//!   has no callers, answers nobody, and always gets a full group.
//!
//! Neither loop decides, encodes, checks anything or keeps a read model: they are limits, not peers.
//!
//! After criterion's own runs, short rounds of all four in turn are printed as one table, with
//! the ratios round by round: these hold where the speed of the machine drifts.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::path::Path;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use benches::{Note, Write, envelope, next_id};
use cqrs_core::{
    Actor, BoxError, Codec, Executor, ExecutorOptions, Handler, LogPosition, Partition,
    ProjectionRunner, RecordedEvent, RunnerOptions, StreamName, TailLog, Timer,
};
use cqrs_sqlite::{ApplyFailure, ReadModel, SqliteOptions, SqliteProjection, SqliteStore};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rusqlite::{Connection, params};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const CALLERS: [u64; 3] = [1, 16, 256];

type Notes = Executor<Note, SqliteStore>;

fn durable(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("durable");
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(2));
    for callers in CALLERS {
        group.throughput(Throughput::Elements(callers));
        for (index, name) in CONTENDERS.into_iter().enumerate() {
            group.bench_function(BenchmarkId::new(name, callers), |bench| {
                let mut contender = Contender::open(index, &runtime);
                bench.iter_custom(|rounds| contender.run(&runtime, callers, rounds));
            });
        }
    }
    group.finish();
    // Where each bench is only run once to see that it does, or to profile it, there is nothing to compare.
    if !std::env::args().any(|arg| arg == "--test" || arg == "--profile-time") {
        in_turn(&runtime);
    }
}

const CONTENDERS: [&str; 4] = ["commands", "log alone", "loop with callers", "bare loop"];

/// Rounds of each contender, one after the other, and a row of the table for each number of callers.
fn in_turn(runtime: &Runtime) {
    const ROUNDS: usize = 21;
    println!("Medians of {ROUNDS} rounds in turn, per second; ratios round by round.\n");
    println!(
        "| callers | {} | with read model / loop with callers | / bare loop | log alone / loop with callers | / bare loop |",
        CONTENDERS.join(" | ")
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for callers in CALLERS {
        let mut contenders = [0, 1, 2, 3].map(|index| Contender::open(index, runtime));
        let rounds = 240 / callers.isqrt();
        let mut rates = [const { Vec::new() }; 4];
        for round in 0..=ROUNDS {
            for (contender, rates) in contenders.iter_mut().zip(&mut rates) {
                let elapsed = contender.run(runtime, callers, rounds);
                if round > 0 {
                    rates.push((callers * rounds) as f64 / elapsed.as_secs_f64());
                }
            }
        }
        let against = |own: usize, other: usize| {
            median(
                rates[own]
                    .iter()
                    .zip(&rates[other])
                    .map(|(own, other)| own / other),
            )
        };
        let [commands, alone, with, bare] =
            [0, 1, 2, 3].map(|index| median(rates[index].iter().copied()));
        println!(
            "| {callers} | {commands:.0} | {alone:.0} | {with:.0} | {bare:.0} | {:.2} | {:.2} | {:.2} | {:.2} |",
            against(0, 2),
            against(0, 3),
            against(1, 2),
            against(1, 3),
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// One of [`CONTENDERS`], on a file of its own.
enum Contender {
    Store {
        notes: Notes,
        store: SqliteStore,
        follower: Option<(cqrs_core::Progress, tokio::task::AbortHandle)>,
        _folder: TempDir,
    },
    Loop {
        groups: Loop,
        _folder: TempDir,
    },
    Bare {
        bare: Bare,
        _folder: TempDir,
    },
}

impl Contender {
    fn open(index: usize, runtime: &Runtime) -> Self {
        let folder = folder();
        let path = folder.path().join("store.db");
        if index >= 2 {
            let bare = Bare::open(&path, runtime);
            return match index {
                2 => Self::Loop {
                    groups: Loop::start(bare),
                    _folder: folder,
                },
                _ => Self::Bare {
                    bare,
                    _folder: folder,
                },
            };
        }
        let store = SqliteStore::open(path, SqliteOptions::default()).expect("a store");
        let follower = (index == 0).then(|| runtime.block_on(follow(&store)));
        let notes = Executor::new(store.clone(), Codec::new(), ExecutorOptions::default());
        Self::Store {
            notes,
            store,
            follower,
            _folder: folder,
        }
    }

    /// How long one command by each of `callers` takes, `rounds` times.
    fn run(&mut self, runtime: &Runtime, callers: u64, rounds: u64) -> Duration {
        match self {
            Self::Store {
                notes,
                store,
                follower,
                ..
            } => runtime.block_on(async {
                let elapsed = commands(notes, callers, rounds).await;
                if let Some((progress, _)) = follower {
                    is_current(store, progress).await;
                }
                elapsed
            }),
            Self::Loop { groups, .. } => runtime.block_on(groups.run(callers, rounds)),
            Self::Bare { bare, .. } => bare.write(callers, rounds).expect("written"),
        }
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        if let Self::Store {
            follower: Some((_, follower)),
            ..
        } = self
        {
            follower.abort();
        }
    }
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

/// Starts a projection of the notes.
async fn follow(store: &SqliteStore) -> (cqrs_core::Progress, tokio::task::AbortHandle) {
    let projection = SqliteProjection::open(store.clone(), Notebook);
    let projection = projection.await.expect("a projection");
    let options = RunnerOptions::default();
    let runner = ProjectionRunner::new(store.clone(), projection, Tokio, options);
    let progress = runner.progress();
    let running = tokio::spawn(async move { runner.run(std::future::pending()).await });
    (progress, running.abort_handle())
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
    /// The note, its author, and when it was written.
    type Event = (StreamName, Actor, i64);

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

    fn decode(&self, event: &RecordedEvent<'_>) -> Result<Self::Event, BoxError> {
        let (stream, header) = (&event.commit.stream, &event.commit.header);
        let (note, author) = (stream.clone(), header.actor.clone());
        Ok((note, author, header.time.as_millis()))
    }

    fn apply(
        &self,
        connection: &Connection,
        _: Partition,
        events: impl Iterator<Item = Result<Self::Event, ApplyFailure>>,
    ) -> Result<(), ApplyFailure> {
        let mut insert = connection
            .prepare_cached("INSERT INTO notebook VALUES (?1, ?2, ?3)")
            .map_err(|error| ApplyFailure::new(0, error))?;
        for (index, event) in events.enumerate() {
            let (note, author, time) = event?;
            insert
                .execute(params![note.as_str(), author.as_str(), time])
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
    fn open(path: &Path, runtime: &Runtime) -> Self {
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
        for _ in 0..rounds {
            let group = (0..rows).map(|_| Row::new(&self.events));
            group_of(&self.connection, &mut self.at, group)?;
        }
        Ok(start.elapsed())
    }
}

/// What a caller hands over.
struct Row {
    id: uuid::Uuid,
    stream: String,
    events: Vec<u8>,
}

impl Row {
    fn new(events: &[u8]) -> Self {
        let id = next_id();
        Self {
            id,
            stream: format!("note-{id}"),
            events: events.to_vec(),
        }
    }
}

/// Writes one group in one transaction.
fn group_of(
    connection: &Connection,
    at: &mut i64,
    rows: impl Iterator<Item = Row>,
) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut insert = connection.prepare_cached(
        "INSERT INTO commits (at, stream, first, count, command, actor, time,
             correlation, causation, events)
         VALUES (?1, ?2, 1, 1, ?3, 'ada', 1700000000000, ?3, ?3, ?4)",
    )?;
    for row in rows {
        *at += 1;
        insert.execute(params![*at, row.stream, row.id.as_bytes(), row.events])?;
    }
    connection.prepare_cached("COMMIT")?.execute([])?;
    Ok(())
}

/// What a caller sends: a row, and where its answer goes.
type Asked = (Row, tokio::sync::oneshot::Sender<i64>);

/// A group-commit loop on a thread, with callers.
struct Loop {
    jobs: Option<mpsc::Sender<Asked>>,
    thread: Option<JoinHandle<()>>,
    events: Vec<u8>,
}

impl Loop {
    fn start(mut bare: Bare) -> Self {
        let (jobs, waiting) = mpsc::channel::<Asked>();
        let events = bare.events.clone();
        let thread = std::thread::spawn(move || {
            while let Ok(first) = waiting.recv() {
                let mut answers = Vec::new();
                let group = std::iter::once(first).chain(waiting.try_iter().take(511));
                let rows = group.map(|(row, answer)| {
                    answers.push(answer);
                    row
                });
                group_of(&bare.connection, &mut bare.at, rows).expect("written");
                for answer in answers {
                    // Nobody here goes away early.
                    let _ = answer.send(bare.at);
                }
            }
        });
        Self {
            jobs: Some(jobs),
            thread: Some(thread),
            events,
        }
    }

    async fn run(&self, callers: u64, rounds: u64) -> Duration {
        let start = Instant::now();
        let tasks: Vec<_> = (0..callers)
            .map(|_| {
                let (jobs, events) = (self.jobs.clone().expect("running"), self.events.clone());
                tokio::spawn(async move {
                    for _ in 0..rounds {
                        let (answer, answered) = tokio::sync::oneshot::channel();
                        jobs.send((Row::new(&events), answer)).expect("taken");
                        answered.await.expect("answered");
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("done");
        }
        start.elapsed()
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it ends");
        }
    }
}

criterion_group!(benches, durable);
criterion_main!(benches);
