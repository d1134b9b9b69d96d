//! The rows, and what happens to them whoever asks.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::coordinator::{Entry, IntentError, Known, KnownState, Landed, OpenIntent};
use crate::envelope::{CommandId, RequestHash};
use crate::ledger::ReservedValue;
use crate::mutants::mutant;
use crate::position::{Partition, Position};
use crate::stream::StreamName;
use crate::time::Timestamp;
use crate::version::Version;

use super::held::{Held, Values};

/// The mutant for which every attempt is the one that holds the row.
const UNCHECKED: &str = "drop the attempt check";

#[derive(Clone, Default)]
pub(super) struct Tables {
    pub(super) rows: BTreeMap<CommandId, Row>,
    /// One open intent a stream.
    pub(super) open: BTreeMap<StreamName, CommandId>,
    pub(super) values: Values,
    /// Values that the fold found with a second stream.
    pub(super) wanted: BTreeMap<(ReservedValue, StreamName), Version>,
    pub(super) checkpoints: BTreeMap<Partition, Position>,
}

#[derive(Clone)]
pub(super) struct Row {
    pub(super) request: Option<RequestHash>,
    pub(super) time: Timestamp,
    pub(super) attempt: u32,
    pub(super) owner: Uuid,
    /// By the store's clock, in milliseconds.
    pub(super) until: i64,
    pub(super) state: RowState,
}

#[derive(Clone)]
pub(super) enum RowState {
    Claimed,
    Intent { stream: StreamName, commit: Bytes },
    Answered(Bytes),
    Done,
}

impl Row {
    /// Whether it is held as `attempt`.
    pub(super) fn is_at(&self, attempt: u32) -> bool {
        self.attempt == attempt || mutant(UNCHECKED)
    }
}

impl Tables {
    pub(super) fn known(&self, command: CommandId, now: i64) -> Option<Known> {
        let row = self.rows.get(&command)?;
        let left = Duration::from_millis(u64::try_from(row.until - now).unwrap_or(0));
        let state = match &row.state {
            RowState::Claimed => KnownState::Claimed {
                owner: row.owner,
                left,
            },
            RowState::Intent { commit, .. } => KnownState::Intent(OpenIntent {
                command,
                attempt: row.attempt,
                owner: row.owner,
                left,
                commit: commit.clone(),
                contested: self.contested(command),
            }),
            RowState::Answered(answer) => KnownState::Answered(answer.clone()),
            RowState::Done => KnownState::Done,
        };
        Some(Known {
            request: row.request,
            time: row.time,
            attempt: row.attempt,
            state,
        })
    }

    pub(super) fn contested(&self, command: CommandId) -> bool {
        self.wanted.keys().any(|(value, _)| {
            let held = self.values.get(value);
            held.is_some_and(|held| held.pending == Some(command))
        })
    }

    pub(super) fn open_intent(&self, stream: &StreamName, now: i64) -> Option<OpenIntent> {
        let command = *self.open.get(stream)?;
        match self.known(command, now)?.state {
            KnownState::Intent(open) => Some(open),
            KnownState::Claimed { .. } | KnownState::Answered(_) | KnownState::Done => None,
        }
    }

    /// Whether the row is `CLAIMED` as `entry` says; else what stands in the way.
    pub(super) fn claimed(&self, entry: &Entry, now: i64) -> Result<Option<Known>, IntentError> {
        match (self.known(entry.command, now), entry.attempt) {
            (None, None) => Ok(None),
            // It was ours, and a row that is held is never deleted by another.
            (None, Some(_)) => Err(IntentError::Lost),
            (Some(known), Some(attempt))
                if (known.attempt == attempt || mutant(UNCHECKED))
                    && matches!(known.state, KnownState::Claimed { .. }) =>
            {
                Ok(None)
            }
            (Some(known), _) => Ok(Some(known)),
        }
    }

    /// The stream of `command` has no open intent any more.
    pub(super) fn close(&mut self, command: CommandId) {
        let row = self.rows.get(&command).map(|row| &row.state);
        if let Some(RowState::Intent { stream, .. }) = row {
            self.open.remove(stream);
        }
    }

    /// Deletes the row of `value` and gives it to a stream that is noted for it.
    pub(super) fn vacate(&mut self, value: &ReservedValue) {
        self.values.remove(value);
        let noted = self.wanted.iter().find(|((noted, _), _)| noted == value);
        if let Some(((_, stream), version)) = noted.map(|(k, v)| (k.clone(), *v)) {
            self.wanted.remove(&(value.clone(), stream.clone()));
            let held = Held {
                stream,
                version,
                pending: None,
            };
            self.values.insert(value.clone(), held);
        }
    }

    pub(super) fn vacate_pending(&mut self, command: CommandId) {
        for value in self.values.pending_of(command) {
            self.vacate(&value);
        }
    }

    pub(super) fn take_effect(&mut self, landed: &Landed) {
        let (stream, before, version) = (&landed.stream, landed.before, landed.version);
        for value in &landed.release {
            let wanted = (value.clone(), stream.clone());
            if self.wanted.get(&wanted).is_some_and(|at| *at <= before) {
                self.wanted.remove(&wanted);
            }
            let held = self.values.get(value);
            if held.is_some_and(|held| held.stream == *stream && held.version <= before) {
                self.vacate(value);
            }
        }
        for value in &landed.reserve {
            let held = self.values.get(value);
            if held.is_some_and(|held| held.stream != *stream) {
                self.wanted.insert((value.clone(), stream.clone()), version);
                continue;
            }
            let held = Held {
                stream: stream.clone(),
                version: held.map_or(version, |held| held.version.max(version)),
                pending: None,
            };
            self.values.insert(value.clone(), held);
        }
    }

    pub(super) fn done(&mut self, landed: &Landed) {
        self.close(landed.command);
        self.vacate_pending(landed.command);
        let row = self.rows.entry(landed.command).or_insert(Row {
            request: landed.request,
            time: landed.time,
            attempt: 1,
            owner: Uuid::nil(),
            until: 0,
            state: RowState::Done,
        });
        row.state = RowState::Done;
    }
}
