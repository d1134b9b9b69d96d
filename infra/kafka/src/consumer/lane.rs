//! What is held of one partition.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cqrs_core::{BusError, BusRecord};
use tokio::sync::Notify;

use crate::error::bus;

/// The most records that are held; then the partition is paused.
const MAX_RECORDS: usize = 8_192;
/// The most bytes of payload.
const MAX_BYTES: usize = 16 << 20;

#[derive(Debug, Default)]
pub(super) struct Lane {
    state: Mutex<State>,
    more: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// `None` where the partition is not ours.
    term: Option<u64>,
    /// The term in which the cursor was moved.
    placed: Option<u64>,
    records: VecDeque<BusRecord>,
    bytes: usize,
    paused: bool,
    closed: bool,
}

impl State {
    fn clear(&mut self) {
        self.records.clear();
        self.bytes = 0;
    }
}

impl Lane {
    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins a term, or ends it.
    pub(super) fn begin(&self, term: Option<u64>) {
        let mut state = self.state();
        state.clear();
        state.term = term;
        state.placed = None;
        state.paused = false;
        drop(state);
        self.more.notify_waiters();
    }

    /// Gives nothing more, and says so.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.more.notify_waiters();
    }

    pub(super) fn term(&self) -> Option<u64> {
        self.state().term
    }

    /// Drops what is held: the cursor is being moved.
    pub(super) fn lift(&self) {
        let mut state = self.state();
        state.clear();
        state.placed = None;
        state.paused = false;
    }

    /// The cursor is where the reader wants it.
    pub(super) fn place(&self, term: u64) {
        self.state().placed = Some(term);
    }

    /// Adds a record; whether the partition must be paused now.
    pub(super) fn add(&self, record: BusRecord) -> bool {
        let mut state = self.state();
        if state.placed.is_none() {
            return false;
        }
        state.bytes += record.data.payload.len();
        state.records.push_back(record);
        let full = state.records.len() >= MAX_RECORDS || state.bytes >= MAX_BYTES;
        let pause = full && !state.paused;
        state.paused |= pause;
        drop(state);
        self.more.notify_waiters();
        pause
    }

    /// Whether it may be resumed: it is placed and has room.
    pub(super) fn resume(&self) -> bool {
        let mut state = self.state();
        let resume = state.placed.is_some() && state.paused;
        state.paused &= !resume;
        resume
    }

    /// The next records, and whether the partition should be resumed.
    pub(super) async fn take(&self, max: usize) -> Result<(Vec<BusRecord>, bool), BusError> {
        loop {
            // Made before the look, so that what is added in between wakes it.
            let more = self.more.notified();
            {
                let mut state = self.state();
                if state.closed {
                    return Err(super::closed());
                }
                if state.term.is_some() && state.placed != state.term {
                    return Err(bus("the partition was assigned anew"));
                }
                if !state.records.is_empty() {
                    let count = state.records.len().min(max);
                    let taken: Vec<_> = state.records.drain(..count).collect();
                    let bytes: usize = taken.iter().map(|r| r.data.payload.len()).sum();
                    state.bytes -= bytes;
                    let room = state.records.len() < MAX_RECORDS / 2 && state.bytes < MAX_BYTES / 2;
                    return Ok((taken, state.paused && room));
                }
            }
            more.await;
        }
    }
}
