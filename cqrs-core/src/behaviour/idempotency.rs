//! One answer for each command id.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::envelope::{Envelope, LandedMark, TargetMark};
use crate::handler::{Behaviour, Handler};
use crate::ledger::{Claimed, Ledger, LedgerError, ReservedValue, Settlement};
use crate::message::{Command, DispatchError, DispatchResult};
use crate::mutants::mutant;
use crate::version::{Precondition, Version};

/// Answers a command that comes again with its first answer, by way of a [`Ledger`].
///
/// Commands that may come again are claimed: those [keyed](crate::Identity::Keyed) by their client, and those
/// [derived](crate::Identity::Derived) from an event that a reactor may be given twice. Fresh ones pass through.
/// How a claimed command ended decides what is kept of it:
///
/// | end | ledger | a repeat |
/// |---|---|---|
/// | its events landed ([`Envelope::landed`]) | `Landed` | the answer is made again from the log |
/// | a reply without events, a refusal, a version mismatch, a taken value | the answer, durable before it is given | the stored answer, and [`Envelope::replayed`] |
/// | no answer from a store, whether before or after the commit | the claim is dropped, its end being unknown | decides, after a look in the log |
/// | anything else | let go | decides |
///
/// Where the ledger puts claims [off](Ledger::claim_later), a command that it had seen before is decided for nothing, and
/// then claimed.
///
/// The stored answer is JSON of reply or error: a change of their shape that no longer reads what an
/// older version wrote answers those repeats with [`DispatchError::Corrupt`].
///
/// # Cancel safety
///
/// Dropping the future drops the claim; the command may have happened all the same, which a repeat finds.
#[derive(Debug, Clone)]
pub struct Idempotency<G> {
    ledger: G,
}

impl<G> Idempotency<G> {
    /// Keeps claims and answers in `ledger`.
    #[must_use]
    pub const fn new(ledger: G) -> Self {
        Self { ledger }
    }
}

impl<C, G> Behaviour<C> for Idempotency<G>
where
    C: Command + Clone,
    C::Reply: Serialize + DeserializeOwned,
    C::Error: Serialize + DeserializeOwned,
    G: Ledger,
{
    async fn around<N: Handler<C>>(
        &self,
        command: C,
        envelope: &Envelope,
        next: &N,
    ) -> DispatchResult<C> {
        let Some(request) = envelope.identity.request() else {
            return next.handle(command, envelope).await;
        };
        let (id, time) = (envelope.command_id, envelope.time);
        if let Some(claimed) = self.ledger.claim_later(id, request, time) {
            match self.claimed(command.clone(), envelope, next, claimed).await {
                // Its row was there: nothing was written, and the claim was dropped.
                Err(DispatchError::InProgress) => {}
                result => return result,
            }
        }
        let claimed = self.ledger.claim(id, request, time).await;
        let claimed = claimed.map_err(|error| match error {
            LedgerError::Overloaded => DispatchError::Overloaded,
            LedgerError::NotClaimed => DispatchError::InProgress,
            LedgerError::Store { source } => DispatchError::Unavailable { source },
        })?;
        self.claimed(command, envelope, next, claimed).await
    }
}

impl<G: Ledger> Idempotency<G> {
    /// Decides the command, if it was granted, and settles the claim.
    async fn claimed<C, N>(
        &self,
        command: C,
        envelope: &Envelope,
        next: &N,
        claimed: Claimed<G::Claim>,
    ) -> DispatchResult<C>
    where
        C: Command,
        C::Reply: Serialize + DeserializeOwned,
        C::Error: Serialize + DeserializeOwned,
        N: Handler<C>,
    {
        let (claim, attempt, time) = match claimed {
            Claimed::Granted {
                claim,
                attempt,
                time,
            } => (claim, attempt, time),
            Claimed::Answered(stored) => {
                let answer = Answer::decode(&stored)?;
                envelope.replayed.set();
                return answer;
            }
            Claimed::Running => return Err(DispatchError::InProgress),
            Claimed::KeyReused => return Err(DispatchError::KeyReused),
        };

        let attempted = Envelope {
            attempt: attempt.max(envelope.attempt),
            time,
            landed: LandedMark::watched(),
            target: match attempt > 1 {
                true => TargetMark::watched(),
                false => TargetMark::default(),
            },
            ..envelope.clone()
        };
        let result = next.handle(command, &attempted).await;

        if attempted.landed.is_set() {
            envelope.landed.set();
            // The log has it, whatever becomes of the ledger's note.
            self.note::<C>(claim, Settlement::Landed).await;
            return result;
        }
        match Answer::encode(&result) {
            Some(Ok(_)) if mutant("give a refusal that is not stored") => result,
            Some(Ok(answer)) => {
                let stream = attempted.target.get();
                let answered = Settlement::Answered { answer, stream };
                match self.ledger.settle(claim, answered).await {
                    Ok(()) => result,
                    Err(LedgerError::NotClaimed) => Err(DispatchError::InProgress),
                    Err(error) => Err(DispatchError::Unavailable {
                        source: error.into(),
                    }),
                }
            }
            Some(Err(unwritable)) => Err(DispatchError::Corrupt {
                source: unwritable.into(),
            }),
            None => {
                // A store that did not answer may have taken the events: to drop the
                // claim says that much, to let it go would say that nothing landed.
                if !matches!(result, Err(DispatchError::Unavailable { .. })) {
                    self.note::<C>(claim, Settlement::LetGo).await;
                }
                result
            }
        }
    }

    /// Settles a claim whose answer does not depend on it.
    async fn note<C: Command>(&self, claim: G::Claim, settlement: Settlement) {
        if let Err(error) = self.ledger.settle(claim, settlement).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, message = C::NAME, "could not settle a claim");
        }
    }
}

/// An answer as the ledger keeps it. Renaming breaks stored data.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer<R, E> {
    Reply(R),
    Refused(E),
    VersionMismatch {
        expected: Precondition,
        actual: Version,
    },
    Taken {
        value: ReservedValue,
    },
}

impl<R, E> Answer<R, E> {
    /// What is stored of `result`, where it is an answer at all.
    fn encode(result: &Result<R, DispatchError<E>>) -> Option<Result<Bytes, serde_json::Error>>
    where
        R: Serialize,
        E: Serialize,
    {
        let answer: Answer<&R, &E> = match result {
            Ok(reply) => Answer::Reply(reply),
            Err(DispatchError::Refused(error)) => Answer::Refused(error),
            Err(DispatchError::VersionMismatch { expected, actual }) => Answer::VersionMismatch {
                expected: *expected,
                actual: *actual,
            },
            Err(DispatchError::Taken { value }) => Answer::Taken {
                value: value.clone(),
            },
            Err(_) => return None,
        };
        Some(serde_json::to_vec(&answer).map(Bytes::from))
    }

    fn decode(stored: &[u8]) -> Result<Result<R, DispatchError<E>>, DispatchError<E>>
    where
        R: DeserializeOwned,
        E: DeserializeOwned,
    {
        match serde_json::from_slice(stored) {
            Ok(Self::Reply(reply)) => Ok(Ok(reply)),
            Ok(Self::Refused(error)) => Ok(Err(DispatchError::Refused(error))),
            Ok(Self::VersionMismatch { expected, actual }) => {
                Ok(Err(DispatchError::VersionMismatch { expected, actual }))
            }
            Ok(Self::Taken { value }) => Ok(Err(DispatchError::Taken { value })),
            Err(source) => Err(DispatchError::Corrupt {
                source: source.into(),
            }),
        }
    }
}

#[cfg(test)]
#[path = "idempotency_tests.rs"]
mod tests;
