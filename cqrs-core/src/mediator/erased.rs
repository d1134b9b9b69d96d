//! Handlers whose types are forgotten, and the future that sends a message to one.
//!
//! What dispatch gives its caller has one type for all handlers of a message, so the handler's own future is kept in room
//! of a fixed size beside the message. It is *made* there by the first poll, in the one function that knows its type
//! ([`Erased::drive`]): the compiler sees making and first step together. Made by one call and first polled by the next, it
//! was written word by word, and read again by wider moves before the words had left the processor's store
//! buffer, which was a third of a dispatch.
//!
//! # Invariants
//!
//! 1. A room's `envelope` is `Some` exactly until the first poll, and the `message` of a [`Sent`] is there exactly as long.
//! 2. `end` is `Some` exactly while the room holds a live future. That was made by `handler`'s own `drive`, which is the only
//!    one that polls it, and is of the type that `end` was made for.
//! 3. Whoever takes a future out of the books drops it, once: `end` is `None` before the drop begins. A poll that
//!    panics leaves it in the books, for the drop of the whole.
//! 4. A future is never moved once it is in the room: the whole is pinned by then, is not `Unpin`, and the room is only
//!    reached by raw pointers, so that a reference from the future into itself stays valid.
//! 5. A handler's future is `Send` and borrows for `'a` at least, so that the whole is `Send` and may be kept for `'a`. It gives nothing
//!    of the future to whoever only shares it.
//! 6. An [`AnyHandler`] holds a handler of the message whose id stands beside it.
//!
//! This is the workspace's one module with `unsafe` in it; `docs/adr/0008` says why, and what checks it.
#![allow(unsafe_code, reason = "see above")]

use std::any::{Any, TypeId};
use std::marker::PhantomPinned;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::envelope::Envelope;
use crate::handler::Handler;
use crate::message::{DispatchResult, Message};

/// How many bytes a future may have and be kept in place; a larger one is boxed.
pub(super) const IN_PLACE: usize = 320;

/// Up to how many bytes a future's poll is compiled twice, for the first one and for later ones.
///
/// The first one then knows what it finds. But the compiler takes a callee of any size apart only where there is one
/// call of it; of a larger one, called twice, it would make a function that knows nothing.
const SMALL: usize = 96;

/// As much alignment as futures have that hold no vectors of the processor's; others are boxed.
#[repr(align(16))]
struct Bytes {
    _bytes: [MaybeUninit<u8>; IN_PLACE],
}

/// A handler of a message that is known by its id.
pub(super) struct AnyHandler {
    message: TypeId,
    /// A `Box<dyn Erased<M>>` of that message.
    handler: Box<dyn Any + Send + Sync>,
}

impl AnyHandler {
    pub(super) fn new<M: Message, H: Handler<M> + 'static>(handler: H) -> Self {
        let handler: Box<dyn Erased<M>> = Box::new(handler);
        Self {
            message: TypeId::of::<M>(),
            handler: Box::new(handler),
        }
    }

    pub(super) fn message(&self) -> TypeId {
        self.message
    }

    /// The handler, where it is one of `M`. What `downcast_ref` does, without asking the box for its type.
    #[inline]
    pub(super) fn get<M: Message>(&self) -> Option<&dyn Erased<M>> {
        if self.message != TypeId::of::<M>() {
            return None;
        }
        let handler = (&raw const *self.handler).cast::<Box<dyn Erased<M>>>();
        // SAFETY: that is what was put there (invariant 6).
        Some(unsafe { &**handler })
    }
}

/// The twin of [`Handler`] that can be a trait object.
///
/// # Safety
///
/// `drive` takes the room's envelope, and with it the message, before it does anything that may panic; keeps invariants 2 to 5;
/// and leaves no future in the room when it answers `Ready`. That below is the only implementation.
pub(super) unsafe trait Erased<M: Message>: Send + Sync {
    /// Makes the future where `room` has an envelope, which is taken; polls it; drops it at its end.
    ///
    /// # Safety
    ///
    /// `room` is pinned. Where it has an envelope `message` is there, and is taken. Where not, it holds a
    /// live future that this very handler put there.
    unsafe fn drive<'a>(
        &'a self,
        message: MaybeUninit<M>,
        room: &mut Room<'a>,
        context: &mut Context<'_>,
    ) -> Poll<DispatchResult<M>>;
}

// SAFETY: it does nothing but what the function `drive` does, which is written so.
unsafe impl<M: Message, H: Handler<M>> Erased<M> for H {
    unsafe fn drive<'a>(
        &'a self,
        message: MaybeUninit<M>,
        room: &mut Room<'a>,
        context: &mut Context<'_>,
    ) -> Poll<DispatchResult<M>> {
        let make = |envelope| {
            // SAFETY: it is called where there was an envelope, and so a message.
            let message = unsafe { message.assume_init() };
            Handler::handle(self, message, envelope)
        };
        // SAFETY: the caller's. A future in the room is of this type, as it is `H`'s.
        unsafe { drive(make, room, context) }
    }
}

/// # Safety
///
/// `room` is pinned. Where it has no envelope, it holds a live future that was put there by this function, with the same `F`.
#[inline(always)]
unsafe fn drive<'a, F: Future + Send + 'a>(
    make: impl FnOnce(&'a Envelope) -> F,
    room: &mut Room<'a>,
    context: &mut Context<'_>,
) -> Poll<F::Output> {
    // SAFETY: the caller's; what fits follows from `F`.
    unsafe {
        if const { fits::<F>() } {
            drive_in_place(make, room, context)
        } else {
            drive_in_place(|envelope| Box::pin(make(envelope)), room, context)
        }
    }
}

/// # Safety
///
/// That of [`drive`].
#[inline(always)]
unsafe fn drive_in_place<'a, F: Future + Send + 'a>(
    make: impl FnOnce(&'a Envelope) -> F,
    room: &mut Room<'a>,
    context: &mut Context<'_>,
) -> Poll<F::Output> {
    assert!(const { fits::<F>() }, "it is boxed else");
    let place: *mut F = room.place().cast();
    // Nothing is to be dropped where it is not called: what it holds is there with an envelope only.
    let make = ManuallyDrop::new(make);
    let put = |room: &mut Room<'a>, envelope| {
        // SAFETY: `make` is read once. The place is large and aligned enough for an `F`, and holds nothing that is live.
        // Should `make` panic, then nothing was written.
        unsafe { place.write((&raw const *make).read()(envelope)) };
        room.end = Some(|place| {
            // SAFETY: whoever calls it has a live `F` there, and gives it up.
            unsafe { place.cast::<F>().drop_in_place() }
        });
    };
    // SAFETY: where it is called there is a live `F`, pinned as the room is, and nobody else looks at it meanwhile.
    let poll = |context: &mut Context<'_>| unsafe { Pin::new_unchecked(&mut *place) }.poll(context);
    let polled = if const { size_of::<F>() <= SMALL } {
        match room.envelope.take() {
            Some(envelope) => {
                put(room, envelope);
                poll(context)
            }
            None => poll(context),
        }
    } else {
        if let Some(envelope) = room.envelope.take() {
            put(room, envelope);
        }
        poll(context)
    };
    if polled.is_ready() {
        room.end = None;
        // SAFETY: it was live, and as of the line above nobody else drops it.
        unsafe { place.drop_in_place() };
    }
    polled
}

const fn fits<F>() -> bool {
    size_of::<F>() <= size_of::<Bytes>() && align_of::<F>() <= align_of::<Bytes>()
}

/// Room for one future of whatever type, and what comes with its message.
pub(super) struct Room<'a> {
    // Here, and not beside it, also because a room of which all is known is a constant to the compiler, which it copies whole.
    envelope: Option<&'a Envelope>,
    /// Drops what is there.
    end: Option<unsafe fn(*mut ())>,
    bytes: MaybeUninit<Bytes>,
    _pinned: PhantomPinned,
}

impl Room<'_> {
    /// Where the future is. Without a reference to the bytes, which would end whatever points into them.
    #[inline]
    fn place(&mut self) -> *mut () {
        (&raw mut self.bytes).cast()
    }
}

impl Drop for Room<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            // SAFETY: it is live and of that type (invariant 2), and as of the line above nobody else drops it.
            unsafe { end(self.place()) }
        }
    }
}

/// A message on its way to its handler, who is called by the first poll.
pub(super) struct Sent<'a, M: Message> {
    handler: &'a dyn Erased<M>,
    message: MaybeUninit<M>,
    room: Room<'a>,
}

impl<'a, M: Message> Sent<'a, M> {
    #[inline]
    pub(super) fn new(handler: &'a dyn Erased<M>, message: M, envelope: &'a Envelope) -> Self {
        Self {
            handler,
            message: MaybeUninit::new(message),
            room: Room {
                envelope: Some(envelope),
                end: None,
                bytes: MaybeUninit::uninit(),
                _pinned: PhantomPinned,
            },
        }
    }
}

impl<M: Message> Future for Sent<'_, M> {
    type Output = DispatchResult<M>;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<DispatchResult<M>> {
        // SAFETY: only the room is pinned, and it is not moved. The message is moved, which is no breach: nothing
        // ever gives a pinned pointer to it.
        let this = unsafe { self.get_unchecked_mut() };
        let message = if this.room.envelope.is_some() {
            // A copy, of which one is used: the other one is not looked at again, for `drive` takes the envelope.
            // SAFETY: a `MaybeUninit` may be copied.
            unsafe { (&raw const this.message).read() }
        } else {
            assert!(this.room.end.is_some(), "polled after its end");
            MaybeUninit::uninit()
        };
        // SAFETY: the room is pinned as the whole is. With an envelope the message is there (invariant 1); without, there is a
        // future of this handler (invariant 2).
        let polled = unsafe { this.handler.drive(message, &mut this.room, context) };
        if polled.is_ready() {
            // So the compiler knows it too, and does not look once more when this is dropped.
            assert!(this.room.end.is_none(), "it has ended and is live");
        }
        polled
    }
}

impl<M: Message> Drop for Sent<'_, M> {
    #[inline]
    fn drop(&mut self) {
        if std::mem::needs_drop::<M>() && self.room.envelope.is_some() {
            // SAFETY: it is there (invariant 1).
            unsafe { self.message.assume_init_drop() }
        }
    }
}

#[cfg(test)]
#[path = "erased_tests.rs"]
mod tests;
