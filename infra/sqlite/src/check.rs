//! Whether the store works, asked now and then by whoever tells others.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, params};

use crate::error::{ReadFailure, StoreFailure, WriteFailure};
use crate::store::SqliteStore;

/// More than fits on pages that are there already: a full disk shows.
const PROBE_BYTES: usize = 64 << 10;

/// Why a store does not work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// Too many jobs wait already. Nothing is known to be broken.
    #[error("the store's queues are full")]
    Overloaded,
    /// It cannot be written or read.
    #[error("the store does not work")]
    Store(#[source] StoreFailure),
}

impl SqliteStore {
    /// Asks the writer and a reader to do next to nothing.
    ///
    /// Costs no `fsync` as long as groups land. After one that was rolled back (the disk is full, or broken),
    /// something is really written and taken away again, so that the answer does not wait for the next command.
    /// Waits its turn in the queues: a thread that hangs shows as no answer; give it a deadline.
    ///
    /// # Errors
    ///
    /// [`CheckError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn check(&self) -> Result<(), CheckError> {
        let probe = self.shared().failed.load(Ordering::Acquire);
        let written = self.write(move |connection| match probe {
            true => write_something(connection),
            false => Ok(()),
        });
        written.await.map_err(|failure| match failure {
            WriteFailure::Failed(error) => {
                // Its group went well without it: say that something failed all the same.
                self.shared().failed.store(true, Ordering::Release);
                CheckError::Store(error.into())
            }
            WriteFailure::Overloaded => CheckError::Overloaded,
            WriteFailure::Store(failure) => CheckError::Store(failure),
        })?;
        let read = self.read(|connection| {
            connection
                .prepare_cached("SELECT count(*) FROM meta")?
                .query_row([], |row| row.get::<_, i64>(0))
        });
        match read.await {
            Ok(_) => Ok(()),
            Err(ReadFailure::Failed(error)) => Err(CheckError::Store(error.into())),
            Err(ReadFailure::Overloaded) => Err(CheckError::Overloaded),
            Err(ReadFailure::Store(failure)) => Err(CheckError::Store(failure)),
        }
    }
}

fn write_something(connection: &Connection) -> rusqlite::Result<()> {
    let something = "x".repeat(PROBE_BYTES);
    connection.execute("INSERT INTO meta VALUES ('probe', ?1)", params![something])?;
    connection.execute("DELETE FROM meta WHERE key = 'probe'", [])?;
    Ok(())
}
