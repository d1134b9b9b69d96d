//! [`Replay`] over versions in PostgreSQL: what it asks of them, as statements.
//!
//! The order of steps, and what becomes of each failure, is `cqrs_core`'s. Here is what it stands on:
//!
//! - A change of a version, a promotion and closed gates are one transaction each, that locks what it was decided on.
//! - The lock of a replay is an advisory one, held by a connection of its own.
//! - Whoever stands still, or is lost without a word, while others wait for what it holds, loses its session: the server
//!   ends what is idle for much longer than it may hold.

mod change;
mod index;
mod lock;
mod parallel;
mod promote;
mod verify;
mod versions;

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::Replay;

use crate::error::ModelError;
use crate::model::PgReadModel;
use crate::models::{ModelVersion, PgModels};
use crate::replay::parallel::side_by_side;

pub use change::PgChange;
pub use lock::PgReplayLock;
pub use promote::PgPromotion;
pub use verify::{PgGates, PgSnapshot};
pub use versions::PgVersions;

/// Why a replay of versions in PostgreSQL went no further.
pub type ReplayError = cqrs_core::ReplayError<ModelError>;
/// What a comparison of versions in PostgreSQL came to.
pub type Verified = cqrs_core::Verified<ModelVersion>;

/// A [`Replay`] of a [`PgReadModel`]'s versions, each partition in a task of its own.
pub struct PgReplay<L, M, T>(Replay<PgVersions<M>, L, T>);

impl<L, M: PgReadModel, T> PgReplay<L, M, T> {
    /// Replays `log` into versions of `model`. What ends versions needs no log: `()` will do.
    #[must_use]
    pub fn new(models: PgModels, model: Arc<M>, log: L, timer: T) -> Self {
        let versions = PgVersions::new(models, model);
        Self(Replay::new(versions, log, timer).driven_by(side_by_side))
    }
}

impl<L, M, T> Deref for PgReplay<L, M, T> {
    type Target = Replay<PgVersions<M>, L, T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<L, M, T> fmt::Debug for PgReplay<L, M, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PgReplay").field(&self.0).finish()
    }
}

/// Begins a transaction that the server ends where it is idle for much longer than `hold`: others wait for it.
fn begin_holding(hold: Duration) -> String {
    let idle = hold
        .saturating_mul(2)
        .saturating_add(Duration::from_secs(5));
    let millis = idle.as_millis().min(i32::MAX.unsigned_abs().into());
    format!("BEGIN; SET LOCAL idle_in_transaction_session_timeout TO {millis}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_wait_for_ends_by_itself() {
        let sql = begin_holding(Duration::from_millis(500));
        assert!(sql.ends_with(" TO 6000"), "{sql}");
        let sql = begin_holding(Duration::MAX);
        assert!(sql.ends_with(" TO 2147483647"), "{sql}");
    }
}
