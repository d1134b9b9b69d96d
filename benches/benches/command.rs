//! What does a command cost on a stream of 1, 100, 10,000 events: folded state in the cache, or loaded?
//!
//! `cargo bench -p benches --bench command`
//!
//! On the store in memory, so that what is measured is the library: decide, encode, append,
//! evolve. `cached` is the usual case; `cold` folds the whole stream first, as a new process does without a snapshot.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::time::{Duration, Instant};

use benches::{Add, Note, Write, envelope};
use cqrs_core::{Codec, Executor, ExecutorOptions, Handler, MemoryStore};
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use uuid::Uuid;

const LENGTHS: [u64; 3] = [1, 100, 10_000];

type Notes = Executor<Note, MemoryStore>;

fn executor(store: &MemoryStore) -> Notes {
    Executor::new(store.clone(), Codec::new(), ExecutorOptions::default())
}

/// A note with `length` events.
async fn note(notes: &Notes, length: u64) -> Uuid {
    let begin = envelope();
    let id = begin.command_id.as_uuid();
    notes.handle(Write, &begin).await.expect("written");
    for _ in 1..length {
        notes.handle(Add(id), &envelope()).await.expect("added");
    }
    id
}

/// `commands` on streams that are `length` long, at most half as much again, and in the cache.
async fn cached(length: u64, commands: u64) -> Duration {
    let mut elapsed = Duration::ZERO;
    let mut left = commands;
    while left > 0 {
        let now = left.min((length / 2).max(1));
        let notes = executor(&MemoryStore::new(1));
        let id = note(&notes, length).await;
        let start = Instant::now();
        for _ in 0..now {
            notes.handle(Add(id), &envelope()).await.expect("added");
        }
        elapsed += start.elapsed();
        left -= now;
    }
    elapsed
}

/// `commands`, each by an executor that never saw its stream, which is `length` long.
async fn cold(length: u64, commands: u64) -> Duration {
    let mut elapsed = Duration::ZERO;
    for _ in 0..commands {
        let store = MemoryStore::new(1);
        let id = note(&executor(&store), length).await;
        let notes = executor(&store);
        let start = Instant::now();
        notes.handle(Add(id), &envelope()).await.expect("added");
        elapsed += start.elapsed();
    }
    elapsed
}

fn command(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("command");
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(2));
    for length in LENGTHS {
        group.bench_function(BenchmarkId::new("cached", length), |bench| {
            bench.iter_custom(|commands| runtime.block_on(cached(length, commands)));
        });
        group.bench_function(BenchmarkId::new("cold", length), |bench| {
            bench.iter_custom(|commands| runtime.block_on(cold(length, commands)));
        });
    }
    group.finish();
}

criterion_group!(benches, command);
criterion_main!(benches);
