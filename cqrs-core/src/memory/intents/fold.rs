//! What the log holds, written into the rows.

use crate::coordinator::{Advance, IntentError, Landed, LedgerFold};
use crate::position::{Partition, Position};
use crate::time::Clock;

use super::MemoryIntents;
use super::tables::RowState;

impl<C: Clock> LedgerFold for MemoryIntents<C> {
    async fn finish(&self, landed: &[Landed]) -> Result<(), IntentError> {
        let mut state = self.state();
        let tables = &mut state.tables;
        for landed in landed {
            let bare = landed.reserve.is_empty() && landed.release.is_empty();
            match tables.rows.get(&landed.command).map(|row| &row.state) {
                Some(RowState::Intent { .. }) => tables.take_effect(landed),
                Some(RowState::Claimed | RowState::Answered(_)) if bare => {}
                _ => continue,
            }
            tables.done(landed);
        }
        Ok(())
    }

    async fn fold(&self, advance: Advance, landed: &[Landed]) -> Result<bool, IntentError> {
        let mut state = self.state();
        let tables = &mut state.tables;
        if tables.checkpoints.get(&advance.partition).copied() != advance.from {
            return Ok(false);
        }
        tables.checkpoints.insert(advance.partition, advance.to);
        for landed in landed {
            let row = tables.rows.get(&landed.command);
            if !row.is_some_and(|row| matches!(row.state, RowState::Done)) {
                tables.take_effect(landed);
                tables.done(landed);
            }
        }
        Ok(true)
    }

    async fn checkpoints(&self) -> Result<Vec<(Partition, Position)>, IntentError> {
        let checkpoints = &self.state().tables.checkpoints;
        Ok(checkpoints.iter().map(|(p, at)| (*p, *at)).collect())
    }
}
