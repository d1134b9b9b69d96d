//! What tests need: given/when/then for aggregates, contract suites for stores, faults, time that is told, simulated
//! worlds.
//!
//! Behind the feature `testing`; meant for dev-dependencies.
//!
//! An adapter runs the suites so:
//!
//! ```
//! mod contract {
//!     // Evaluated for each test, which wants a store of its own.
//!     cqrs_core::event_log_contract!(cqrs_core::MemoryStore::new(4));
//! }
//! ```

mod faulty;
mod fixtures;
mod given;

pub mod contract;
pub mod sim;
pub mod strategies;

pub use faulty::{Fault, Faults, Faulty};
pub use fixtures::{InstantTimer, ManualClock, SeededRandom, envelope};
pub use given::{Given, When, given};
