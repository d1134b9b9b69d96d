//! What the log holds, written into the ledger.

use cqrs_core::{Advance, IntentError, Landed, LedgerFold, Partition, Position};

use super::calls::MssqlIntents;
use super::claims::done;
use super::{told, wire};
use crate::error::CallError;
use crate::pool::Call;

/// How many commits one batch finishes: its locks stand in the way of others as long as it runs.
const FINISHED: usize = 64;

impl LedgerFold for MssqlIntents {
    async fn finish(&self, landed: &[Landed]) -> Result<(), IntentError> {
        for landed in landed.chunks(FINISHED) {
            let call = Call::new(self.statements().finish.clone()).with(wire::landed(landed)?);
            self.until(None, call, done).await?;
        }
        Ok(())
    }

    async fn fold(&self, advance: Advance, landed: &[Landed]) -> Result<bool, IntentError> {
        let from = advance.from.map(|from| wire::number(from.get()));
        let call = Call::new(self.statements().fold.clone())
            .with(i32::from(advance.partition.index()))
            .with(from.transpose()?.unwrap_or(-1))
            .with(wire::number(advance.to.get())?)
            .with(wire::landed(landed)?);
        let folded = self.until(None, call, |outcome, _| match outcome {
            0 | 9 => Ok(None),
            1 => Ok(Some(true)),
            2 => Ok(Some(false)),
            _ => Err(CallError::Unknown("outcome")),
        });
        Ok(folded.await?)
    }

    async fn checkpoints(&self) -> Result<Vec<(Partition, Position)>, IntentError> {
        let call = Call::new(self.statements().folded.clone());
        let rows = self.read(call).await?.rows()?;
        Ok(rows
            .iter()
            .map(told::checkpoint)
            .collect::<Result<_, _>>()?)
    }
}
