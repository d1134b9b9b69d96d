//! Copies of a store that is in use.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use cqrs_core::BoxError;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use crate::error::{OpenError, ReadFailure};
use crate::open::{connect_reader, inspect, suffixed, sync_folder};
use crate::store::SqliteStore;

/// Why there is no backup. Nothing is left at its place.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// Something is there already.
    #[error("`{}` exists", path.display())]
    Exists {
        /// The place.
        path: PathBuf,
    },
    /// The source is no store of ours.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// Reading or writing failed.
    #[error("could not copy to `{}`", path.display())]
    Store {
        /// The place.
        path: PathBuf,
        /// What the system or SQLite said.
        source: BoxError,
    },
}

impl SqliteStore {
    /// Copies the store, as of one moment, to the new file `to`. Appends go on meanwhile.
    ///
    /// # Errors
    ///
    /// [`BackupError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the copy.
    pub async fn backup(&self, to: &Path) -> Result<(), BackupError> {
        let (from, to) = (self.shared().path.clone(), to.to_owned());
        let place = to.clone();
        // On a reader thread for its blocking, with a connection of its own. It is a store: to look into the file
        // again, and close it, would take away the locks that this process has on it.
        let copied = self.read(move |_| copy_to(&from, &to)).await;
        copied.map_err(|failure| match failure {
            ReadFailure::Failed(error) => error,
            other => BackupError::Store {
                path: place,
                source: other.to_string().into(),
            },
        })
    }
}

/// Copies the store in `from`, as of one moment, to the new file `to`. Blocks.
///
/// Needs no lock: another process may have the store open and append meanwhile. Where this process has it open, use
/// [`SqliteStore::backup`].
///
/// # Errors
///
/// [`BackupError`].
pub fn backup_file(from: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |source: BoxError| BackupError::Store {
        path: to.to_owned(),
        source,
    };
    if !inspect(from)? {
        return Err(failed(
            format!("there is no store in `{}`", from.display()).into(),
        ));
    }
    copy_to(from, to)
}

fn copy_to(from: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |source: BoxError| BackupError::Store {
        path: to.to_owned(),
        source,
    };
    if to.exists() {
        return Err(BackupError::Exists {
            path: to.to_owned(),
        });
    }
    let part = suffixed(to, ".part");
    let copied = copy(from, &part).and_then(|()| {
        File::open(&part)?.sync_all()?;
        // Linking refuses to overwrite, which renaming does not.
        match fs::hard_link(&part, to) {
            Ok(()) => fs::remove_file(&part)?,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Err(error)?,
            Err(_) => fs::rename(&part, to)?,
        }
        Ok(sync_folder(to)?)
    });
    copied.map_err(|source| {
        let _ = fs::remove_file(&part);
        failed(source)
    })
}

fn copy(from: &Path, part: &Path) -> Result<(), BoxError> {
    let _ = fs::remove_file(part);
    let source = connect_reader(from, 2_048)?;
    let mut target = Connection::open(part)?;
    target.execute_batch("PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;")?;
    {
        let backup = Backup::new(&source, &mut target)?;
        // One step is one read transaction: writers go on, and the copy never starts over.
        match backup.step(-1)? {
            StepResult::Done => {}
            other => return Err(format!("the copy stopped: {other:?}").into()),
        }
    }
    target.close().map_err(|(_, error)| error)?;
    Ok(())
}
