//! Intents, and the values that they hold.

use std::collections::BTreeSet;

use crate::coordinator::{
    Footing, Holder, Intended, Intent, IntentError, Intents, Lease, OpenIntent,
};
use crate::envelope::CommandId;
use crate::ledger::ReservedValue;
use crate::mutants::mutant;
use crate::time::Clock;

use super::MemoryIntents;
use super::held::Held;
use super::tables::{Row, RowState};

impl<C: Clock> Intents for MemoryIntents<C> {
    async fn intend(
        &self,
        intent: Intent<'_>,
        lease: Lease,
        footing: &Footing,
    ) -> Result<Intended, IntentError> {
        let (now, until) = (self.now(), self.end(lease));
        let mut state = self.state();
        state.stand(footing)?;
        let tables = &mut state.tables;
        if let Some(known) = tables.claimed(intent.entry, now)? {
            return Ok(Intended::Known(known));
        }
        if let Some(open) = tables.open_intent(intent.stream, now) {
            return Ok(Intended::Blocked(open));
        }
        let mut free = BTreeSet::new();
        for value in intent.reserve {
            match tables.values.get(value) {
                None => free.insert(value),
                Some(held) if held.pending.is_some() && mutant("a pending value is free") => true,
                Some(held) if held.stream == *intent.stream => false,
                Some(held) => {
                    return Ok(match tables.open_intent(&held.stream, now) {
                        Some(open) => Intended::Blocked(open),
                        None => Intended::Taken {
                            value: value.clone(),
                            owner: held.stream.clone(),
                        },
                    });
                }
            };
        }
        for value in free {
            let held = Held {
                stream: intent.stream.clone(),
                version: intent.version,
                pending: Some(intent.entry.command),
            };
            tables.values.insert(value.clone(), held);
        }
        let command = intent.entry.command;
        tables.open.insert(intent.stream.clone(), command);
        let attempt = intent.entry.attempt.unwrap_or(1);
        let time = tables.rows.get(&command).map(|row| row.time);
        let row = Row {
            request: intent.entry.request,
            time: time.unwrap_or(intent.entry.time),
            attempt,
            owner: lease.owner,
            until,
            state: RowState::Intent {
                stream: intent.stream.clone(),
                commit: intent.commit.clone(),
            },
        };
        tables.rows.insert(command, row);
        Ok(Intended::Opened { attempt })
    }

    async fn drop_intent(&self, command: CommandId, attempt: u32) -> Result<bool, IntentError> {
        let mut state = self.state();
        let tables = &mut state.tables;
        let Some(row) = tables
            .rows
            .get_mut(&command)
            .filter(|row| row.is_at(attempt) && matches!(row.state, RowState::Intent { .. }))
        else {
            return Ok(false);
        };
        let keyed = row.request.is_some();
        tables.close(command);
        if keyed && let Some(row) = tables.rows.get_mut(&command) {
            row.state = RowState::Claimed;
        } else {
            tables.rows.remove(&command);
        }
        tables.vacate_pending(command);
        Ok(true)
    }

    async fn expired(&self, limit: usize) -> Result<Vec<OpenIntent>, IntentError> {
        let now = self.now();
        let tables = &self.state().tables;
        let open = tables.open.keys();
        let open = open.filter_map(|stream| tables.open_intent(stream, now));
        Ok(open
            .filter(|open| open.left.is_zero())
            .take(limit)
            .collect())
    }

    async fn holder(&self, value: &ReservedValue) -> Result<Option<Holder>, IntentError> {
        let now = self.now();
        let tables = &self.state().tables;
        Ok(tables.values.get(value).map(|held| Holder {
            stream: held.stream.clone(),
            pending: held.pending.is_some(),
            open: tables.open_intent(&held.stream, now),
        }))
    }
}
