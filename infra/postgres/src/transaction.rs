//! A transaction that owns its connection.

use cqrs_core::BoxError;
use deadpool_postgres::{ClientWrapper, Object, Pool};
use futures_util::FutureExt;
use std::ops::Deref;

use crate::error::is_outdated;

/// A connection in a transaction; rolled back where it is dropped.
///
/// Unlike the driver's own it is begun together with its first statements, in one round trip.
#[derive(Debug)]
pub(crate) struct Transaction {
    client: Object,
    open: bool,
}

impl Transaction {
    /// A connection, on which [`begin`](Self::begin) is to come first.
    pub(crate) async fn on(pool: &Pool) -> Result<Self, BoxError> {
        Ok(Self {
            client: pool.get().await?,
            open: false,
        })
    }

    /// Begins by `sql`; sent when first polled.
    pub(crate) fn begin<'a>(
        &'a mut self,
        sql: &'a str,
    ) -> (
        &'a ClientWrapper,
        impl Future<Output = Result<(), tokio_postgres::Error>> + Send + 'a,
    ) {
        self.open = true;
        let client: &ClientWrapper = &self.client;
        (client, client.batch_execute(sql))
    }

    /// Where `error` says that a cached statement no longer fits its table, has all connections prepare theirs anew.
    pub(crate) fn forget_if_outdated(&self, error: &tokio_postgres::Error) {
        if is_outdated(error)
            && let Some(pool) = Object::pool(&self.client)
        {
            pool.manager().statement_caches.clear();
        }
    }

    /// Commits.
    ///
    /// A bare `COMMIT` of a transaction in which a statement failed rolls back and reports success: the
    /// statement before it fails there.
    pub(crate) async fn commit(mut self) -> Result<(), tokio_postgres::Error> {
        let done = self.client.batch_execute("SELECT 1; COMMIT").await;
        self.open = done.is_err();
        done
    }
}

impl Deref for Transaction {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.client
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if self.open {
            // The first poll sends it, before whatever the connection's next user sends. A failure is
            // that of the connection, which the pool then does not give out again.
            let _ = self.client.batch_execute("ROLLBACK").now_or_never();
        }
    }
}
