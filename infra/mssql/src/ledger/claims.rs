//! Rows of commands.

use bytes::Bytes;
use cqrs_core::{CommandClaims, CommandId, Entered, Entry, Footing, IntentError, Lease, Stored};

use super::calls::{MssqlIntents, millis, request};
use super::wire;
use crate::error::CallError;
use crate::pool::Call;

/// How many leases one batch renews.
const RENEWED: usize = 100;

impl CommandClaims for MssqlIntents {
    fn session(&self) -> u64 {
        self.pool().opened()
    }

    async fn claim(
        &self,
        entry: &Entry,
        lease: Lease,
        footing: &Footing,
    ) -> Result<Entered, IntentError> {
        let call = Call::new(self.statements().claim.clone())
            .with(entry.command.as_uuid().as_bytes().as_slice())
            .with(request(entry))
            .with(entry.time.as_millis())
            .with(lease.owner.as_bytes().as_slice())
            .with(millis(lease))
            .with(wire::footing(footing)?);
        let entered = self.until(Some(footing), call, |outcome, told| match outcome {
            0 => Ok(told.known()?.map(Entered::Known)),
            1 => Ok(Some(Entered::Granted)),
            2 => Err(CallError::Lost),
            9 => Ok(None),
            _ => Err(CallError::Unknown("outcome")),
        });
        Ok(entered.await?)
    }

    async fn take_over(
        &self,
        command: CommandId,
        attempt: u32,
        lease: Lease,
        footing: &Footing,
    ) -> Result<bool, IntentError> {
        let call = Call::new(self.statements().take_over.clone())
            .with(command.as_uuid().as_bytes().as_slice())
            .with(wire::attempt(attempt)?)
            .with(lease.owner.as_bytes().as_slice())
            .with(millis(lease))
            .with(wire::footing(footing)?);
        let taken = self.until(Some(footing), call, |outcome, _| match outcome {
            0 => Ok(Some(false)),
            1 => Ok(Some(true)),
            2 => Err(CallError::Lost),
            9 => Ok(None),
            _ => Err(CallError::Unknown("outcome")),
        });
        Ok(taken.await?)
    }

    async fn renew(&self, held: &[(CommandId, u32)], lease: Lease) -> Result<(), IntentError> {
        for held in held.chunks(RENEWED) {
            let call = Call::new(self.statements().renew.clone())
                .with(lease.owner.as_bytes().as_slice())
                .with(millis(lease))
                .with(wire::held(held)?);
            self.until(None, call, done).await?;
        }
        Ok(())
    }

    async fn answer(
        &self,
        entry: &Entry,
        answer: &Bytes,
        footing: &Footing,
    ) -> Result<Stored, IntentError> {
        let call = Call::new(self.statements().answer.clone())
            .with(entry.command.as_uuid().as_bytes().as_slice())
            .with(request(entry))
            .with(entry.time.as_millis())
            .with(wire::attempt(entry.attempt.unwrap_or(0))?)
            .with(answer.clone())
            .with(wire::footing(footing)?);
        let stored = self.until(Some(footing), call, |outcome, told| match outcome {
            0 => match told.known()? {
                Some(known) => Ok(Some(Stored::Known(known))),
                // It was ours, and a row that is held is never deleted by another.
                None if entry.attempt.is_some() => Err(CallError::Lost),
                None => Ok(None),
            },
            1 => Ok(Some(Stored::Stored)),
            2 => Err(CallError::Lost),
            9 => Ok(None),
            _ => Err(CallError::Unknown("outcome")),
        });
        Ok(stored.await?)
    }

    async fn let_go(&self, command: CommandId, attempt: u32) -> Result<(), IntentError> {
        let call = Call::new(self.statements().let_go.clone())
            .with(command.as_uuid().as_bytes().as_slice())
            .with(wire::attempt(attempt)?);
        Ok(self.until(None, call, done).await?)
    }
}

/// Reads the outcome of a batch that has but one.
pub(super) fn done(outcome: i32, _told: &mut super::told::Told) -> Result<Option<()>, CallError> {
    match outcome {
        1 => Ok(Some(())),
        // Lost against another, or met a key that another inserted at the same moment.
        0 | 9 => Ok(None),
        _ => Err(CallError::Unknown("outcome")),
    }
}
