//! What does the mediator cost over calling the handler, by either face, and what does publishing?
//!
//! `cargo bench -p benches --bench dispatch [--features peers]`
//!
//! The handler adds two numbers and never waits, so that all there is to see is what stands around it. The parameter is the
//! number of behaviours, which do nothing. With `peers`, the others do the same in the same run (`peers`).
#![allow(missing_docs, reason = "criterion's macros make public functions")]

#[cfg(feature = "peers")]
mod peers;

use std::hint::black_box;
use std::time::Duration;

use benches::sum::{Add, Adder, Pass, Sum, now};
use cqrs_core::{
    Actor, BoxError, CommandId, CommitHeader, Envelope, Handler, LogPosition, Mediator, Partition,
    Position, Publisher, RecordedCommit, Registry, Reservations, StreamName, Subscriber, Timestamp,
    Version,
};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use uuid::Uuid;

struct Ear;

impl Subscriber for Ear {
    async fn hear(&self, commit: &RecordedCommit) -> Result<(), BoxError> {
        black_box(commit.version);
        Ok(())
    }
}

fn envelope() -> Envelope {
    let id = CommandId::new(Uuid::from_u128(1));
    let actor = Actor::parse("ada").expect("a valid actor");
    Envelope::new(id, actor, Timestamp::from_millis(0))
}

fn group<'a>(c: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group(name);
    group.warm_up_time(Duration::from_millis(300));
    group.measurement_time(Duration::from_secs(1));
    group.sample_size(50);
    group
}

fn dispatch(c: &mut Criterion) {
    let envelope = envelope();
    let mut group = group(c, "dispatch");
    let add = || black_box(Add(1, 2));
    let sum = || black_box(Sum(1, 2));

    group.bench_function(BenchmarkId::new("direct", 0), |b| {
        b.iter(|| now(|| Adder.handle(add(), black_box(&envelope))));
    });

    let bare = Mediator::new(Adder);
    group.bench_function(BenchmarkId::new("typed", "0"), |b| {
        b.iter(|| now(|| bare.send(add(), black_box(&envelope))));
    });
    group.bench_function(BenchmarkId::new("typed", "query"), |b| {
        b.iter(|| now(|| bare.ask(sum(), black_box(&envelope))));
    });
    let one = bare.with(Pass);
    group.bench_function(BenchmarkId::new("typed", "1"), |b| {
        b.iter(|| now(|| one.send(add(), black_box(&envelope))));
    });
    let five = one.with(Pass).with(Pass).with(Pass).with(Pass);
    group.bench_function(BenchmarkId::new("typed", "5"), |b| {
        b.iter(|| now(|| five.send(add(), black_box(&envelope))));
    });

    let bare = Registry::new().query::<Sum, _>(Adder);
    let one = Registry::new().with(Pass);
    let five = Registry::new().with(Pass).with(Pass).with(Pass);
    let five = five.with(Pass).with(Pass);
    let bare = bare.command::<Add, _>(Adder).build().expect("a handler");
    let one = one.command::<Add, _>(Adder).build().expect("a handler");
    let five = five.command::<Add, _>(Adder).build().expect("a handler");
    for (behaviours, dispatcher) in [(0, &bare), (1, &one), (5, &five)] {
        let id = BenchmarkId::new("registered", behaviours);
        group.bench_function(id, |b| {
            b.iter(|| now(|| dispatcher.send(add(), black_box(&envelope))));
        });
    }
    group.bench_function(BenchmarkId::new("registered", "query"), |b| {
        b.iter(|| now(|| bare.ask(sum(), black_box(&envelope))));
    });

    #[cfg(feature = "peers")]
    peers::dispatch(&mut group);
    group.finish();
}

fn publish(c: &mut Criterion) {
    let commit = RecordedCommit {
        at: LogPosition::new(Partition::new(0), Position::new(1)),
        stream: StreamName::parse("sum-1").expect("a valid name"),
        version: Version::new(1),
        header: CommitHeader::from(&envelope()),
        events: Vec::new(),
        reservations: Reservations::none(),
    };
    let mut group = group(c, "publish");
    for subscribers in [1, 8] {
        let publisher = (0..subscribers).fold(Publisher::new(), |publisher, _| {
            publisher.subscribe("ear", Ear)
        });
        group.bench_function(BenchmarkId::new("ours", subscribers), |b| {
            b.iter(|| now(|| publisher.publish(black_box(&commit))).told);
        });
    }
    #[cfg(feature = "peers")]
    peers::publish(&mut group, &commit);
    group.finish();
}

criterion_group!(benches, dispatch, publish);
criterion_main!(benches);
