//! One suite for every store of the social read model: against a plain recount, and its walks.

#![allow(
    clippy::unwrap_used,
    reason = "the lint spares only functions that are tests themselves"
)]

#[macro_use]
mod suite;
mod harness;
mod history;
mod postgres;
mod recount;
mod sqlite;

/// Drives a test; with whatever of its own the store's driver needs.
fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap()
        .block_on(future)
}
