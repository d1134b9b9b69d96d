//! The executor: whose turn it is.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;

use crate::time::Random;

use super::node::NodeId;
use super::tasks::{Task, Waking};
use super::world::{Due, Sim, micros};

impl Sim {
    /// Runs for `span`, or until [`finish`](Self::finish).
    pub fn run_for(&self, span: Duration) {
        let until = self.state().now + micros(span);
        while self.turn(until) {}
    }

    /// Drops all that still runs. Call it at the end: tasks and the world own each other.
    pub fn close(&self) {
        let (tasks, timers, places) = {
            let mut state = self.state();
            state.over = true;
            (
                std::mem::take(&mut state.tasks),
                std::mem::take(&mut state.timers),
                state
                    .places
                    .iter_mut()
                    .filter_map(|place| {
                        place.up = false;
                        place.boot.take()
                    })
                    .collect::<Vec<_>>(),
            )
        };
        drop((tasks, timers, places));
        // What their drops have scheduled.
        let left = std::mem::take(&mut self.state().timers);
        drop(left);
    }

    /// One event or one poll; `false` where nothing is left before `until`.
    fn turn(&self, until: u64) -> bool {
        let due = {
            let mut state = self.state();
            if state.over || state.now >= until {
                return false;
            }
            let idle = self.0.ready.lock().is_empty();
            match state.timers.first_key_value() {
                Some((&(at, _), _)) if at <= state.now || idle => {
                    if at > until {
                        state.now = until;
                        return false;
                    }
                    state.now = state.now.max(at);
                    let due = state.timers.pop_first();
                    due.map(|(key, due)| {
                        state.mark(&[2, key.0, key.1]);
                        due
                    })
                }
                None if idle => {
                    state.now = until;
                    return false;
                }
                _ => None,
            }
        };
        match due {
            Some(Due::Wake(waker)) => waker.wake(),
            Some(Due::Run(act)) => act(),
            None => self.poll_one(),
        }
        true
    }

    /// Polls one of those that are ready.
    fn poll_one(&self) {
        let task = {
            let mut ready = self.0.ready.lock();
            if ready.is_empty() {
                return;
            }
            // Not in the order of the wakes: `tokio::sync::watch` wakes in an order of its own, which no seed tells.
            ready.sort_unstable();
            let drawn = self.below(ready.len() as u64);
            ready.swap_remove(usize::try_from(drawn).unwrap_or(0))
        };
        let mut polled = {
            let mut state = self.state();
            let state = &mut *state;
            let Some(slot) = state.tasks.get_mut(task) else {
                return;
            };
            let Some(of) = slot.as_ref().map(|task| task.node) else {
                return;
            };
            let place = &mut state.places[of.0];
            if place.paused {
                place.held.push(task);
                return;
            }
            let Some(polled) = slot.take() else {
                return;
            };
            state.running = Some(task);
            state.polls += 1;
            // Time goes by while it works.
            state.now += 1 + self.0.random.next_u64() % 8;
            let (now, of) = (state.now, of.0 as u64);
            state.mark(&[3, now, task as u64, of]);
            polled
        };
        polled.waking.taken();
        let waker = polled.waker();
        let life = self.state().places[polled.node.0].life;
        let done = polled
            .future
            .as_mut()
            .poll(&mut Context::from_waker(&waker));
        let node = polled.node;
        let blown = {
            let mut state = self.state();
            state.running = None;
            let place = &mut state.places[node.0];
            let alive = place.up && place.life == life;
            let mut blown = None;
            if let Some((polls, _)) = &mut place.fuse {
                *polls = polls.saturating_sub(1);
                if *polls == 0 {
                    blown = place.fuse.take();
                }
            }
            if done.is_pending() && alive {
                state.tasks[task] = Some(polled);
            } else {
                drop(state);
                drop(polled);
            }
            blown
        };
        if let Some((_, down)) = blown {
            self.crash_for(node, down);
        }
    }

    pub(super) fn spawn(
        &self,
        node: NodeId,
        life: u64,
        future: Pin<Box<dyn Future<Output = ()> + Send>>,
    ) {
        let mut state = self.state();
        let place = &state.places[node.0];
        if !place.up || place.life != life {
            return;
        }
        let id = state.tasks.len();
        let waking = Waking::new(id, &self.0.ready);
        state.tasks.push(Some(Task {
            node,
            future,
            waking,
        }));
    }
}
