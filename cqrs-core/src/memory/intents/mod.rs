//! A ledger's store in memory, apart from any log.

mod claims;
mod fold;
mod held;
mod tables;
mod values;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::coordinator::{Footing, IntentError, Lease};
use crate::position::Partition;
use crate::time::Clock;

use tables::{Row, RowState, Tables};

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
        (rows, state.tables.values.pending())
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
