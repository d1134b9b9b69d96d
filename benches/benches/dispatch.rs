//! What does the mediator cost over calling the handler, by either face, and what does publishing?
//!
//! `cargo bench -p benches --bench dispatch`
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::convert::Infallible;
use std::hint::black_box;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use cqrs_core::{
    Actor, Behaviour, BoxError, Command, CommandId, CommitHeader, DispatchResult, Envelope,
    Handler, LogPosition, Mediator, Message, Partition, Position, Publisher, RecordedCommit,
    Registry, Reservations, StreamName, Subscriber, Timestamp, Version,
};
use criterion::{Criterion, criterion_group, criterion_main};
use uuid::Uuid;

struct Add(u64, u64);

impl Message for Add {
    const NAME: &'static str = "Add";
    type Reply = u64;
    type Error = Infallible;
}

impl Command for Add {}

#[derive(Clone, Copy)]
struct Adder;

impl Handler<Add> for Adder {
    async fn handle(&self, Add(a, b): Add, _: &Envelope) -> DispatchResult<Add> {
        Ok(a.wrapping_add(b))
    }
}

/// Does nothing, so that what is measured is the layer itself.
#[derive(Clone, Copy)]
struct Pass;

impl<M: Message> Behaviour<M> for Pass {
    async fn around<N: Handler<M>>(
        &self,
        message: M,
        envelope: &Envelope,
        next: &N,
    ) -> DispatchResult<M> {
        next.handle(message, envelope).await
    }
}

struct Ear;

impl Subscriber for Ear {
    async fn hear(&self, commit: &RecordedCommit) -> Result<(), BoxError> {
        black_box(commit.version);
        Ok(())
    }
}

/// Runs a future that never waits, without a runtime's cost on top.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

fn envelope() -> Envelope {
    let id = CommandId::new(Uuid::from_u128(1));
    let actor = Actor::parse("ada").expect("a valid actor");
    Envelope::new(id, actor, Timestamp::from_millis(0))
}

fn dispatch(c: &mut Criterion) {
    let envelope = envelope();
    let mut group = c.benchmark_group("dispatch");
    let add = || black_box(Add(1, 2));

    group.bench_function("direct", |b| {
        b.iter(|| now(Adder.handle(add(), black_box(&envelope))));
    });

    let bare = Mediator::new(Adder);
    group.bench_function("typed/0", |b| {
        b.iter(|| now(bare.send(add(), black_box(&envelope))));
    });
    let one = bare.with(Pass);
    group.bench_function("typed/1", |b| {
        b.iter(|| now(one.send(add(), black_box(&envelope))));
    });
    let five = one.with(Pass).with(Pass).with(Pass).with(Pass);
    group.bench_function("typed/5", |b| {
        b.iter(|| now(five.send(add(), black_box(&envelope))));
    });

    let one = Registry::new().with(Pass);
    let five = Registry::new().with(Pass).with(Pass).with(Pass);
    let five = five.with(Pass).with(Pass);
    let registered = [
        (
            "registered/0",
            Registry::new().command::<Add, _>(Adder).build(),
        ),
        ("registered/1", one.command::<Add, _>(Adder).build()),
        ("registered/5", five.command::<Add, _>(Adder).build()),
    ];
    for (name, built) in registered {
        let dispatcher = built.expect("one handler for one message");
        group.bench_function(name, |b| {
            b.iter(|| now(dispatcher.send(add(), black_box(&envelope))));
        });
    }
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
    let mut group = c.benchmark_group("publish");
    for subscribers in [1, 8] {
        let publisher = (0..subscribers).fold(Publisher::new(), |publisher, _| {
            publisher.subscribe("ear", Ear)
        });
        group.bench_function(subscribers.to_string(), |b| {
            b.iter(|| now(publisher.publish(black_box(&commit))).told);
        });
    }
    group.finish();
}

criterion_group!(benches, dispatch, publish);
criterion_main!(benches);
