//! What the domain promises.

// Helpers outside of `#[test]` functions are tests too.
#![allow(clippy::unwrap_used)]

mod author;
mod golden;
mod model;
mod post;
mod properties;
mod support;
