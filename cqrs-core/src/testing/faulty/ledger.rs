//! A faulty ledger.

use crate::BoxError;
use crate::envelope::{CommandId, RequestHash};
use crate::ledger::{Claimed, Ledger, LedgerError, ReservedValue, Settlement};
use crate::stream::StreamName;
use crate::time::Timestamp;

use super::{Fault, Faulty, settle, yield_now};

fn no_ledger(source: BoxError) -> LedgerError {
    LedgerError::Store { source }
}

impl<T> Faulty<T> {
    async fn ledger<R>(
        &self,
        call: impl Future<Output = Result<R, LedgerError>> + Send,
    ) -> Result<R, LedgerError> {
        match self.faults.next() {
            Fault::Busy => {
                yield_now().await;
                Err(LedgerError::Overloaded)
            }
            fault => settle(fault, call, no_ledger).await,
        }
    }
}

impl<T: Ledger> Ledger for Faulty<T> {
    type Claim = T::Claim;

    async fn claim(
        &self,
        command: CommandId,
        request: RequestHash,
        time: Timestamp,
    ) -> Result<Claimed<T::Claim>, LedgerError> {
        self.ledger(self.inner.claim(command, request, time)).await
    }

    fn claim_later(
        &self,
        command: CommandId,
        request: RequestHash,
        time: Timestamp,
    ) -> Option<Claimed<T::Claim>> {
        self.inner.claim_later(command, request, time)
    }

    async fn settle(&self, claim: T::Claim, settlement: Settlement) -> Result<(), LedgerError> {
        self.ledger(self.inner.settle(claim, settlement)).await
    }

    async fn owner(&self, value: &ReservedValue) -> Result<Option<StreamName>, LedgerError> {
        self.ledger(self.inner.owner(value)).await
    }
}
