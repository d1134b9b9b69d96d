//! A handler that adds two numbers and never waits, for what stands around it.

use std::convert::Infallible;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use cqrs_core::{Behaviour, Command, DispatchResult, Envelope, Handler, Message, Query};

/// Adds, as a command.
#[derive(Debug, Clone, Copy)]
pub struct Add(pub u64, pub u64);

/// Adds, as a query.
#[derive(Debug, Clone, Copy)]
pub struct Sum(pub u64, pub u64);

impl Message for Add {
    const NAME: &'static str = "Add";
    type Reply = u64;
    type Error = Infallible;
}

impl Command for Add {}

impl Message for Sum {
    const NAME: &'static str = "Sum";
    type Reply = u64;
    type Error = Infallible;
}

impl Query for Sum {}

/// Handles both.
#[derive(Debug, Clone, Copy)]
pub struct Adder;

impl Handler<Add> for Adder {
    async fn handle(&self, Add(a, b): Add, _: &Envelope) -> DispatchResult<Add> {
        Ok(a.wrapping_add(b))
    }
}

impl Handler<Sum> for Adder {
    async fn handle(&self, Sum(a, b): Sum, _: &Envelope) -> DispatchResult<Sum> {
        Ok(a.wrapping_add(b))
    }
}

/// Does nothing, so that what is seen is the layer itself.
#[derive(Debug, Clone, Copy)]
pub struct Pass;

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

/// Makes a future that never waits, and runs it where it stands, as an `await` does; without a runtime's cost on top.
///
/// # Panics
///
/// Where the future waits.
#[inline]
pub fn now<F: Future>(make: impl FnOnce() -> F) -> F::Output {
    match pin!(make()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("nothing here waits"),
    }
}
