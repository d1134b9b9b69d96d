//! How a batch is called, and called again.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{Entry, Footing, Lease};

use super::statements::Statements;
use super::told::Told;
use crate::error::CallError;
use crate::pool::{Call, MssqlPool};

/// How often a call that lost against others is made again.
const RACES: u32 = 32;

/// A ledger's rows in tables of a SQL Server database; an [`IntentStore`](cqrs_core::IntentStore).
///
/// The tables are made when it is first used. Cheap to clone; clones share connections.
///
/// # Cancel safety
///
/// Dropping a call's future leaves its effect unknown; the call itself runs to its end.
#[derive(Clone)]
pub struct MssqlIntents {
    inner: Arc<Inner>,
}

struct Inner {
    pool: MssqlPool,
    statements: Statements,
}

impl MssqlIntents {
    /// The ledger in the schema that the pool's options name.
    #[must_use]
    pub fn new(pool: MssqlPool) -> Self {
        let statements = Statements::of(pool.options().schema());
        Self {
            inner: Arc::new(Inner { pool, statements }),
        }
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &MssqlPool {
        &self.inner.pool
    }

    pub(super) fn statements(&self) -> &Statements {
        &self.inner.statements
    }

    /// Makes `call` until `read` has an answer; it has none where the batch lost a race, or where what it met was gone
    /// when it looked. With a `footing`, only on a connection from before it.
    pub(super) async fn until<R>(
        &self,
        footing: Option<&Footing>,
        call: Call,
        read: impl Fn(i32, &mut Told) -> Result<Option<R>, CallError>,
    ) -> Result<R, CallError> {
        let standing = footing.map(|footing| footing.session);
        for race in 0..RACES {
            let sets = self.inner.pool.call(standing, call.clone()).await?;
            let mut told = Told::new(sets);
            let outcome = told.outcome()?;
            if let Some(done) = read(outcome, &mut told)? {
                return Ok(done);
            }
            tokio::time::sleep(Duration::from_millis(u64::from(race))).await;
        }
        Err(CallError::Raced(RACES))
    }

    /// What `call` selects.
    pub(super) async fn read(&self, call: Call) -> Result<Told, CallError> {
        Ok(Told::new(self.inner.pool.call(None, call).await?))
    }
}

pub(super) fn millis(lease: Lease) -> i64 {
    i64::try_from(lease.span.as_millis()).unwrap_or(i64::MAX / 2)
}

/// Nothing stands for "without a key": an empty one has no type for the server to guess.
pub(super) fn request(entry: &Entry) -> &[u8] {
    let request = entry.request.as_ref();
    request.map_or(&[], |request| request.as_bytes().as_slice())
}

impl fmt::Debug for MssqlIntents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MssqlIntents")
            .field("pool", &self.inner.pool)
            .finish_non_exhaustive()
    }
}
