//! What a dispatch allocates: nothing on the typed face, the handler's future on the registered one.
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
    Actor, Behaviour, Command, CommandId, DispatchResult, Envelope, Handler, Mediator, Message,
    Registry, Timestamp,
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
    let layered = bare.with(Pass).with(Pass).with(Pass);
    assert_eq!(allocations(|| layered.send(Add(1, 2), &envelope)), 0);
}

#[test]
fn registered_dispatch_allocates_once_however_many_behaviours() {
    let envelope = envelope();
    let bare = Registry::new().command::<Add, _>(Adder).build().unwrap();
    assert_eq!(allocations(|| bare.send(Add(1, 2), &envelope)), 1);
    let registry = Registry::new().with(Pass).with(Pass).with(Pass);
    let layered = registry.command::<Add, _>(Adder).build().unwrap();
    assert_eq!(allocations(|| layered.send(Add(1, 2), &envelope)), 1);
}
