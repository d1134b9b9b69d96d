//! The server over real sockets, spoken to in raw bytes.

#![expect(
    clippy::unwrap_used,
    reason = "clippy exempts tests, but not what they share"
)]

mod kit;
mod limits;
mod methods;
mod refusals;
mod shutdown;
