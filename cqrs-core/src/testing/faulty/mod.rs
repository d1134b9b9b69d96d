//! Stores that fail when they are told to.

mod bus;
mod intents;
mod ledger;
mod log;
mod projection;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use crate::BoxError;
use crate::time::Random;

use super::SeededRandom;
use super::fixtures::yield_now;

/// What happens to one call. Whoever meets a failure learns it a turn later, so that others act before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing; it goes through.
    None,
    /// It fails and has no effect, which the caller is not told: the outcome is unknown to it.
    Before,
    /// It fails and has no effect, and the caller is told so ("overloaded"), where the trait has words for that;
    /// else as [`Before`](Self::Before).
    Busy,
    /// It takes effect, but the caller is told that the store failed: the outcome is unknown to it.
    Unknown,
    /// It goes through; the answer comes after so many turns of everybody else.
    Delay(u8),
}

/// Decides the fault of each call, in the order of the calls. Clones share the decision.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Source>);

#[derive(Debug)]
enum Source {
    Script(Mutex<VecDeque<Fault>>),
    Seeded { random: SeededRandom, percent: u64 },
}

impl Faults {
    /// These faults, one a call, then none.
    pub fn script(faults: impl IntoIterator<Item = Fault>) -> Self {
        let script = faults.into_iter().collect();
        Self(Arc::new(Source::Script(Mutex::new(script))))
    }

    /// Of a hundred calls, `percent` meet a fault drawn from `seed`.
    #[must_use]
    pub fn seeded(seed: u64, percent: u64) -> Self {
        let random = SeededRandom::new(seed);
        Self(Arc::new(Source::Seeded { random, percent }))
    }

    fn next(&self) -> Fault {
        match &*self.0 {
            Source::Script(script) => {
                let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
                script.pop_front().unwrap_or(Fault::None)
            }
            Source::Seeded { random, percent } => {
                let drawn = random.next_u64();
                match drawn % 100 < *percent {
                    false => Fault::None,
                    true => match (drawn >> 32) % 4 {
                        0 => Fault::Before,
                        1 => Fault::Busy,
                        2 => Fault::Unknown,
                        _ => Fault::Delay((drawn >> 48) as u8 % 8),
                    },
                }
            }
        }
    }
}

/// A store whose calls meet [`Faults`]. Where a trait promises order, the order is kept.
#[derive(Debug, Clone)]
pub struct Faulty<T> {
    inner: T,
    faults: Faults,
}

impl<T> Faulty<T> {
    /// `inner`, with `faults`.
    pub fn new(inner: T, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// The store itself.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    async fn call<R, E>(
        &self,
        call: impl Future<Output = Result<R, E>> + Send,
        failed: impl Fn(BoxError) -> E + Send,
    ) -> Result<R, E> {
        let fault = self.faults.next();
        settle(fault, call, failed).await
    }
}

async fn settle<R, E>(
    fault: Fault,
    call: impl Future<Output = Result<R, E>> + Send,
    failed: impl Fn(BoxError) -> E + Send,
) -> Result<R, E> {
    match fault {
        Fault::None => call.await,
        Fault::Before | Fault::Busy => {
            yield_now().await;
            Err(failed("injected: it had no effect".into()))
        }
        Fault::Unknown => {
            // Whatever it came to, the caller does not learn it.
            drop(call.await);
            yield_now().await;
            Err(failed("injected: the outcome is unknown".into()))
        }
        Fault::Delay(turns) => {
            let answer = call.await;
            for _ in 0..turns {
                yield_now().await;
            }
            answer
        }
    }
}
