//! What does a command cost in memory: by the length of its stream, by writers, and where its state is to be loaded first?
//!
//! `cargo bench -p benches --bench command`, and beside the others, in the same run:
//! `cargo bench -p benches --bench command --features peers > /dev/null` (cqrs-es prints what it does).
//!
//! On the store in memory, so that what is measured is the library: decide, encode, append, evolve.
//!
//! - `command`: 280 bytes are added to a note of that length, whose state was seen before.
//! - `writers`: the same at once from 1, 2 and 4 tasks on two threads. Acknowledged and stored are counted.
//! - `load`: the state of a note is found by an executor that never saw it, with a snapshot at its end or without.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use benches::measure::{LENGTHS, by_length, by_writers, group};
use benches::notebook::{Ours, executor, fill, stream};
use benches::{Look, Note, envelope, next_id};
use cqrs_core::{
    Codec, Encoding, Executor, ExecutorOptions, Handler, MemoryStore, ReadLog, Snapshot,
    SnapshotStore, Snapshotted, Version,
};
use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use tokio::runtime::Runtime;
use uuid::Uuid;

fn command(c: &mut Criterion) {
    let mut group = group(c, "command");
    by_length::<Ours>(&mut group);
    #[cfg(feature = "peers")]
    by_length::<benches::cqrs_es::CqrsEs>(&mut group);
    group.finish();
}

fn writers(c: &mut Criterion) {
    let mut group = group(c, "writers");
    eprintln!("| | on | writers | acknowledged | stored |");
    eprintln!("|---|---|---|---|---|");
    by_writers::<Ours>(&mut group);
    #[cfg(feature = "peers")]
    by_writers::<benches::cqrs_es::CqrsEs>(&mut group);
    group.finish();
}

fn load(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = group(c, "load");
    for length in LENGTHS {
        let (store, note) = (MemoryStore::new(1), next_id());
        runtime.block_on(fill(&store, note, length));
        group.bench_function(BenchmarkId::new("folded", length), |bench| {
            let setup = || (executor(&store), envelope());
            bench.iter_batched(
                setup,
                |(notes, envelope)| {
                    let version = runtime.block_on(notes.handle(Look(note), &envelope));
                    assert_eq!(version.expect("seen").get(), length);
                    notes
                },
                BatchSize::SmallInput,
            );
        });
        runtime.block_on(snapshot(&store, note, length));
        group.bench_function(BenchmarkId::new("from a snapshot", length), |bench| {
            let setup = || (restoring(&store), envelope());
            bench.iter_batched(
                setup,
                |(notes, envelope)| {
                    let version = runtime.block_on(notes.handle(Look(note), &envelope));
                    assert_eq!(version.expect("seen").get(), length);
                    notes
                },
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn restoring(store: &MemoryStore) -> Executor<Note, MemoryStore> {
    let options = ExecutorOptions::default();
    Executor::with_snapshots(store.clone(), Codec::new(), options, store.clone())
}

async fn snapshot(store: &MemoryStore, note: Uuid, length: u64) {
    let stream = stream(note);
    let found = store.read_stream(&stream, Version::EMPTY, length as usize);
    let found = found.await.expect("read");
    let last = found.last().expect("one commit at least");
    let snapshot = Snapshot {
        stream: last.stream.clone(),
        version: last.version,
        at: last.at,
        schema: Note::schema(),
        encoding: Encoding::Json,
        payload: length.to_string().into(),
    };
    store.save(snapshot).await.expect("kept");
}

criterion_group!(benches, command, writers, load);
criterion_main!(benches);
