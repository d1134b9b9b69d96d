//! Traps: faults at the very word between a process and an engine.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;

use super::sleep::Sleep;
use super::wire::Wire;
use super::world::Sim;

/// A fault that waits for a word: the next process that says it falls into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trap {
    /// The word, as [`Wire::call`] has it.
    pub word: &'static str,
    /// What happens then.
    pub snap: Snap,
}

/// What happens to whoever falls into a [`Trap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Snap {
    /// The process stands still for so long before it says the word: what it knows grows old.
    Before(Duration),
    /// It stands still once it has the answer.
    After(Duration),
    /// It crashes once it has the answer, and boots again so much later.
    Crash(Duration),
    /// The word arrives so much later; until then the process is cut off from that engine.
    Late(Duration),
    /// The connection breaks before the word arrives.
    Lost,
}

/// Traps of which each is set once the one before it has sprung.
pub(super) type Chain = VecDeque<Trap>;

impl Sim {
    /// Sets `traps`: the first now, each other one once the one before it has sprung.
    pub fn set_traps(&self, traps: Vec<Trap>) {
        if !traps.is_empty() {
            self.state().traps.push(traps.into());
        }
    }

    /// What waits for `word`.
    pub(super) fn spring(&self, word: &str) -> Option<Snap> {
        let traps = &mut self.state().traps;
        let waits = |chain: &Chain| chain.front().is_some_and(|trap| trap.word == word);
        let at = traps.iter().position(waits)?;
        let sprung = traps[at].pop_front()?;
        if traps[at].is_empty() {
            traps.remove(at);
        }
        Some(sprung.snap)
    }
}

impl Wire {
    /// What `snap` does before the word is said.
    pub(super) async fn before(&self, snap: Option<Snap>) {
        if let Some(Snap::Before(span)) = snap {
            self.stand_still(span).await;
        }
    }

    /// What it does once there is an answer, or none.
    pub(super) async fn after(&self, snap: Option<Snap>) {
        match snap {
            Some(Snap::After(span)) => self.stand_still(span).await,
            Some(Snap::Crash(down)) => {
                self.sim.crash_for(self.from, down);
                // Dropped with all that the process had.
                pending().await
            }
            Some(Snap::Before(_) | Snap::Late(_) | Snap::Lost) | None => {}
        }
    }

    async fn stand_still(&self, span: Duration) {
        let (sim, id) = (self.sim.clone(), self.from);
        sim.pause(id);
        self.sim.after(span, move || sim.resume(id));
        // It is polled again when it goes on.
        Sleep::new(self.sim.clone(), Duration::from_millis(1)).await;
    }
}
