//! A simulated server for [`cqrs_core::testing::sim`], and the log over it: committer, queue, readers and documents are
//! those of the store, only the server and the way to it are not.

mod remote;
mod server;

pub use remote::{SimulatedLog, SimulatedOptions};
pub use server::SimulatedServer;
