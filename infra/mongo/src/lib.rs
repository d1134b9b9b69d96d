//! Event log, snapshots and relay checkpoints on MongoDB, without transactions.
//!
//! One document a commit, one collection a log partition, `_id` the position: 1, 2, 3 … without a hole. Inserting
//! against a unique index is the only compare-and-set: on `_id` for the position, on (stream, first version) for the
//! stream's order, on the command id for at-most-once. Works on a replica set, a sharded cluster and a standalone
//! server, from MongoDB 4.4 on; what survives the loss of a server is up to the replica set, of course.
//!
//! Writes are majority and journaled, reads are majority reads on the primary, so that nothing that was ever read or
//! acknowledged can be rolled back.
//!
//! The unique index on the command id is one a partition: that one command id is not used for streams of several
//! partitions is held by the ledger, which sees every command, and by new ids, which follow from the command's.

#![cfg_attr(
    not(feature = "driver"),
    allow(dead_code, reason = "what only the store on a server needs")
)]

#[cfg(feature = "driver")]
mod answers;
#[cfg(feature = "driver")]
mod book;
#[cfg(feature = "driver")]
mod checkpoint;
mod committer;
#[cfg(feature = "driver")]
mod driver;
mod engine;
mod error;
mod heads;
#[cfg(feature = "driver")]
mod import;
mod lanes;
#[cfg(feature = "driver")]
mod log;
mod look;
#[cfg(feature = "driver")]
mod marks;
#[cfg(feature = "driver")]
mod open;
#[cfg(feature = "driver")]
mod options;
mod queue;
mod read;
mod record;
#[cfg(feature = "driver")]
mod snapshot;
#[cfg(feature = "driver")]
mod store;
mod tail;
#[cfg(feature = "testing")]
pub mod testing;
#[cfg(feature = "driver")]
mod watch;

pub use error::{OpenError, StoreFailure};
#[cfg(feature = "driver")]
pub use import::MongoImport;
pub use look::Tailing;
#[cfg(feature = "driver")]
pub use options::MongoOptions;
#[cfg(feature = "driver")]
pub use store::MongoStore;
