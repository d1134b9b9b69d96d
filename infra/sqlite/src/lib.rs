//! Event log, snapshots, ledger and read models in one SQLite file.
//!
//! One writer thread appends in groups: whatever waits when a group begins is
//! written in one transaction and made durable by one `fsync` (WAL,
//! `synchronous=FULL`), then answered. Projections are jobs of the same thread, so
//! that they share it. Reads run on a few reader connections, each in one
//! transaction.
//!
//! One process owns a file at a time, by an advisory lock on `<file>.lock`.

mod append;
mod backup;
mod batch;
mod check;
mod checkpoint;
mod decoded;
mod error;
mod file;
mod heads;
mod ledger;
mod log;
mod model;
mod open;
mod parking;
mod projection;
mod queue;
mod readers;
mod recent;
mod record;
mod snapshot;
mod store;
mod writer;

pub use backup::{BackupError, backup_file};
pub use check::CheckError;
pub use error::{OpenError, ReadFailure, StoreFailure, WriteFailure};
pub use file::SqliteLogFile;
pub use ledger::SqliteClaim;
pub use model::{ApplyFailure, ReadModel, checkpoint_on, is_parked_on};
pub use open::SqliteOptions;
pub use projection::SqliteProjection;
pub use store::SqliteStore;
