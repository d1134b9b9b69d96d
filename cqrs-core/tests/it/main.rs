//! What the library promises, seen from outside.

#![allow(
    clippy::unwrap_used,
    reason = "a test helper outside of a test function; a panic is the failure"
)]

mod bans;
mod bus;
mod contract;
mod coordinator;
mod execute;
