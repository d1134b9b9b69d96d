//! Is one hot stream as fast as many streams?
//!
//! `cargo bench -p benches --bench hot`
//!
//! Durable commands on the store in SQLite, by so many callers at the same time, each of whom waits for its answer before it asks
//! again: each on a stream of its own, or all on one. Rounds of both in turn, medians; the ratio is the median of those
//! round by round. In the end every acknowledged command must be in its stream. That question in memory is `writers`, of the bench `command`.

use std::time::{Duration, Instant};

use benches::{Add, Note, envelope, next_id};
use cqrs_core::{Codec, Executor, ExecutorOptions, Handler, Partition, TailLog};
use cqrs_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use uuid::Uuid;

const CALLERS: [usize; 4] = [1, 4, 64, 256];
const ROUNDS: usize = 15;

fn main() {
    let once = std::env::args().any(|arg| arg == "--test");
    let (rounds, commands) = if once { (1, 64) } else { (ROUNDS, 4_000) };
    let runtime = Runtime::new().expect("a runtime");
    println!("| callers | distinct streams | one stream | ratio | acknowledged | stored |");
    println!("|---|---|---|---|---|---|");
    for callers in CALLERS {
        let mut distinct = Contender::open(callers);
        let mut hot = Contender::open(1);
        // With few callers each command waits for the disk alone.
        let each = (commands / callers).clamp(1, 250);
        let mut rates = Vec::new();
        for round in 0..=rounds {
            let pair = [&mut distinct, &mut hot].map(|contender| {
                let took = runtime.block_on(contender.run(callers, each));
                (callers * each) as f64 / took.as_secs_f64()
            });
            // The first finds nothing in the caches.
            if round > 0 || once {
                rates.push(pair);
            }
        }
        let acknowledged = distinct.acknowledged + hot.acknowledged;
        let stored = runtime.block_on(async { distinct.stored().await + hot.stored().await });
        assert_eq!(stored, acknowledged, "an answer means that it is stored");
        println!(
            "| {callers} | {:.0} | {:.0} | {:.2} | {acknowledged} | {stored} |",
            median(rates.iter().map(|rates| rates[0])),
            median(rates.iter().map(|rates| rates[1])),
            median(rates.iter().map(|rates| rates[1] / rates[0])),
        );
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// A store of its own, and the notes that are added to.
struct Contender {
    store: SqliteStore,
    executor: Executor<Note, SqliteStore>,
    notes: Vec<Uuid>,
    acknowledged: u64,
    _folder: TempDir,
}

impl Contender {
    fn open(notes: usize) -> Self {
        // Beside the build, not in a temporary directory, which may well be in memory.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        let path = folder.path().join("store.db");
        let store = SqliteStore::open(path, SqliteOptions::default()).expect("a store");
        let executor = Executor::new(store.clone(), Codec::new(), ExecutorOptions::default());
        Self {
            store,
            executor,
            notes: (0..notes).map(|_| next_id()).collect(),
            acknowledged: 0,
            _folder: folder,
        }
    }

    /// How long `each` commands by each of `callers` take.
    async fn run(&mut self, callers: usize, each: usize) -> Duration {
        let start = Instant::now();
        let tasks = (0..callers).map(|caller| {
            let (executor, note) = (self.executor.clone(), self.notes[caller % self.notes.len()]);
            tokio::spawn(async move {
                for _ in 0..each {
                    let added = executor.handle(Add(note), &envelope()).await;
                    added.expect("acknowledged");
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("a caller");
        }
        self.acknowledged += (callers * each) as u64;
        start.elapsed()
    }

    /// Every command is a commit.
    async fn stored(&self) -> u64 {
        let head = self.store.head(Partition::new(0)).await;
        head.expect("the log's end").get()
    }
}
