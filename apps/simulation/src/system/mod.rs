//! The processes of the system: what their binaries wire together, here over simulated engines.

pub(crate) mod api;
pub(crate) mod ask;
pub(crate) mod client;
pub(crate) mod projector;
pub(crate) mod query;
pub(crate) mod relay;
pub(crate) mod replay;
