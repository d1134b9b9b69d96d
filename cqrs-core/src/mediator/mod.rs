//! The mediator: one handler for each message, with behaviours around it, by two faces.
//!
//! [`Mediator`] is the typed face: what a message meets is known to the
//! compiler, which inlines it. [`Registry`] and [`Dispatcher`] are the run-time
//! face, for handlers that are wired together while the program starts.
//! [`Publisher`] tells subscribers in this process what was committed.

mod dispatcher;
mod erased;
mod handlers;
mod layered;
mod publish;
mod registry;
#[cfg(test)]
mod tests;
mod typed;

pub use dispatcher::Dispatcher;
pub use layered::{Layered, Stack, Wrap};
pub use publish::{Published, Publisher, Subscriber, SubscriberFailure, Unheard};
pub use registry::{RegistrationErrors, Registry};
pub use typed::Mediator;
