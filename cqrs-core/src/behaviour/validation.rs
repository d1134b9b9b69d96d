//! Refusing what is wrong in itself.

use crate::envelope::Envelope;
use crate::handler::{Behaviour, Handler};
use crate::message::{DispatchError, DispatchResult, Message};

/// A message that can tell by itself whether it makes sense.
///
/// What a type can rule out needs no check; this is for what holds between members.
pub trait Validate {
    /// Checks it.
    ///
    /// # Errors
    ///
    /// [`Invalid`] names the first member that is wrong.
    fn validate(&self) -> Result<(), Invalid>;
}

/// What is wrong with a message. Displays as ``` `field` reason ```.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{field}` {reason}")]
pub struct Invalid {
    /// The member that is wrong.
    pub field: String,
    /// What is wrong with it, such as `must not be empty`.
    pub reason: String,
}

impl Invalid {
    /// `field` is wrong because of `reason`.
    #[must_use]
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            reason: reason.into(),
        }
    }
}

/// Refuses an invalid message with [`DispatchError::Invalid`], before anything else sees it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Validation;

impl<M: Message + Validate> Behaviour<M> for Validation {
    async fn around<N: Handler<M>>(
        &self,
        message: M,
        envelope: &Envelope,
        next: &N,
    ) -> DispatchResult<M> {
        if let Err(Invalid { field, reason }) = message.validate() {
            return Err(DispatchError::Invalid { field, reason });
        }
        next.handle(message, envelope).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::behaviour::fixture::{Fixed, Ring, envelope};
    use crate::mediator::Mediator;

    impl Validate for Ring {
        fn validate(&self) -> Result<(), Invalid> {
            match self.0 {
                0 => Err(Invalid::new("times", "must not be 0")),
                _ => Ok(()),
            }
        }
    }

    #[tokio::test]
    async fn an_invalid_message_does_not_reach_the_handler() {
        let mediator = Mediator::new(Fixed::new([Ok(7)])).with(Validation);
        let refused = mediator.send(Ring(0), &envelope()).await.unwrap_err();
        assert_eq!(refused.to_string(), "`times` must not be 0");
        assert_eq!(mediator.send(Ring(1), &envelope()).await.unwrap(), 7);
    }
}
