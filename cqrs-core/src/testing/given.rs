//! Given these events, when this command, then that.

use std::fmt::Debug;

use crate::aggregate::{Aggregate, Decide};
use crate::envelope::Envelope;
use crate::message::Command;

/// An aggregate to which `events` happened.
pub fn given<A: Aggregate>(events: impl IntoIterator<Item = A::Event>) -> Given<A> {
    Given {
        state: events
            .into_iter()
            .fold(A::default(), |state, event| state.evolve(&event)),
    }
}

/// See [`given`].
#[derive(Debug)]
pub struct Given<A> {
    state: A,
}

impl<A: Aggregate> Given<A> {
    /// Decides `command` on it.
    pub fn when<C: Command>(self, command: C, envelope: &Envelope) -> When<A::Event, C::Error>
    where
        A: Decide<C>,
    {
        When {
            command: C::NAME,
            decided: self.state.decide(&command, envelope),
        }
    }

    /// The folded state, for what is not a decision.
    pub fn state(&self) -> &A {
        &self.state
    }
}

/// See [`Given::when`].
#[derive(Debug)]
#[must_use = "say what should follow: then, then_nothing or then_error"]
pub struct When<E, R> {
    command: &'static str,
    decided: Result<Vec<E>, R>,
}

impl<E: Debug + PartialEq, R: Debug> When<E, R> {
    /// Exactly these events follow, in this order.
    ///
    /// # Panics
    ///
    /// With what followed and what should have, if they differ.
    #[track_caller]
    pub fn then(self, expected: impl IntoIterator<Item = E>) {
        let expected: Vec<E> = expected.into_iter().collect();
        match self.decided {
            Ok(events) if events == expected => {}
            Ok(events) => panic!(
                "{} decided other events\n  expected: {}\n  decided:  {}",
                self.command,
                list(&expected),
                list(&events),
            ),
            Err(error) => panic!(
                "{} was refused\n  expected: {}\n  refused:  {error:?}",
                self.command,
                list(&expected),
            ),
        }
    }

    /// There is nothing to do.
    ///
    /// # Panics
    ///
    /// With what followed, if anything did.
    #[track_caller]
    pub fn then_nothing(self) {
        self.then([]);
    }

    /// It is refused with this error.
    ///
    /// # Panics
    ///
    /// With what followed instead.
    #[track_caller]
    pub fn then_error(self, expected: R)
    where
        R: PartialEq,
    {
        match self.decided {
            Err(error) if error == expected => {}
            Err(error) => panic!(
                "{} was refused otherwise\n  expected: {expected:?}\n  refused:  {error:?}",
                self.command,
            ),
            Ok(events) => panic!(
                "{} was not refused\n  expected: {expected:?}\n  decided:  {}",
                self.command,
                list(&events),
            ),
        }
    }
}

fn list<E: Debug>(events: &[E]) -> String {
    if events.is_empty() {
        return "nothing".to_owned();
    }
    let each: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
    each.join("\n            ")
}
