//! Claims and answers in memory.

use std::fmt;
use std::sync::{Arc, PoisonError};

use crate::envelope::{CommandId, RequestHash};
use crate::ledger::{Claimed, Ledger, LedgerError, ReservedValue, Settlement};
use crate::stream::StreamName;
use crate::time::Timestamp;

use super::{MemoryStore, Shared};

/// The right to decide a command; dropping it lets the command go.
pub struct MemoryClaim {
    shared: Arc<Shared>,
    command: CommandId,
    request: RequestHash,
}

impl Drop for MemoryClaim {
    fn drop(&mut self) {
        let running = self.shared.running.lock();
        let mut running = running.unwrap_or_else(PoisonError::into_inner);
        running.remove(&self.command);
    }
}

impl fmt::Debug for MemoryClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MemoryClaim").field(&self.command).finish()
    }
}

impl Ledger for MemoryStore {
    type Claim = MemoryClaim;

    async fn claim(
        &self,
        command: CommandId,
        request: RequestHash,
        time: Timestamp,
    ) -> Result<Claimed<MemoryClaim>, LedgerError> {
        let claim = {
            let running = self.shared.running.lock();
            let mut running = running.unwrap_or_else(PoisonError::into_inner);
            if let Some(held) = running.get(&command) {
                return Ok(if *held == request {
                    Claimed::Running
                } else {
                    Claimed::KeyReused
                });
            }
            running.insert(command, request);
            MemoryClaim {
                shared: Arc::clone(&self.shared),
                command,
                request,
            }
        };
        let state = self.state();
        if let Some((asked, answer)) = state.answers.get(&command) {
            return Ok(if *asked == request {
                Claimed::Answered(answer.clone())
            } else {
                Claimed::KeyReused
            });
        }
        let landed = state.commands.get(&command).map(|at| state.commit(*at));
        if landed.is_some_and(|commit| commit.header.request != Some(request)) {
            return Ok(Claimed::KeyReused);
        }
        Ok(Claimed::Granted {
            claim,
            attempt: if landed.is_some() { 2 } else { 1 },
            time,
        })
    }

    async fn settle(&self, claim: MemoryClaim, settlement: Settlement) -> Result<(), LedgerError> {
        if let Settlement::Answered { answer, .. } = settlement {
            let mut state = self.state();
            let answers = &mut state.answers;
            let kept = (claim.request, answer);
            answers.entry(claim.command).or_insert(kept);
        }
        Ok(())
    }

    async fn owner(&self, value: &ReservedValue) -> Result<Option<StreamName>, LedgerError> {
        Ok(self.state().owners.get(value).cloned())
    }
}
