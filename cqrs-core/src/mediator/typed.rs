//! The typed face.

use crate::envelope::Envelope;
use crate::handler::Handler;
use crate::mediator::Layered;
use crate::message::{Command, DispatchResult, Query};

/// Sends each message to its handler, which the compiler has looked up.
///
/// Dispatch costs nothing over calling the handler: no lookup, no allocation,
/// no indirection. A message without a handler does not compile:
///
/// ```compile_fail,E0277
/// use cqrs_core::{Actor, Command, CommandId, Envelope, Mediator, Message, Timestamp};
///
/// struct Ring;
/// impl Message for Ring {
///     const NAME: &'static str = "Ring";
///     type Reply = ();
///     type Error = std::convert::Infallible;
/// }
/// impl Command for Ring {}
///
/// struct Silence;
///
/// fn main() -> Result<(), Box<dyn std::error::Error>> {
///     let actor = Actor::parse("ada")?;
///     let envelope = Envelope::new(CommandId::new(Default::default()), actor, Timestamp::default());
///     let _ = Mediator::new(Silence).send(Ring, &envelope);
///     Ok(())
/// }
/// ```
///
/// A behaviour must fit every message that goes through it. One that fits
/// commands only (idempotency) belongs to a mediator of the commands; put the handlers into
/// an [`Arc`](std::sync::Arc) and share them with a mediator of the queries.
///
/// # Example
///
/// ```
/// use cqrs_core::{
///     Actor, Command, CommandId, DispatchResult, Envelope, Handler, Mediator, Message, Timestamp, Tracing,
/// };
///
/// struct Add(u32, u32);
/// impl Message for Add {
///     const NAME: &'static str = "Add";
///     type Reply = u32;
///     type Error = std::convert::Infallible;
/// }
/// impl Command for Add {}
///
/// struct Adder;
/// impl Handler<Add> for Adder {
///     async fn handle(&self, Add(a, b): Add, _: &Envelope) -> DispatchResult<Add> {
///         Ok(a + b)
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let actor = Actor::parse("ada")?;
/// let envelope = Envelope::new(CommandId::new(Default::default()), actor, Timestamp::default());
/// let mediator = Mediator::new(Adder).with(Tracing);
/// assert_eq!(mediator.send(Add(1, 2), &envelope).await?, 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct Mediator<H> {
    handlers: H,
}

impl<H> Mediator<H> {
    /// Sends to `handlers`, which handles every message that will be sent; see [`handlers!`](crate::handlers).
    #[must_use]
    pub const fn new(handlers: H) -> Self {
        Self { handlers }
    }

    /// The same with `behaviour` around everything so far: the last one added is the outermost.
    #[must_use]
    pub fn with<B>(self, behaviour: B) -> Mediator<Layered<B, H>> {
        Mediator::new(Layered::new(behaviour, self.handlers))
    }

    /// Sends `command` to its handler.
    ///
    /// # Errors
    ///
    /// What the handler, or a behaviour, says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves unknown whether the command happened.
    pub fn send<C: Command>(
        &self,
        command: C,
        envelope: &Envelope,
    ) -> impl Future<Output = DispatchResult<C>> + Send
    where
        H: Handler<C>,
    {
        self.handlers.handle(command, envelope)
    }

    /// Asks the handler of `query`.
    ///
    /// # Errors
    ///
    /// What the handler, or a behaviour, says.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn ask<Q: Query>(
        &self,
        query: Q,
        envelope: &Envelope,
    ) -> impl Future<Output = DispatchResult<Q>> + Send
    where
        H: Handler<Q>,
    {
        self.handlers.handle(query, envelope)
    }
}
