//! The way from a process to an engine: late, lossy, and out of order.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::oneshot;

use super::node::NodeId;
use super::sleep::Sleep;
use super::traps::Snap;
use super::world::Sim;

/// A call that got no answer. Whether it took effect, or will, is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no answer from the simulated engine")]
pub struct Unanswered;

/// What goes from one place to another.
#[derive(Debug, Clone)]
pub struct Wire {
    pub(super) sim: Sim,
    pub(super) from: NodeId,
    to: NodeId,
}

/// The way back of an answer, for an engine that does not answer at once.
#[derive(Debug)]
pub struct Reply<R> {
    wire: Wire,
    sender: oneshot::Sender<R>,
    fate: Fate,
}

/// What becomes of one half of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Arrives(Duration),
    /// The connection breaks: the caller hears of it.
    Breaks,
    /// Nobody hears anything.
    Vanishes,
}

impl Wire {
    pub(super) fn new(sim: Sim, from: NodeId, to: NodeId) -> Self {
        Self { sim, from, to }
    }

    /// The world.
    #[must_use]
    pub fn sim(&self) -> &Sim {
        &self.sim
    }

    /// Who calls.
    #[must_use]
    pub fn from(&self) -> NodeId {
        self.from
    }

    /// Calls the engine, which does `run` at one moment and answers at once; waits for the answer as long as `limit`.
    ///
    /// # Errors
    ///
    /// [`Unanswered`]: it may have run, may yet run, or never will.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future, as a crash does, leaves the same unknown: what is on its way arrives.
    pub async fn call<R: Send + 'static>(
        &self,
        what: &'static str,
        limit: Duration,
        run: impl FnOnce() -> R + Send + 'static,
    ) -> Result<R, Unanswered> {
        self.call_then(what, limit, move |reply| reply.send(run()))
            .await
    }

    /// The same for an engine that answers when it likes.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call); also where the reply is dropped.
    pub async fn call_then<R: Send + 'static>(
        &self,
        what: &'static str,
        limit: Duration,
        run: impl FnOnce(Reply<R>) + Send + 'static,
    ) -> Result<R, Unanswered> {
        let snap = self.sim.spring(what);
        if let Some(snap) = snap {
            let text = || format!("falls into a trap at `{what}`: {snap:?}");
            self.sim.note(self.from, text);
        }
        self.before(snap).await;
        let (sender, answer) = oneshot::channel();
        let percent = self.sim.trouble(self.to);
        let (mut there, back) = (self.fate(percent / 2), self.fate(percent / 2));
        match snap {
            Some(Snap::Late(span)) => there = Fate::Arrives(span),
            Some(Snap::Lost) => there = Fate::Breaks,
            Some(Snap::Before(_) | Snap::After(_) | Snap::Crash(_)) | None => {}
        }
        self.send(there, back, sender, run);
        if let Some(Snap::Late(span)) = snap {
            // Over just before it arrives.
            let cut = span.saturating_sub(Duration::from_millis(1));
            self.sim.cut(self.from, self.to, cut);
        }
        let deadline = pin!(Sleep::new(self.sim.clone(), limit));
        let answered = match select(answer, deadline).await {
            Either::Left((answer, _)) => answer.map_err(|_| Unanswered),
            Either::Right(_) => Err(Unanswered),
        };
        let ok = answered.is_ok();
        self.sim
            .mark(&[4, self.from.0 as u64, self.to.0 as u64, u64::from(ok)]);
        if !ok {
            self.sim.note(self.from, || {
                let to = self.sim.name_of(self.to);
                format!("no answer to `{what}` from {to} ({there:?}, {back:?})")
            });
        }
        self.after(snap).await;
        answered
    }

    fn send<R: Send + 'static>(
        &self,
        there: Fate,
        back: Fate,
        sender: oneshot::Sender<R>,
        run: impl FnOnce(Reply<R>) + Send + 'static,
    ) {
        let there = match self.sim.reaches(self.from, self.to) {
            true => there,
            false => Fate::Vanishes,
        };
        let wire = self.clone();
        match there {
            Fate::Arrives(delay) => self.sim.after(delay, move || {
                if wire.sim.reaches_engine(wire.from, wire.to) {
                    run(Reply {
                        wire,
                        sender,
                        fate: back,
                    });
                }
            }),
            Fate::Breaks => drop(sender),
            Fate::Vanishes => hold(&self.sim, sender),
        }
    }

    /// What becomes of a message where `percent` in a hundred go wrong.
    fn fate(&self, percent: u8) -> Fate {
        let usual = Duration::from_micros(50 + self.sim.below(1_500));
        if !self.sim.chance(percent) {
            return Fate::Arrives(usual);
        }
        match self.sim.below(8) {
            0 => Fate::Breaks,
            1 => Fate::Vanishes,
            // Late: after whoever sent it has given up, and perhaps its successor too.
            2 => Fate::Arrives(Duration::from_millis(1_000 + self.sim.below(15_000))),
            3 | 4 => Fate::Arrives(Duration::from_millis(200 + self.sim.below(2_000))),
            _ => Fate::Arrives(Duration::from_millis(1 + self.sim.below(100))),
        }
    }
}

impl Sim {
    /// Two places cannot reach each other for `span`.
    pub(super) fn cut(&self, a: NodeId, b: NodeId, span: Duration) {
        *self.state().cut.entry(pair(a, b)).or_default() += 1;
        self.note(a, || format!("is cut off from {}", self.name_of(b)));
        let sim = self.clone();
        self.after(span, move || {
            let mut state = sim.state();
            if let Some(cuts) = state.cut.get_mut(&pair(a, b)) {
                *cuts -= 1;
                if *cuts == 0 {
                    state.cut.remove(&pair(a, b));
                }
            }
        });
    }

    /// Whether a message gets from one place to the other now.
    pub(super) fn reaches(&self, from: NodeId, to: NodeId) -> bool {
        let state = self.state();
        let apart = state.cut.contains_key(&pair(from, to));
        !apart && state.places[from.0].up && state.places[to.0].up
    }

    /// How many calls in a hundred go wrong on the way to `to`.
    pub(super) fn trouble(&self, to: NodeId) -> u8 {
        let mut state = self.state();
        let now = state.now;
        let Some(windows) = state.flaky.get_mut(&to) else {
            return 0;
        };
        windows.retain(|(until, _)| *until > now);
        windows
            .iter()
            .map(|(_, percent)| *percent)
            .max()
            .unwrap_or(0)
    }

    /// Whether a request that is under way arrives: its sender may be gone by now.
    fn reaches_engine(&self, from: NodeId, to: NodeId) -> bool {
        let state = self.state();
        state.places[to.0].up && !state.cut.contains_key(&pair(from, to))
    }
}

pub(super) fn pair(a: NodeId, b: NodeId) -> (NodeId, NodeId) {
    (a.min(b), a.max(b))
}

/// Keeps a sender, so that whoever waits does so until the limit.
fn hold<R: Send + 'static>(sim: &Sim, sender: oneshot::Sender<R>) {
    sim.after(Duration::from_secs(60), move || drop(sender));
}

impl<R: Send + 'static> Reply<R> {
    /// Answers. Whoever asked may be gone.
    pub fn send(self, answer: R) {
        let (sim, sender) = (self.wire.sim.clone(), self.sender);
        match self.fate {
            _ if !sim.reaches(self.wire.to, self.wire.from) => hold(&sim, sender),
            Fate::Arrives(delay) => sim.after(delay, move || drop(sender.send(answer))),
            Fate::Breaks => drop(sender),
            Fate::Vanishes => hold(&sim, sender),
        }
    }

    /// Who asked.
    #[must_use]
    pub fn from(&self) -> NodeId {
        self.wire.from
    }
}
