//! Behaviours and handlers put together, and the pointers that stand for either.

use std::sync::Arc;

use crate::envelope::Envelope;
use crate::handler::{Behaviour, Handler};
use crate::message::{DispatchResult, Message};

/// A handler with a behaviour around it, which is a handler again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Layered<B, H> {
    behaviour: B,
    handler: H,
}

impl<B, H> Layered<B, H> {
    /// Puts `behaviour` around `handler`.
    #[must_use]
    pub const fn new(behaviour: B, handler: H) -> Self {
        Self { behaviour, handler }
    }
}

impl<M: Message, B: Behaviour<M>, H: Handler<M>> Handler<M> for Layered<B, H> {
    fn handle(
        &self,
        message: M,
        envelope: &Envelope,
    ) -> impl Future<Output = DispatchResult<M>> + Send {
        self.behaviour.around(message, envelope, &self.handler)
    }
}

/// Two behaviours, `outer` around `inner`, which are a behaviour again.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stack<O, I> {
    outer: O,
    inner: I,
}

impl<O, I> Stack<O, I> {
    /// Puts `outer` around `inner`.
    #[must_use]
    pub const fn new(outer: O, inner: I) -> Self {
        Self { outer, inner }
    }
}

impl<M: Message, O: Behaviour<M>, I: Behaviour<M>> Behaviour<M> for Stack<O, I> {
    async fn around<N: Handler<M>>(
        &self,
        message: M,
        envelope: &Envelope,
        next: &N,
    ) -> DispatchResult<M> {
        let next = Layered::new(&self.inner, next);
        self.outer.around(message, envelope, &next).await
    }
}

/// Nothing is done around the handler.
impl<M: Message> Behaviour<M> for () {
    fn around<N: Handler<M>>(
        &self,
        message: M,
        envelope: &Envelope,
        next: &N,
    ) -> impl Future<Output = DispatchResult<M>> + Send {
        next.handle(message, envelope)
    }
}

macro_rules! pointers {
    ($($pointer:ty),+) => {
        $(
            impl<M: Message, T: Handler<M>> Handler<M> for $pointer {
                fn handle(
                    &self,
                    message: M,
                    envelope: &Envelope,
                ) -> impl Future<Output = DispatchResult<M>> + Send {
                    (**self).handle(message, envelope)
                }
            }

            impl<M: Message, T: Behaviour<M>> Behaviour<M> for $pointer {
                fn around<N: Handler<M>>(
                    &self,
                    message: M,
                    envelope: &Envelope,
                    next: &N,
                ) -> impl Future<Output = DispatchResult<M>> + Send {
                    (**self).around(message, envelope, next)
                }
            }
        )+
    };
}

pointers!(&T, Arc<T>);
