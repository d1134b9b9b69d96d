//! Sessions: a client's end and the server's, which ends later than that, or before.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use cqrs_core::testing::sim::{Reply, Sim, Unanswered, Wire};

use crate::engines::LIMIT;

/// How often a statement that waits for a lock looks whether it is free.
const AGAIN: Duration = Duration::from_millis(5);

/// All sessions of a server.
#[derive(Default)]
pub(super) struct Sessions {
    open: Mutex<Vec<Weak<dyn Ends>>>,
    /// Whether no client's host is ever lost.
    faultless: AtomicBool,
}

trait Ends: Send + Sync {
    fn end(&self);
}

/// The client's end of a session in which the server keeps a `T`: what a transaction holds.
///
/// Dropped, also with its process, it is noticed by the server: after all that was said before it, and sometimes late.
pub(super) struct Session<T: Send + 'static> {
    wire: Wire,
    slot: Arc<Slot<T>>,
    faultless: bool,
}

struct Slot<T>(Mutex<Kept<T>>);

struct Kept<T> {
    value: Option<T>,
    /// Statements under way.
    busy: u32,
    closing: bool,
    ended: bool,
    /// When one was last served.
    used: Duration,
}

impl Sessions {
    pub(super) fn open<T: Send + 'static>(&self, wire: &Wire) -> Session<T> {
        let slot = Arc::new(Slot(Mutex::new(Kept {
            value: None,
            busy: 0,
            closing: false,
            ended: false,
            used: Duration::ZERO,
        })));
        let mut all = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|other| other.strong_count() > 0);
        let ends: Weak<dyn Ends> = Arc::<Slot<T>>::downgrade(&slot);
        all.push(ends);
        Session {
            wire: wire.clone(),
            slot,
            faultless: self.faultless.load(Ordering::Relaxed),
        }
    }

    /// From now on no client's host is lost: what it drops, the server soon notices.
    #[cfg(test)]
    pub(super) fn without_faults(&self) {
        self.faultless.store(true, Ordering::Relaxed);
    }

    /// The server crashes.
    pub(super) fn end_all(&self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all = std::mem::take(&mut *open);
        drop(open);
        all.iter()
            .filter_map(Weak::upgrade)
            .for_each(|slot| slot.end());
    }
}

impl<T: Send + 'static> Session<T> {
    /// Has the server do `run` with what it keeps, as soon as that need not wait.
    pub(super) async fn call<R: Send + 'static>(
        &self,
        what: &'static str,
        mut run: impl FnMut(&mut Option<T>) -> Option<Result<R, Unanswered>> + Send + 'static,
    ) -> Result<R, Unanswered> {
        let said = Said::new(&self.slot);
        let sim = self.wire.sim().clone();
        let serve = move |reply: Reply<Result<R, Unanswered>>| {
            let clock = sim.clone();
            once_free(&sim, reply, move || {
                let mut kept = said.0.kept();
                kept.used = clock.elapsed();
                if kept.ended {
                    return Some(Err(Unanswered));
                }
                run(&mut kept.value)
            });
        };
        self.wire.call_then(what, LIMIT, serve).await?
    }

    /// Has the server end the session once nothing was said in it for `span`.
    pub(super) fn end_where_idle(&self, span: Duration) {
        watch(self.wire.sim().clone(), Arc::downgrade(&self.slot), span);
    }
}

fn watch<T: Send + 'static>(sim: Sim, slot: Weak<Slot<T>>, span: Duration) {
    let again = sim.clone();
    again.after(span, move || {
        let Some(open) = slot.upgrade() else { return };
        let (ended, until) = {
            let kept = open.kept();
            (kept.ended, kept.used + span)
        };
        if !ended && sim.elapsed() >= until {
            open.end();
        } else if !ended {
            drop(open);
            watch(sim, slot, span);
        }
    });
}

/// Answers by `attempt` as soon as that need not wait, or never, where it takes longer than a statement may.
pub(super) fn once_free<R: Send + 'static>(
    sim: &Sim,
    reply: Reply<R>,
    attempt: impl FnMut() -> Option<R> + Send + 'static,
) {
    fn again<R: Send + 'static>(
        sim: Sim,
        until: Duration,
        reply: Reply<R>,
        mut attempt: impl FnMut() -> Option<R> + Send + 'static,
    ) {
        match attempt() {
            Some(answer) => reply.send(answer),
            None if sim.elapsed() >= until => drop(reply),
            None => {
                let later = sim.clone();
                sim.after(AGAIN, move || again(later, until, reply, attempt));
            }
        }
    }
    again(sim.clone(), sim.elapsed() + LIMIT, reply, attempt);
}

impl<T> Slot<T> {
    fn kept(&self) -> MutexGuard<'_, Kept<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The client is gone.
    fn close(&self) {
        let mut kept = self.kept();
        kept.closing = true;
        let value = kept.end_if_over();
        drop(kept);
        drop(value);
    }
}

impl<T> Kept<T> {
    fn end_if_over(&mut self) -> Option<T> {
        if !self.closing || self.busy > 0 {
            return None;
        }
        self.ended = true;
        self.value.take()
    }
}

impl<T: Send> Ends for Slot<T> {
    fn end(&self) {
        let mut kept = self.kept();
        kept.ended = true;
        let value = kept.value.take();
        drop(kept);
        drop(value);
    }
}

/// A statement under way: what was said is served before the end of the session.
struct Said<T>(Arc<Slot<T>>);

impl<T> Said<T> {
    fn new(slot: &Arc<Slot<T>>) -> Self {
        slot.kept().busy += 1;
        Self(Arc::clone(slot))
    }
}

impl<T> Drop for Said<T> {
    fn drop(&mut self) {
        let mut kept = self.0.kept();
        kept.busy -= 1;
        let value = kept.end_if_over();
        drop(kept);
        drop(value);
    }
}

impl<T: Send + 'static> Drop for Session<T> {
    fn drop(&mut self) {
        let sim = self.wire.sim();
        // Now and then its host is lost with it, without a word.
        let late = if !self.faultless && sim.chance(20) {
            2_000_000
        } else {
            1_500
        };
        let delay = Duration::from_micros(50 + sim.below(late));
        let slot = Arc::clone(&self.slot);
        sim.after(delay, move || slot.close());
    }
}
