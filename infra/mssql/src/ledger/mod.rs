//! The ledger beside a log of another store: [`MssqlIntents`].
//!
//! Each transition is one batch: one round trip, one transaction, at *read committed*. What competes is decided by primary
//! keys (insert first) and by updates that compare what they expect. Leases are told by the server's clock.
//!
//! A batch says itself that it lost against another (a deadlock, a snapshot that is out of date), and is then made
//! again, whole. All keys are bytes of which no two are equal but for zeros at the end.

mod calls;
mod claims;
mod fold;
mod intents;
mod statements;
mod told;
mod wire;

pub use calls::MssqlIntents;
