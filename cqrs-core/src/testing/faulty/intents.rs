//! A faulty store of a ledger that is beside the log's.

use bytes::Bytes;

use crate::BoxError;
use crate::coordinator::{
    Advance, CommandClaims, Entered, Entry, Footing, Holder, Intended, Intent, IntentError,
    Intents, Landed, Lease, LedgerFold, OpenIntent, Stored,
};
use crate::envelope::CommandId;
use crate::ledger::ReservedValue;
use crate::position::{Partition, Position};

use super::{Fault, Faulty, settle, yield_now};

fn no_store(source: BoxError) -> IntentError {
    IntentError::Store { source }
}

impl<T> Faulty<T> {
    async fn intents<R>(
        &self,
        call: impl Future<Output = Result<R, IntentError>> + Send,
    ) -> Result<R, IntentError> {
        match self.faults.next() {
            Fault::Busy => {
                yield_now().await;
                Err(IntentError::Overloaded)
            }
            fault => settle(fault, call, no_store).await,
        }
    }
}

impl<T: CommandClaims> CommandClaims for Faulty<T> {
    fn session(&self) -> u64 {
        self.inner.session()
    }

    async fn claim(
        &self,
        entry: &Entry,
        lease: Lease,
        footing: &Footing,
    ) -> Result<Entered, IntentError> {
        self.intents(self.inner.claim(entry, lease, footing)).await
    }

    async fn take_over(
        &self,
        command: CommandId,
        attempt: u32,
        lease: Lease,
        footing: &Footing,
    ) -> Result<bool, IntentError> {
        let taken = self.inner.take_over(command, attempt, lease, footing);
        self.intents(taken).await
    }

    async fn renew(&self, held: &[(CommandId, u32)], lease: Lease) -> Result<(), IntentError> {
        self.intents(self.inner.renew(held, lease)).await
    }

    async fn answer(
        &self,
        entry: &Entry,
        answer: &Bytes,
        footing: &Footing,
    ) -> Result<Stored, IntentError> {
        self.intents(self.inner.answer(entry, answer, footing))
            .await
    }

    async fn let_go(&self, command: CommandId, attempt: u32) -> Result<(), IntentError> {
        self.intents(self.inner.let_go(command, attempt)).await
    }
}

impl<T: Intents> Intents for Faulty<T> {
    async fn intend(
        &self,
        intent: Intent<'_>,
        lease: Lease,
        footing: &Footing,
    ) -> Result<Intended, IntentError> {
        self.intents(self.inner.intend(intent, lease, footing))
            .await
    }

    async fn drop_intent(&self, command: CommandId, attempt: u32) -> Result<bool, IntentError> {
        self.intents(self.inner.drop_intent(command, attempt)).await
    }

    async fn expired(&self, limit: usize) -> Result<Vec<OpenIntent>, IntentError> {
        self.intents(self.inner.expired(limit)).await
    }

    async fn holder(&self, value: &ReservedValue) -> Result<Option<Holder>, IntentError> {
        self.intents(self.inner.holder(value)).await
    }
}

impl<T: LedgerFold> LedgerFold for Faulty<T> {
    async fn finish(&self, landed: &[Landed]) -> Result<(), IntentError> {
        self.intents(self.inner.finish(landed)).await
    }

    async fn fold(&self, advance: Advance, landed: &[Landed]) -> Result<bool, IntentError> {
        self.intents(self.inner.fold(advance, landed)).await
    }

    async fn checkpoints(&self) -> Result<Vec<(Partition, Position)>, IntentError> {
        self.intents(self.inner.checkpoints()).await
    }
}
