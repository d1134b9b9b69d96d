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

mod book;
mod checkpoint;
mod committer;
mod driver;
mod engine;
mod error;
mod heads;
mod import;
mod log;
mod marks;
mod open;
mod options;
mod queue;
mod read;
mod record;
mod snapshot;
mod store;
mod tail;
mod watch;

pub use error::{OpenError, StoreFailure};
pub use import::MongoImport;
pub use options::MongoOptions;
pub use store::MongoStore;
