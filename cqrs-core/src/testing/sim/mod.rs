//! Deterministic simulation: many processes, their clocks, their network and their crashes in one thread, from a seed.
//!
//! A [`Sim`] is an executor, a clock and a network. *Processes* are sets of tasks, each with a clock of its own; they are
//! [booted](Sim::node), crash at any await point (their futures are dropped), boot again, are paused and wake
//! as zombies. *Engines* are plain data behind a [`Wire`]: a request arrives late or not at all; what it does
//! there it does whole, at one moment, whether or not the caller is still there for the answer. A [`Plan`] says which
//! faults happen when; it is drawn from the seed and can be [shrunk](shrink).
//!
//! The code under test is what runs in production: it is generic over [`Clock`](crate::Clock), [`Timer`](crate::Timer)
//! and [`Random`](crate::Random), spawns nothing, and so cannot tell.
//!
//! # Invariants
//!
//! - The same seed and plan give the same run: [`Sim::digest`] covers every poll, every timer and every answer of the wire.
//! - Time moves only when it is told to: a little with each poll, and to the next timer when nothing else is to do.
//! - Nothing of a crashed process runs after the crash. What it has sent may still arrive.
//!
//! # Example
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use std::time::Duration;
//! use cqrs_core::Timer;
//! use cqrs_core::testing::sim::{Fault, Plan, Sim};
//!
//! let run = |seed| {
//!     let sim = Sim::new(seed);
//!     // An engine: data, and a node for the network to reach.
//!     let (store, number) = (sim.engine("store"), Arc::new(Mutex::new(0)));
//!     let written = Arc::clone(&number);
//!     // A process, which counts for as long as it lives.
//!     sim.node("writer", move |node| {
//!         let (wire, written) = (node.wire(store), Arc::clone(&written));
//!         let task = node.clone();
//!         node.spawn(async move {
//!             loop {
//!                 let written = Arc::clone(&written);
//!                 let called = wire.call("add", Duration::from_secs(1), move || *written.lock().unwrap() += 1);
//!                 // An answer that is lost leaves the outcome unknown.
//!                 let _ = called.await;
//!                 task.sleep(Duration::from_millis(10)).await;
//!             }
//!         });
//!     });
//!     sim.follow(Plan::draw(seed, &sim, Duration::from_secs(1), 5));
//!     sim.run_for(Duration::from_secs(2));
//!     let counted = *number.lock().unwrap();
//!     (sim.digest(), counted)
//! };
//! assert_eq!(run(1), run(1));
//! assert_ne!(run(1), run(2));
//! ```

mod node;
mod plan;
mod processes;
mod sleep;
mod tasks;
#[cfg(test)]
mod tests;
mod traps;
mod turns;
mod wire;
mod world;

pub use node::{Node, NodeId};
pub use plan::{Fault, Plan, Planned, shrink};
pub use traps::{Snap, Trap};
pub use wire::{Reply, Unanswered, Wire};
pub use world::Sim;
