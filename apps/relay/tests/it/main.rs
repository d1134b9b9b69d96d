//! The real binary on real engines.
#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

mod process;
mod publishing;
mod stage;
