//! The run-time face: dispatch.

use std::any::TypeId;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};

use crate::envelope::Envelope;
use crate::handler::Handler;
use crate::mediator::erased::{AnyHandler, Erased, IN_PLACE, Sent};
use crate::message::{Command, DispatchError, DispatchResult, Message, Query};

/// Sends each message to the handler that was registered for it.
///
/// Made by [`Registry`](crate::Registry). A dispatch costs one lookup by type. It allocates nothing where the future of the
/// handler, with that of all behaviours around it, has at most [`Dispatcher::IN_PLACE`] bytes; else once, for that future.
/// It is a [`Handler`] of every message itself, so that both faces fit where one does.
pub struct Dispatcher {
    /// At least half of them are free. An entry stands at its key's place, or after that and before the next free slot.
    slots: Box<[Option<Entry>]>,
}

impl Dispatcher {
    /// How many bytes a future may have and be kept in that of the dispatch.
    pub const IN_PLACE: usize = IN_PLACE;

    pub(super) fn new(entries: impl ExactSizeIterator<Item = Entry>) -> Self {
        let len = (2 * entries.len()).next_power_of_two().max(2);
        let mut slots: Box<[_]> = (0..len).map(|_| None).collect();
        for entry in entries {
            let mut at = place(entry.handler.message());
            while slots[at & (len - 1)].is_some() {
                at = at.wrapping_add(1);
            }
            slots[at & (len - 1)] = Some(entry);
        }
        Self { slots }
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
    pub fn send<'a, C: Command>(
        &'a self,
        command: C,
        envelope: &'a Envelope,
    ) -> impl Future<Output = DispatchResult<C>> + Send + use<'a, C> {
        self.start(command, envelope)
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
    pub fn ask<'a, Q: Query>(
        &'a self,
        query: Q,
        envelope: &'a Envelope,
    ) -> impl Future<Output = DispatchResult<Q>> + Send + use<'a, Q> {
        self.start(query, envelope)
    }

    #[inline]
    fn start<'a, M: Message>(&'a self, message: M, envelope: &'a Envelope) -> Sent<'a, M> {
        Sent::new(self.find::<M>().unwrap_or(&Nobody), message, envelope)
    }

    #[inline]
    fn find<M: Message>(&self) -> Option<&dyn Erased<M>> {
        let last = self.slots.len() - 1;
        let mut at = place(TypeId::of::<M>());
        while let Some(entry) = &self.slots[at & last] {
            if let Some(handler) = entry.handler.get::<M>() {
                return Some(handler);
            }
            at = at.wrapping_add(1);
        }
        None
    }
}

/// Handles what nobody was registered for.
struct Nobody;

impl<M: Message> Handler<M> for Nobody {
    async fn handle(&self, _: M, _: &Envelope) -> DispatchResult<M> {
        Err(DispatchError::NoHandler { name: M::NAME })
    }
}

impl<M: Message> Handler<M> for Dispatcher {
    async fn handle(&self, message: M, envelope: &Envelope) -> DispatchResult<M> {
        self.start(message, envelope).await
    }
}

impl fmt::Debug for Dispatcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let entries = self.slots.iter().flatten();
        let names: BTreeSet<_> = entries.map(|entry| entry.name).collect();
        f.debug_tuple("Dispatcher").field(&names).finish()
    }
}

/// A registered handler.
pub(super) struct Entry {
    name: &'static str,
    handler: AnyHandler,
}

impl Entry {
    pub(super) fn new<M: Message, H: Handler<M> + 'static>(handler: H) -> Self {
        Self {
            name: M::NAME,
            handler: AnyHandler::new::<M, H>(handler),
        }
    }
}

/// Where to look for a message first: its type's own bits, which the compiler has hashed already.
fn place(message: TypeId) -> usize {
    let mut bits = Bits(0);
    message.hash(&mut bits);
    bits.0 as usize
}

struct Bits(u64);

impl Hasher for Bits {
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
