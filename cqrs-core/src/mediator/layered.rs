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

/// Behaviours that are put around every handler alike: `outer` around all of `inner`.
#[derive(Debug, Clone, Default)]
pub struct Stack<O, I> {
    outer: Arc<O>,
    inner: I,
}

impl<O, I> Stack<O, I> {
    /// Puts `outer` around `inner`.
    #[must_use]
    pub fn new(outer: O, inner: I) -> Self {
        let outer = Arc::new(outer);
        Self { outer, inner }
    }
}

/// Puts behaviours around a handler, which is then one type: the compiler sees through all of them.
pub trait Wrap {
    /// The handler `H` with the behaviours around it.
    type Wrapped<H>;

    /// Puts them around `handler`; they are shared with every other handler.
    fn wrap<H>(&self, handler: H) -> Self::Wrapped<H>;
}

/// Nothing is put around the handler.
impl Wrap for () {
    type Wrapped<H> = H;

    fn wrap<H>(&self, handler: H) -> H {
        handler
    }
}

impl<O, I: Wrap> Wrap for Stack<O, I> {
    type Wrapped<H> = Layered<Arc<O>, I::Wrapped<H>>;

    fn wrap<H>(&self, handler: H) -> Self::Wrapped<H> {
        Layered::new(Arc::clone(&self.outer), self.inner.wrap(handler))
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
