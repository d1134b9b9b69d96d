//! Claims and answers.

use bytes::Bytes;
use uuid::Uuid;

use crate::coordinator::{CommandClaims, Entered, Entry, Footing, IntentError, Lease, Stored};
use crate::envelope::CommandId;
use crate::time::Clock;

use super::MemoryIntents;
use super::tables::{Row, RowState};

impl<C: Clock> CommandClaims for MemoryIntents<C> {
    fn session(&self) -> u64 {
        self.state().session
    }

    async fn claim(
        &self,
        entry: &Entry,
        lease: Lease,
        footing: &Footing,
    ) -> Result<Entered, IntentError> {
        let (now, until) = (self.now(), self.end(lease));
        let mut state = self.state();
        state.stand(footing)?;
        if let Some(known) = state.tables.known(entry.command, now) {
            return Ok(Entered::Known(known));
        }
        let row = Row {
            request: entry.request,
            time: entry.time,
            attempt: 1,
            owner: lease.owner,
            until,
            state: RowState::Claimed,
        };
        state.tables.rows.insert(entry.command, row);
        Ok(Entered::Granted)
    }

    async fn take_over(
        &self,
        command: CommandId,
        attempt: u32,
        lease: Lease,
        footing: &Footing,
    ) -> Result<bool, IntentError> {
        let (now, until) = (self.now(), self.end(lease));
        let mut state = self.state();
        state.stand(footing)?;
        let row = state.tables.rows.get_mut(&command).filter(|row| {
            row.is_at(attempt)
                && matches!(row.state, RowState::Claimed | RowState::Intent { .. })
                && (row.until <= now || row.owner == lease.owner)
        });
        let Some(row) = row else {
            return Ok(false);
        };
        row.attempt += 1;
        row.owner = lease.owner;
        row.until = until;
        Ok(true)
    }

    async fn renew(&self, held: &[(CommandId, u32)], lease: Lease) -> Result<(), IntentError> {
        let until = self.end(lease);
        let mut state = self.state();
        for (command, attempt) in held {
            if let Some(row) = state.tables.rows.get_mut(command)
                && row.is_at(*attempt)
                && row.owner == lease.owner
                && matches!(row.state, RowState::Claimed | RowState::Intent { .. })
            {
                row.until = until;
            }
        }
        Ok(())
    }

    async fn answer(
        &self,
        entry: &Entry,
        answer: &Bytes,
        footing: &Footing,
    ) -> Result<Stored, IntentError> {
        let now = self.now();
        let mut state = self.state();
        state.stand(footing)?;
        if let Some(known) = state.tables.claimed(entry, now)? {
            return Ok(Stored::Known(known));
        }
        let row = state.tables.rows.entry(entry.command).or_insert(Row {
            request: entry.request,
            time: entry.time,
            attempt: 1,
            owner: Uuid::nil(),
            until: 0,
            state: RowState::Claimed,
        });
        row.state = RowState::Answered(answer.clone());
        Ok(Stored::Stored)
    }

    async fn let_go(&self, command: CommandId, attempt: u32) -> Result<(), IntentError> {
        let now = self.now();
        let mut state = self.state();
        let rows = &mut state.tables.rows;
        let row = rows
            .get_mut(&command)
            .filter(|row| row.is_at(attempt) && matches!(row.state, RowState::Claimed));
        match row {
            Some(_) if attempt == 1 => {
                rows.remove(&command);
            }
            Some(row) => row.until = now,
            None => {}
        }
        Ok(())
    }
}
