//! How commands are measured, the same for everybody.

use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, SamplingMode, Throughput};
use tokio::runtime::Runtime;
use uuid::Uuid;

use crate::next_id;
use crate::notebook::Notebook;

/// The lengths of streams that are asked about.
pub const LENGTHS: [u64; 6] = [1, 10, 100, 1_000, 10_000, 100_000];
/// How many writers there are at the same time.
pub const WRITERS: [u64; 3] = [1, 2, 4];

/// About how many events a notebook is filled with before commands are timed.
const FILLED: u64 = 20_000;
/// How many commands each writer sends in a round.
const EACH: u64 = 500;

/// A group for commands that take from a microsecond to a tenth of a second.
pub fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group.sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(200));
    group.measurement_time(Duration::from_secs(1));
    group
}

/// One command on a note of each length, one after the other.
///
/// # Panics
///
/// Where a command is not acknowledged.
pub fn by_length<N: Notebook>(group: &mut BenchmarkGroup<'_, WallTime>) {
    let runtime = Runtime::new().expect("a runtime");
    for length in LENGTHS {
        group.bench_function(BenchmarkId::new(N::NAME, length), |bench| {
            let mut notes = Notes::<N>::none(length);
            bench.iter_custom(|commands| runtime.block_on(notes.add(commands)));
        });
    }
}

/// Notes of one length, made anew when they have become a tenth longer.
struct Notes<N> {
    length: u64,
    notes: Vec<Uuid>,
    left: u64,
    book: N,
}

impl<N: Notebook> Notes<N> {
    fn none(length: u64) -> Self {
        let book = N::open();
        Self {
            length,
            notes: Vec::new(),
            left: 0,
            book,
        }
    }

    /// How long `commands` take, in turn on all notes.
    async fn add(&mut self, commands: u64) -> Duration {
        let mut elapsed = Duration::ZERO;
        let mut to_do = commands;
        while to_do > 0 {
            if self.left == 0 {
                self.fill().await;
            }
            let now = to_do.min(self.left);
            let notes = self
                .notes
                .iter()
                .cycle()
                .skip(self.left as usize % self.notes.len());
            let notes = notes.take(now as usize);
            let start = Instant::now();
            for note in notes {
                assert!(self.book.add(*note).await, "not acknowledged");
            }
            elapsed += start.elapsed();
            self.left -= now;
            to_do -= now;
        }
        elapsed
    }

    async fn fill(&mut self) {
        self.book = N::open();
        let count = (FILLED / self.length).clamp(1, 2_000);
        self.notes = (0..count).map(|_| next_id()).collect();
        for note in &self.notes {
            self.book.fill(*note, self.length - 1).await;
            // By a command, so that whoever holds states has this one.
            assert!(self.book.add(*note).await, "not acknowledged");
        }
        self.left = count * (self.length / 10).max(1);
    }
}

/// Commands of 1, 2 and 4 writers at the same time, each on a note of its own or all on one; the time is that of one command.
///
/// Tells how many were acknowledged and how many of them are stored.
///
/// # Panics
///
/// Where a writer does.
pub fn by_writers<N: Notebook>(group: &mut BenchmarkGroup<'_, WallTime>) {
    let runtime = Runtime::new().expect("a runtime");
    for hot in [false, true] {
        let streams = if hot {
            "one stream"
        } else {
            "distinct streams"
        };
        for writers in WRITERS {
            let mut tally = Tally::default();
            group.throughput(Throughput::Elements(1));
            let id = BenchmarkId::new(format!("{}, {streams}", N::NAME), writers);
            group.bench_function(id, |bench| {
                bench.iter_custom(|commands| {
                    runtime.block_on(together::<N>(commands, writers, hot, &mut tally))
                });
            });
            let Tally {
                acknowledged,
                stored,
            } = tally;
            // None where a filter left it out.
            if acknowledged > 0 {
                eprintln!(
                    "| {} | {streams} | {writers} | {acknowledged} | {stored} |",
                    N::NAME
                );
            }
            if N::NAME == "ours" {
                assert_eq!(stored, acknowledged, "an answer means that it is stored");
            }
        }
    }
}

/// What was promised, and what of it is there.
#[derive(Debug, Default)]
struct Tally {
    acknowledged: u64,
    stored: u64,
}

async fn together<N: Notebook>(
    commands: u64,
    writers: u64,
    hot: bool,
    tally: &mut Tally,
) -> Duration {
    let mut elapsed = Duration::ZERO;
    let mut left = commands;
    while left > 0 {
        let now = left.min(writers * EACH);
        let book = N::open();
        let notes: Vec<_> = (0..if hot { 1 } else { writers })
            .map(|_| next_id())
            .collect();
        let start = Instant::now();
        let tasks = (0..writers).map(|writer| {
            let note = notes[writer as usize % notes.len()];
            let share = now / writers + u64::from(writer < now % writers);
            tokio::spawn(several(book.clone(), note, share))
        });
        for task in tasks.collect::<Vec<_>>() {
            tally.acknowledged += task.await.expect("a writer");
        }
        elapsed += start.elapsed();
        for note in notes {
            tally.stored += book.stored(note).await;
        }
        left -= now;
    }
    elapsed
}

async fn several<N: Notebook>(book: N, note: Uuid, commands: u64) -> u64 {
    let mut acknowledged = 0;
    for _ in 0..commands {
        acknowledged += u64::from(book.add(note).await);
    }
    acknowledged
}
