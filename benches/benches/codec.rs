//! What does it cost to write an event and to read it again, beside JSON alone, and where an old shape is brought up to date?
//!
//! `cargo bench -p benches --bench codec`
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::hint::black_box;
use std::time::Duration;

use benches::{Added, NoteEvent};
use cqrs_core::{Codec, Encoding, EventData, EventType, Upcasters};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use serde::{Deserialize, Serialize};

fn codec(c: &mut Criterion) {
    let codec = Codec::<NoteEvent>::new();
    let added = Added::usual();
    let event = NoteEvent::from(added.clone());
    let stored = codec.encode(&event).expect("encoded");

    let mut group = c.benchmark_group("codec");
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(1));
    group.sample_size(50);
    group.throughput(Throughput::Bytes(stored.payload.len() as u64));
    group.bench_function("encode", |b| b.iter(|| codec.encode(black_box(&event))));
    group.bench_function("encode, JSON alone", |b| {
        b.iter(|| serde_json::to_vec(black_box(&added)));
    });
    group.bench_function("decode", |b| b.iter(|| codec.decode(black_box(&stored))));
    group.bench_function("decode, JSON alone", |b| {
        b.iter(|| serde_json::from_slice::<Added>(black_box(&stored.payload)));
    });

    let codec =
        Codec::<MovedEvent>::with_upcasters(Upcasters::new().step("moved", 1, |mut old| {
            old["to"] = old["text"].take();
            Ok(old)
        }));
    let old = EventData {
        event_type: EventType::new("moved", 1),
        encoding: Encoding::Json,
        payload: stored.payload,
    };
    codec.decode(&old).expect("brought up to date");
    group.bench_function("decode, one version old", |b| {
        b.iter(|| codec.decode(black_box(&old)));
    });
    group.finish();
}

cqrs_core::events! {
    #[derive(Debug, Clone)]
    enum MovedEvent {
        Moved = "moved" v2,
    }
}

/// Was once stored with its text under another name.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Moved {
    to: String,
}

criterion_group!(benches, codec);
criterion_main!(benches);
