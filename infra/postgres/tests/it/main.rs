//! Read models on a real server; each test has schemas of its own.

#![expect(
    clippy::unwrap_used,
    reason = "clippy exempts tests, but not what they share"
)]

mod faults;
mod kit;
mod ledger;
mod notebook;
mod projections;
mod reads;
mod replays;
mod tls;
