//! The ledger beside a log of another store: [`PgIntents`].
//!
//! Each transition is one call of a function in the ledger's schema: one round trip, one transaction, at *read
//! committed*. What competes is decided by unique keys (insert first) and by updates that compare what they expect.
//! Leases are told by the server's clock.

mod calls;
mod error;
mod schema;
mod told;
mod wire;

pub use calls::PgIntents;
