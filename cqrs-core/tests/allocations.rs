//! What a dispatch allocates: nothing on the typed face, and on the registered one only a future that is too large to be
//! kept in place. And what a whole command allocates, so that more of it is seen.
//!
//! A binary of its own, because it counts in the global allocator.

// A global allocator cannot be written without it; this one only counts and hands on.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use cqrs_core::{
    Actor, Aggregate, Behaviour, Codec, Command, CommandId, Decide, Decided, DispatchResult,
    Dispatcher, Envelope, Executor, ExecutorOptions, Handler, Mediator, MemoryStore, Message,
    Registry, Timestamp, Version,
};
use uuid::Uuid;

thread_local! {
    static ALLOCATIONS: Cell<u32> = const { Cell::new(0) };
}

struct Counting;

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

struct Add(u64, u64);

impl Message for Add {
    const NAME: &'static str = "Add";
    type Reply = u64;
    type Error = Infallible;
}

impl Command for Add {}

struct Adder;

impl Handler<Add> for Adder {
    async fn handle(&self, Add(a, b): Add, _: &Envelope) -> DispatchResult<Add> {
        Ok(a + b)
    }
}

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

/// How often a future allocates from its making to its end, which it reaches at once.
fn allocations<F: Future<Output = DispatchResult<Add>>>(make: impl FnOnce() -> F) -> u32 {
    let before = ALLOCATIONS.get();
    let polled = pin!(make()).poll(&mut Context::from_waker(Waker::noop()));
    let allocated = ALLOCATIONS.get() - before;
    assert!(matches!(polled, Poll::Ready(Ok(3))));
    allocated
}

fn envelope() -> Envelope {
    let id = CommandId::new(Uuid::nil());
    let actor = Actor::parse("ada").expect("a valid actor");
    Envelope::new(id, actor, Timestamp::from_millis(0))
}

#[test]
fn typed_dispatch_allocates_nothing() {
    let envelope = envelope();
    let bare = Mediator::new(Adder);
    assert_eq!(allocations(|| bare.send(Add(1, 2), &envelope)), 0);
    let one = bare.with(Pass);
    assert_eq!(allocations(|| one.send(Add(1, 2), &envelope)), 0);
    let five = one.with(Pass).with(Pass).with(Pass).with(Pass);
    assert_eq!(allocations(|| five.send(Add(1, 2), &envelope)), 0);
}

#[test]
fn registered_dispatch_allocates_nothing_with_up_to_five_behaviours() {
    let envelope = envelope();
    let bare = Registry::new().command::<Add, _>(Adder).build().unwrap();
    assert_eq!(allocations(|| bare.send(Add(1, 2), &envelope)), 0);
    let one = Registry::new().with(Pass);
    let one = one.command::<Add, _>(Adder).build().unwrap();
    assert_eq!(allocations(|| one.send(Add(1, 2), &envelope)), 0);
    let five = Registry::new().with(Pass).with(Pass).with(Pass);
    let five = five.with(Pass).with(Pass);
    let five = five.command::<Add, _>(Adder).build().unwrap();
    assert_eq!(allocations(|| five.send(Add(1, 2), &envelope)), 0);
}

#[test]
fn registered_dispatch_allocates_once_where_the_future_is_large() {
    let envelope = envelope();
    let large = Registry::new().with(Pass).command::<Add, _>(Large);
    let large = large.build().unwrap();
    assert_eq!(allocations(|| large.send(Add(1, 2), &envelope)), 1);
}

/// A handler whose future has more than there is room for in place.
struct Large;

impl Handler<Add> for Large {
    async fn handle(&self, Add(a, b): Add, _: &Envelope) -> DispatchResult<Add> {
        let mut room = [0; Dispatcher::IN_PLACE];
        std::future::ready(()).await;
        room[0] = a + b;
        std::future::ready(()).await;
        Ok(room.iter().sum())
    }
}

/// In hundredths, growth of the store's own tables among them. Where it falls, let this fall too.
const RECORDED: u32 = 2_400;

#[test]
fn a_command_allocates_as_often_as_is_recorded() {
    const COMMANDS: u32 = 1_000;
    let sums = Executor::<Sum, _>::new(
        MemoryStore::new(1),
        Codec::new(),
        ExecutorOptions::default(),
    );
    let mut total = 0;
    for number in 0..COMMANDS {
        let mut envelope = envelope();
        envelope.command_id = CommandId::new(Uuid::from_u128(u128::from(number)));
        total += allocations(|| sums.handle(Add(1, 2), &envelope));
    }
    let each = total * 100 / COMMANDS;
    assert!(each <= RECORDED, "{each} hundredths, recorded {RECORDED}");
}

#[derive(Default)]
struct Sum;

cqrs_core::events! {
    #[derive(Clone)]
    enum SumEvent {
        Added = "added" v1,
    }
}

#[derive(Clone, serde::Serialize, serde::Deserialize)]
struct Added {
    sum: u64,
}

impl Aggregate for Sum {
    const CATEGORY: &'static str = "sum";
    type Id = u32;
    type Event = SumEvent;

    fn evolve(self, _: &SumEvent) -> Self {
        self
    }
}

impl Decide<Add> for Sum {
    const BEGINS: bool = true;

    fn target(_: &Add, _: &Envelope) -> u32 {
        1
    }

    fn decide(&self, Add(a, b): &Add, _: &Envelope) -> Result<Vec<SumEvent>, Infallible> {
        Ok(vec![Added { sum: a + b }.into()])
    }

    fn reply(_: &Add, decided: &Decided<'_, SumEvent>) -> u64 {
        match decided.events {
            [SumEvent::Added(Added { sum })] => *sum,
            _ => Version::EMPTY.get(),
        }
    }
}
