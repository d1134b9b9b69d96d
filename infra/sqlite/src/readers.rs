//! Reader threads: each job is one read transaction.

use std::panic::{AssertUnwindSafe, catch_unwind};

use rusqlite::Connection;

use crate::error::ReadFailure;
use crate::queue::Queue;

/// A job that answers for itself.
pub(crate) type ReadJob = Box<dyn FnOnce(&Connection) + Send>;

/// Does jobs until the queue is closed and empty.
pub(crate) fn run(queue: &Queue<ReadJob>, connection: Connection) {
    let mut jobs = Vec::with_capacity(1);
    while queue.take(1, usize::MAX, &mut jobs).is_some() {
        for job in jobs.drain(..) {
            if catch_unwind(AssertUnwindSafe(|| job(&connection))).is_err() {
                tracing::error!("a read panicked");
            }
            if !connection.is_autocommit() {
                let _ = connection.execute_batch("ROLLBACK");
            }
        }
    }
}

pub(crate) fn in_transaction<T, E>(
    connection: &Connection,
    read: impl FnOnce(&Connection) -> Result<T, E>,
) -> Result<T, ReadFailure<E>> {
    let store = |error: rusqlite::Error| ReadFailure::Store(error.into());
    let statement = |sql: &str| connection.prepare_cached(sql)?.execute([]);
    statement("BEGIN").map_err(store)?;
    let read = read(connection);
    // Nothing was written: how it ends makes no difference to what was read.
    statement("COMMIT").map_err(store)?;
    read.map_err(ReadFailure::Failed)
}
