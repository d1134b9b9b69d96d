//! What does the mediator cost over calling the handler, by either face, and what does publishing?
//!
//! `cargo bench -p benches --bench dispatch [--features peers]`
//!
//! The handler adds two numbers and never waits, so that all there is to see is what stands around it. The parameter is the
//! number of behaviours, which do nothing. Everybody's answer is looked into, as a caller does. With
//! `peers`, the others do the same in the same run (`peers`).
//!
//! After criterion's own runs, which are long and one after the other, many short rounds of all in turn are printed as a table: the
//! shortest of them hold on a machine that is busy with something else.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

#[cfg(feature = "peers")]
mod peers;

use std::hint::black_box;
use std::time::{Duration, Instant};

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
        b.iter(|| now(|| Adder.handle(add(), black_box(&envelope))).expect("a sum"));
    });

    let bare = Mediator::new(Adder);
    group.bench_function(BenchmarkId::new("typed", "0"), |b| {
        b.iter(|| now(|| bare.send(add(), black_box(&envelope))).expect("a sum"));
    });
    group.bench_function(BenchmarkId::new("typed", "query"), |b| {
        b.iter(|| now(|| bare.ask(sum(), black_box(&envelope))).expect("a sum"));
    });
    let one = bare.with(Pass);
    group.bench_function(BenchmarkId::new("typed", "1"), |b| {
        b.iter(|| now(|| one.send(add(), black_box(&envelope))).expect("a sum"));
    });
    let five = one.with(Pass).with(Pass).with(Pass).with(Pass);
    group.bench_function(BenchmarkId::new("typed", "5"), |b| {
        b.iter(|| now(|| five.send(add(), black_box(&envelope))).expect("a sum"));
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
            b.iter(|| now(|| dispatcher.send(add(), black_box(&envelope))).expect("a sum"));
        });
    }
    group.bench_function(BenchmarkId::new("registered", "query"), |b| {
        b.iter(|| now(|| bare.ask(sum(), black_box(&envelope))).expect("a sum"));
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

/// One that is called so many times in a round, and by how many behaviours.
type Contender<'a> = (&'static str, usize, Box<dyn FnMut(u32) + 'a>);

fn calls<'a>(mut call: impl FnMut() -> u64 + 'a) -> Box<dyn FnMut(u32) + 'a> {
    Box::new(move |times| {
        for _ in 0..times {
            black_box(call());
        }
    })
}

/// Of the typed face only what has no behaviours: a second caller of the same five would change what the compiler inlines.
fn in_turn(_: &mut Criterion) {
    const CALLS: u32 = 10_000;
    let once = std::env::args().any(|arg| arg == "--test");
    let rounds = if once { 1 } else { 2_000 };
    let envelope = envelope();
    let add = || black_box(Add(1, 2));
    let bare = Mediator::new(Adder);
    let registered_one = Registry::new().with(Pass);
    let registered_five = Registry::new().with(Pass).with(Pass).with(Pass);
    let registered_five = registered_five.with(Pass).with(Pass);
    let dispatchers = [
        (0, Registry::new().command::<Add, _>(Adder).build()),
        (1, registered_one.command::<Add, _>(Adder).build()),
        (5, registered_five.command::<Add, _>(Adder).build()),
    ];
    let dispatchers = dispatchers.map(|(count, built)| (count, built.expect("a handler")));

    let envelope = &envelope;
    let direct = move || now(|| Adder.handle(add(), black_box(envelope)));
    let mut all: Vec<Contender<'_>> = vec![
        ("direct", 0, calls(move || direct().expect("a sum"))),
        (
            "typed",
            0,
            calls(|| now(|| bare.send(add(), black_box(envelope))).expect("a sum")),
        ),
    ];
    for (behaviours, dispatcher) in &dispatchers {
        let call = move || now(|| dispatcher.send(add(), black_box(envelope))).expect("a sum");
        all.push(("registered", *behaviours, calls(call)));
    }
    #[cfg(feature = "peers")]
    all.extend(peers::in_turn());

    let mut took = vec![Vec::new(); all.len()];
    for _ in 0..rounds {
        for ((_, _, call), took) in all.iter_mut().zip(&mut took) {
            let start = Instant::now();
            call(CALLS);
            took.push(start.elapsed().as_secs_f64() * 1e9 / f64::from(CALLS));
        }
    }
    println!("| {rounds} rounds of {CALLS} calls in turn | behaviours | shortest | median |");
    println!("|---|---|---|---|");
    for ((name, behaviours, _), took) in all.iter().zip(&mut took) {
        took.sort_by(f64::total_cmp);
        let (shortest, median) = (took[0], took[took.len() / 2]);
        println!("| {name} | {behaviours} | {shortest:.2} ns | {median:.2} ns |");
    }
}

criterion_group!(benches, dispatch, publish, in_turn);
criterion_main!(benches);
