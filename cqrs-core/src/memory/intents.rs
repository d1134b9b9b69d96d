//! A ledger's store in memory, apart from any log.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::coordinator::{
    Advance, CommandClaims, Entered, Entry, Footing, Holder, Intended, Intent, IntentError,
    Intents, Known, KnownState, Landed, Lease, LedgerFold, OpenIntent, Stored,
};
use crate::envelope::{CommandId, RequestHash};
use crate::ledger::ReservedValue;
use crate::position::{Partition, Position};
use crate::stream::StreamName;
use crate::time::{Clock, Timestamp};
use crate::version::Version;

/// The reference [`IntentStore`](crate::IntentStore): in memory, with a clock that is passed in.
///
/// Strict: it checks whatever a database would. Cheap to clone; clones are the same store.
pub struct MemoryIntents<C> {
    shared: Arc<Shared<C>>,
}

struct Shared<C> {
    clock: C,
    state: Mutex<State>,
}

/// All that a [`MemoryIntents`] holds at one moment, as a backup would.
#[derive(Clone, Default)]
pub struct IntentsBackup(Tables);

#[derive(Default)]
struct State {
    session: u64,
    tables: Tables,
}

#[derive(Clone, Default)]
struct Tables {
    rows: BTreeMap<CommandId, Row>,
    /// One open intent a stream.
    open: BTreeMap<StreamName, CommandId>,
    values: BTreeMap<ReservedValue, Held>,
    /// Values that the fold found with a second stream.
    wanted: BTreeMap<(ReservedValue, StreamName), Version>,
    checkpoints: BTreeMap<Partition, Position>,
}

#[derive(Clone)]
struct Row {
    request: Option<RequestHash>,
    time: Timestamp,
    attempt: u32,
    owner: Uuid,
    /// By the store's clock, in milliseconds.
    until: i64,
    state: RowState,
}

#[derive(Clone)]
enum RowState {
    Claimed,
    Intent { stream: StreamName, commit: Bytes },
    Answered(Bytes),
    Done,
}

#[derive(Clone)]
struct Held {
    stream: StreamName,
    version: Version,
    /// The command whose intent holds it, until that is finished.
    pending: Option<CommandId>,
}

impl<C: Clock> MemoryIntents<C> {
    /// An empty store that tells leases by `clock`.
    #[must_use]
    pub fn new(clock: C) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                state: Mutex::default(),
            }),
        }
    }

    /// Copies all that it holds.
    #[must_use]
    pub fn backup(&self) -> IntentsBackup {
        IntentsBackup(self.state().tables.clone())
    }

    /// Puts a backup in the place of all that it holds; an empty one wipes it. Connections stay as they are.
    pub fn restore(&self, backup: IntentsBackup) {
        self.state().tables = backup.0;
    }

    /// Opens a new connection, as a pool does when one was lost.
    pub fn reconnect(&self) {
        self.state().session += 1;
    }

    /// How many rows are `CLAIMED` or `INTENT`, and how many values `PENDING`: nothing, once all is recovered.
    #[must_use]
    pub fn unsettled(&self) -> (usize, usize) {
        let state = self.state();
        let open = |row: &&Row| matches!(row.state, RowState::Claimed | RowState::Intent { .. });
        let rows = state.tables.rows.values().filter(open).count();
        let values = state.tables.values.values();
        (rows, values.filter(|held| held.pending.is_some()).count())
    }

    // Nothing panics under this lock half-way through a change.
    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.state.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> i64 {
        self.shared.clock.now().as_millis()
    }

    fn end(&self, lease: Lease) -> i64 {
        let span = i64::try_from(lease.span.as_millis()).unwrap_or(i64::MAX);
        self.now().saturating_add(span)
    }
}

impl State {
    fn stand(&self, footing: &Footing) -> Result<(), IntentError> {
        let behind = Partition::all(u16::try_from(footing.folded.len()).unwrap_or(u16::MAX))
            .zip(footing.folded.iter())
            .any(|(partition, folded)| self.tables.checkpoints.get(&partition) < Some(folded));
        if behind || footing.session < self.session {
            return Err(IntentError::Lost);
        }
        Ok(())
    }
}

impl Tables {
    fn known(&self, command: CommandId, now: i64) -> Option<Known> {
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

    fn contested(&self, command: CommandId) -> bool {
        self.wanted.keys().any(|(value, _)| {
            let held = self.values.get(value);
            held.is_some_and(|held| held.pending == Some(command))
        })
    }

    fn open_intent(&self, stream: &StreamName, now: i64) -> Option<OpenIntent> {
        let command = *self.open.get(stream)?;
        match self.known(command, now)?.state {
            KnownState::Intent(open) => Some(open),
            KnownState::Claimed { .. } | KnownState::Answered(_) | KnownState::Done => None,
        }
    }

    /// Whether the row is `CLAIMED` as `entry` says; else what stands in the way.
    fn claimed(&self, entry: &Entry, now: i64) -> Result<Option<Known>, IntentError> {
        match (self.known(entry.command, now), entry.attempt) {
            (None, None) => Ok(None),
            // It was ours, and a row that is held is never deleted by another.
            (None, Some(_)) => Err(IntentError::Lost),
            (Some(known), Some(attempt))
                if known.attempt == attempt
                    && matches!(known.state, KnownState::Claimed { .. }) =>
            {
                Ok(None)
            }
            (Some(known), _) => Ok(Some(known)),
        }
    }

    /// The stream of `command` has no open intent any more.
    fn close(&mut self, command: CommandId) {
        let row = self.rows.get(&command).map(|row| &row.state);
        if let Some(RowState::Intent { stream, .. }) = row {
            self.open.remove(stream);
        }
    }

    /// Deletes the row of `value` and gives it to a stream that is noted for it.
    fn vacate(&mut self, value: &ReservedValue) {
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

    fn vacate_pending(&mut self, command: CommandId) {
        let pending = self.values.iter();
        let pending = pending.filter(|(_, held)| held.pending == Some(command));
        for value in pending.map(|(value, _)| value.clone()).collect::<Vec<_>>() {
            self.vacate(&value);
        }
    }

    fn take_effect(&mut self, landed: &Landed) {
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
            match self.values.get_mut(value) {
                Some(held) if held.stream != *stream => {
                    self.wanted.insert((value.clone(), stream.clone()), version);
                }
                Some(held) => {
                    held.version = held.version.max(version);
                    held.pending = None;
                }
                None => {
                    let held = Held {
                        stream: stream.clone(),
                        version,
                        pending: None,
                    };
                    self.values.insert(value.clone(), held);
                }
            }
        }
    }

    fn done(&mut self, landed: &Landed) {
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
            row.attempt == attempt
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
                && row.attempt == *attempt
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
            .filter(|row| row.attempt == attempt && matches!(row.state, RowState::Claimed));
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
            .filter(|row| row.attempt == attempt && matches!(row.state, RowState::Intent { .. }))
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

impl<C> Clone for MemoryIntents<C> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<C> fmt::Debug for MemoryIntents<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryIntents").finish_non_exhaustive()
    }
}

impl fmt::Debug for IntentsBackup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IntentsBackup")
            .field("rows", &self.0.rows.len())
            .finish_non_exhaustive()
    }
}
