//! The store on a real server, as its callers see it.

#![expect(
    clippy::unwrap_used,
    reason = "clippy exempts tests, but not what they share"
)]

mod contract;
mod kit;
mod opening;
mod processes;
mod promises;
mod proxy;
mod sharing;
mod two_stores;
