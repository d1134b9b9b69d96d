//! The store as its callers see it: the contracts, and what only a file can do.

#![expect(
    clippy::unwrap_used,
    reason = "clippy exempts tests, but not what they share"
)]

mod appends;
mod check;
mod contract;
mod files;
mod kit;
mod ledger;
mod notebook;
mod projections;
mod promises;
mod reference;
