//! The ledger's store on SQL Server, for a log in another store.
//!
//! [`MssqlIntents`] is an [`IntentStore`](cqrs_core::IntentStore): a [`Coordinator`](cqrs_core::Coordinator) makes
//! a ledger of it and a log. It works over an [`MssqlPool`], made from [`MssqlOptions`].
//!
//! Nothing connects before it is used, and whatever is away is an error that says so: a service starts without the
//! server and goes on when it comes. The tables are made, and brought up to date, by whichever connection comes first.
//!
//! The T-SQL is what SQL Server and those that speak its language have in common: insert first and take a duplicate key
//! for an answer, update by comparing, no `MERGE`, no lock hint, nothing above *read committed*.

mod error;
mod ledger;
mod name;
mod options;
mod pool;

pub use error::ConnectError;
pub use ledger::MssqlIntents;
pub use name::{InvalidSchemaName, SchemaName};
pub use options::{MssqlOptions, OptionsError};
pub use pool::{MssqlPool, PoolState};
