//! The disk under the write-ahead log.
//!
//! SQLite's POSIX locks are on the database file and its `-shm`, never on the `-wal` (it is opened with
//! `UNIXFILE_NOLOCK`): closing a descriptor of it here takes no lock away, as it would on the other two.

use std::fs::{File, OpenOptions};
use std::io;
use std::path::Path;

use crate::open::suffixed;

/// Makes what was written durable.
pub(crate) trait Disk: Send + Sync {
    /// Returns once everything is durable that was in the write-ahead log before the call.
    fn sync(&self) -> io::Result<()>;
}

/// The write-ahead log, by a descriptor of its own.
///
/// The file is the same for as long as any connection has it open: only the last one that is closed removes it.
pub(crate) struct WalFile(File);

impl WalFile {
    /// Opens the write-ahead log of the store at `path`; there is none where nothing was ever written in that mode.
    pub(crate) fn of(path: &Path) -> io::Result<Option<Self>> {
        let path = suffixed(path, "-wal");
        // Not every system syncs a descriptor that is only for reading; whoever may only read has no other.
        let opened = match OpenOptions::new().write(true).open(&path) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => File::open(&path),
            opened => opened,
        };
        match opened {
            Ok(file) => Ok(Some(Self(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Disk for WalFile {
    fn sync(&self) -> io::Result<()> {
        self.0.sync_data()
    }
}

/// Makes durable whatever a reader of the store at `path` can have seen.
///
/// For those who do not hear from the writer when it is: other processes, and backups.
pub(crate) fn sync_seen(path: &Path) -> io::Result<()> {
    match WalFile::of(path)? {
        Some(wal) => wal.sync(),
        // What is not in a write-ahead log has been synced in the database file, before that log was taken away.
        None => Ok(()),
    }
}
