//! Handlers and the behaviours around them.

use crate::envelope::Envelope;
use crate::message::{DispatchResult, Message};

/// Answers one kind of message.
#[diagnostic::on_unimplemented(
    message = "no handler for `{M}` in `{Self}`",
    label = "`{M}` has no handler here",
    note = "implement `Handler<{M}>` for it, or list `{M}` in `handlers!`"
)]
pub trait Handler<M: Message>: Send + Sync {
    /// Answers `message`.
    ///
    /// # Errors
    ///
    /// [`DispatchError`](crate::DispatchError): the handler's refusal, or what the message met on its way.
    fn handle(
        &self,
        message: M,
        envelope: &Envelope,
    ) -> impl Future<Output = DispatchResult<M>> + Send;
}

/// Something that is done around handlers: before, after, instead, or again.
///
/// Implement it for every message it fits: `impl<M: Message> Behaviour<M> for Timing`.
/// Composed statically, so that it costs what it does and nothing more.
pub trait Behaviour<M: Message>: Send + Sync {
    /// Answers `message`, most often by way of `next`.
    ///
    /// # Errors
    ///
    /// What `next` gives, or the behaviour's own reason.
    fn around<N: Handler<M>>(
        &self,
        message: M,
        envelope: &Envelope,
        next: &N,
    ) -> impl Future<Output = DispatchResult<M>> + Send;
}
