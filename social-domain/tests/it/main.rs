//! What the domain promises.

mod author;
mod golden;
mod model;
mod properties;
mod support;
