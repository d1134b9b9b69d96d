//! The distributed system in one thread, from a seed, with faults; and the checks of its promises.
//!
//! Clients, command APIs, relays and projectors are wired as their binaries wire them, from the same code: mediator, behaviours,
//! executors, coordinator, group committers, relay, bus source, projection runner. MongoDB, SQL Server, Kafka and
//! PostgreSQL are data behind a wire. See `docs/SIMULATION.md`.

mod checks;
mod engines;
mod history;
mod mutants;
mod rows;
mod system;
mod traps;
mod world;

pub use checks::Violation;
pub use mutants::MUTANTS;
#[cfg(feature = "mutants")]
pub use mutants::{caught_by, hunt, recorded};
pub use world::{Outcome, Setup, run, run_with};
