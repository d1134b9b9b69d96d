//! For tests of the services as processes: start, ask over a socket, kill.
#![allow(
    clippy::unwrap_used,
    reason = "tests alone use it: a panic is how they fail"
)]

mod client;
mod process;

pub use client::{Answer, Client, Request, get, request, write};
pub use process::{Process, command, stderr, until};

/// A UUID made from a small number.
#[must_use]
pub fn uuid(number: u128) -> String {
    let hex = format!("{number:032x}");
    format!(
        "{}-{}-4{}-8{}-{}",
        &hex[0..8],
        &hex[8..12],
        &hex[13..16],
        &hex[17..20],
        &hex[20..]
    )
}
