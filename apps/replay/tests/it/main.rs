//! The real binary on the real engines, beside traffic.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod calls;
mod imports;
mod kit;
mod layouts;
mod parking;
mod rebuilds;
mod republishing;
mod verifying;
