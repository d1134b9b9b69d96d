//! What becomes of processes: they crash and boot, stand still and go on, and their clocks jump.

use std::time::Duration;

use crate::time::Timestamp;

use super::node::{Node, NodeId};
use super::tasks::{Task, TaskId};
use super::world::{EPOCH_MILLIS, Sim};

impl Sim {
    /// Crashes a process: all its futures are dropped. It stays down until it is [booted](Self::boot).
    pub fn crash(&self, id: NodeId) {
        let dropped = {
            let mut state = self.state();
            let state = &mut *state;
            let place = &mut state.places[id.0];
            if !place.up || place.boot.is_none() {
                return;
            }
            (place.up, place.paused, place.fuse) = (false, false, None);
            place.held.clear();
            let running = state.running;
            let of_it = |(task, slot): (TaskId, &mut Option<Task>)| {
                let its = slot.as_ref().is_some_and(|task| task.node == id);
                if its && Some(task) != running {
                    slot.take()
                } else {
                    None
                }
            };
            let dropped: Vec<_> = state
                .tasks
                .iter_mut()
                .enumerate()
                .filter_map(of_it)
                .collect();
            state.mark(&[1, id.0 as u64]);
            dropped
        };
        self.note(id, || "crashes".to_owned());
        // Outside of the lock: what they own may call back.
        drop(dropped);
    }

    /// Boots a process that is down.
    pub fn boot(&self, id: NodeId) {
        let booted = {
            let mut state = self.state();
            let place = &mut state.places[id.0];
            let boot = place.boot.clone().filter(|_| !place.up);
            boot.map(|boot| {
                place.up = true;
                place.life += 1;
                (boot, place.life)
            })
        };
        if let Some((boot, life)) = booted {
            self.note(id, || format!("boots, life {life}"));
            let sim = self.clone();
            boot(Node { sim, id, life });
        }
    }

    /// Lets a process stand still: what wakes it is kept until it is [resumed](Self::resume). It notices nothing.
    pub fn pause(&self, id: NodeId) {
        let paused = {
            let place = &mut self.state().places[id.0];
            std::mem::replace(&mut place.paused, place.up)
        };
        if !paused {
            self.note(id, || "stands still".to_owned());
        }
    }

    /// Lets a paused process go on, a zombie by now.
    pub fn resume(&self, id: NodeId) {
        let held = {
            let place = &mut self.state().places[id.0];
            if !std::mem::take(&mut place.paused) {
                return;
            }
            std::mem::take(&mut place.held)
        };
        self.0.ready.lock().extend(held);
        self.note(id, || "goes on".to_owned());
    }

    /// Sets a process's clock on by `millis`, or back.
    pub fn skew(&self, id: NodeId, millis: i64) {
        self.state().places[id.0].skew += millis;
        self.note(id, || format!("its clock jumps by {millis} ms"));
    }

    /// Ends all faults: what is down boots, what is paused goes on, what is cut off is reached again.
    pub fn heal(&self) {
        let count = {
            let mut state = self.state();
            state.cut.clear();
            state.flaky.clear();
            state.traps.clear();
            state.places.iter_mut().for_each(|place| place.fuse = None);
            state.places.len()
        };
        for id in (0..count).map(NodeId) {
            self.resume(id);
            self.boot(id);
        }
    }

    /// Crashes a process, which boots again after `down`.
    pub fn crash_for(&self, id: NodeId, down: Duration) {
        self.crash(id);
        let sim = self.clone();
        self.after(down, move || sim.boot(id));
    }

    pub(super) fn clock_of(&self, id: NodeId) -> Timestamp {
        let state = self.state();
        let millis = i64::try_from(state.now / 1_000).unwrap_or(i64::MAX);
        Timestamp::from_millis(EPOCH_MILLIS + millis + state.places[id.0].skew)
    }
}
