//! The run-time face: dispatch.

use std::any::{Any, TypeId};
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};

use futures_util::future::BoxFuture;

use crate::envelope::Envelope;
use crate::handler::Handler;
use crate::message::{Command, DispatchError, DispatchResult, Message, Query};

/// Sends each message to the handler that was registered for it.
///
/// Made by [`Registry`](crate::Registry). A dispatch costs one lookup by type and one allocation, the handler's future.
/// It is a [`Handler`] of every message itself, so that both faces fit where one does.
pub struct Dispatcher {
    handlers: Handlers,
}

impl Dispatcher {
    pub(super) fn new(handlers: Handlers) -> Self {
        Self { handlers }
    }

    /// Sends `command` to its handler.
    ///
    /// # Errors
    ///
    /// What the handler, or a behaviour, says; [`DispatchError::NoHandler`] where none was registered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves unknown whether the command happened.
    pub fn send<C: Command>(
        &self,
        command: C,
        envelope: &Envelope,
    ) -> impl Future<Output = DispatchResult<C>> + Send {
        Handler::handle(self, command, envelope)
    }

    /// Asks the handler of `query`.
    ///
    /// # Errors
    ///
    /// What the handler, or a behaviour, says; [`DispatchError::NoHandler`] where none was registered.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn ask<Q: Query>(
        &self,
        query: Q,
        envelope: &Envelope,
    ) -> impl Future<Output = DispatchResult<Q>> + Send {
        Handler::handle(self, query, envelope)
    }

    fn find<M: Message>(&self) -> Option<&dyn ErasedHandler<M>> {
        let entry = self.handlers.get(&TypeId::of::<M>())?;
        let handler = entry.handler.downcast_ref::<Erased<M>>()?;
        Some(handler.as_ref())
    }
}

impl<M: Message> Handler<M> for Dispatcher {
    async fn handle(&self, message: M, envelope: &Envelope) -> DispatchResult<M> {
        match self.find::<M>() {
            Some(handler) => handler.handle_boxed(message, envelope).await,
            None => Err(DispatchError::NoHandler { name: M::NAME }),
        }
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: BTreeSet<_> = self.handlers.values().map(|entry| entry.name).collect();
        f.debug_tuple("Dispatcher").field(&names).finish()
    }
}

#[expect(clippy::disallowed_types, reason = "with a hasher that is no hasher")]
pub(super) type Handlers =
    std::collections::HashMap<TypeId, Entry, BuildHasherDefault<IdentityHasher>>;

/// A registered handler; what is in the box is an [`Erased`] of the key's type.
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) handler: Box<dyn Any + Send + Sync>,
}

pub(super) type Erased<M> = Box<dyn ErasedHandler<M>>;

pub(super) fn erase<M: Message, H: Handler<M> + 'static>(handler: H) -> Erased<M> {
    Box::new(handler)
}

/// The twin of [`Handler`] that can be a trait object.
pub(super) trait ErasedHandler<M: Message>: Send + Sync {
    fn handle_boxed<'a>(
        &'a self,
        message: M,
        envelope: &'a Envelope,
    ) -> BoxFuture<'a, DispatchResult<M>>;
}

impl<M: Message, H: Handler<M>> ErasedHandler<M> for H {
    fn handle_boxed<'a>(
        &'a self,
        message: M,
        envelope: &'a Envelope,
    ) -> BoxFuture<'a, DispatchResult<M>> {
        Box::pin(Handler::handle(self, message, envelope))
    }
}

/// Takes a `TypeId`'s own bits, which the compiler has hashed already.
#[derive(Default)]
pub(super) struct IdentityHasher(u64);

impl Hasher for IdentityHasher {
    fn write_u64(&mut self, bits: u64) {
        self.0 = bits;
    }

    /// Not what `TypeId` calls today; correct, if slower, should that change.
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0.rotate_left(5) ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
