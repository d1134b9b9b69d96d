//! The edge over real sockets, where the stores behind it stall, are full, or fail.

// Helpers outside of `#[test]` functions are tests too.
#![expect(
    clippy::unwrap_used,
    reason = "the lint spares only functions that are tests themselves"
)]

mod commands;
mod queries;
mod slugs;
mod stage;
