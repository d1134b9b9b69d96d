//! A process, as its own tasks see it.

use std::fmt;
use std::time::Duration;

use crate::time::{Clock, Random, Timer, Timestamp};

use super::sleep::Sleep;
use super::wire::Wire;
use super::world::Sim;

/// A process or an engine of a [`Sim`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub(super) usize);

/// One life of a process, from its boot to its crash: what its tasks spawn with, tell the time by and draw from.
#[derive(Clone)]
pub struct Node {
    pub(super) sim: Sim,
    pub(super) id: NodeId,
    pub(super) life: u64,
}

impl Node {
    /// Which process it is.
    #[must_use]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// Its name and the number of this life: no other life has the same.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}#{}", self.sim.name_of(self.id), self.life)
    }

    /// The world that it lives in.
    #[must_use]
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// The number of this life, from 1.
    #[must_use]
    pub fn life(&self) -> u64 {
        self.life
    }

    /// Runs `task` until it ends or the process crashes. Does nothing in a life that is over.
    pub fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.sim.spawn(self.id, self.life, Box::pin(task));
    }

    /// The way to an engine, or to another process.
    #[must_use]
    pub fn wire(&self, to: NodeId) -> Wire {
        Wire::new(self.sim.clone(), self.id, to)
    }

    /// Writes a line of history.
    pub fn note(&self, text: impl FnOnce() -> String) {
        self.sim.note(self.id, text);
    }
}

/// By its own clock, which may be wrong.
impl Clock for Node {
    fn now(&self) -> Timestamp {
        self.sim.clock_of(self.id)
    }
}

impl Timer for Node {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        Sleep::new(self.sim.clone(), duration)
    }
}

impl Random for Node {
    fn next_u64(&self) -> u64 {
        self.sim.draw()
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id)
            .field("life", &self.life)
            .finish_non_exhaustive()
    }
}
