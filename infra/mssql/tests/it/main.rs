//! The ledger on a real server; each test has a schema of its own.

#![expect(
    clippy::unwrap_used,
    reason = "clippy exempts tests, but not what they share"
)]

mod kit;
mod ledger;
mod link;
mod losses;
mod pool;
mod rivals;
mod tables;
