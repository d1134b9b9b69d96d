//! The real binary on real engines, over sockets and topics.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod absent;
mod commands;
mod messages;
mod process;
mod sharing;
mod stage;
