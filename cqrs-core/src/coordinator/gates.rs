//! The order of calls on streams that have a commit waiting for the ledger.
//!
//! A commit that reserves is appended only after its intent. Calls on its stream that come meanwhile may build on
//! it, so each waits for those before it. Streams without such a commit have no gate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::stream::StreamName;

#[derive(Default)]
pub(super) struct Gates {
    /// Streams with a gate, so that the common case takes no lock. The calls of one stream are made one after
    /// another, so each sees the gate that an earlier one made.
    count: AtomicUsize,
    gates: Mutex<BTreeMap<StreamName, Gate>>,
}

struct Gate {
    next: u64,
    /// Gone, though one before is not.
    gone: BTreeSet<u64>,
    /// The first number that is not gone.
    turn: watch::Sender<u64>,
}

/// A place in a stream's order; dropping it lets the next one go on.
pub(super) struct Turn {
    gates: Arc<Gates>,
    stream: StreamName,
    number: u64,
    turn: watch::Receiver<u64>,
}

impl Gates {
    /// Takes a place at the gate of `stream`, which is made where there is none.
    pub(super) fn enter(self: &Arc<Self>, stream: &StreamName) -> Turn {
        let mut gates = self.lock();
        let gate = gates.entry(stream.clone()).or_insert_with(|| {
            self.count.fetch_add(1, Ordering::Relaxed);
            Gate {
                next: 0,
                gone: BTreeSet::new(),
                turn: watch::Sender::new(0),
            }
        });
        let number = gate.next;
        gate.next += 1;
        Turn {
            gates: Arc::clone(self),
            stream: stream.clone(),
            number,
            turn: gate.turn.subscribe(),
        }
    }

    /// Takes a place at the gate of `stream`, if there is one.
    pub(super) fn join(self: &Arc<Self>, stream: &StreamName) -> Option<Turn> {
        if self.count.load(Ordering::Relaxed) == 0 || !self.lock().contains_key(stream) {
            return None;
        }
        Some(self.enter(stream))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<StreamName, Gate>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits until all that came before has gone.
    pub(super) async fn wait(&mut self) {
        let number = self.number;
        // The gate stays while this place is in it.
        let _ = self.turn.wait_for(|turn| *turn >= number).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut gates = self.gates.lock();
        let Some(gate) = gates.get_mut(&self.stream) else {
            return;
        };
        gate.gone.insert(self.number);
        let mut turn = *gate.turn.borrow();
        while gate.gone.remove(&turn) {
            turn += 1;
        }
        if turn == gate.next {
            gates.remove(&self.stream);
            self.gates.count.fetch_sub(1, Ordering::Relaxed);
        } else {
            gate.turn.send_replace(turn);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn stream() -> StreamName {
        StreamName::new("gate", &1).unwrap()
    }

    #[test]
    fn only_a_stream_that_waits_has_a_gate() {
        let gates = Arc::new(Gates::default());
        assert!(gates.join(&stream()).is_none());
        let first = gates.enter(&stream());
        let other = StreamName::new("gate", &2).unwrap();
        assert!(gates.join(&other).is_none());
        let second = gates.join(&stream());
        drop(first);
        assert!(second.is_some() && gates.join(&stream()).is_some());
        drop(second);
        assert!(gates.join(&stream()).is_none());
    }

    #[test]
    fn one_that_goes_early_lets_nobody_past_those_before_it() {
        let gates = Arc::new(Gates::default());
        let [mut first, second, mut third] = [(); 3].map(|()| gates.enter(&stream()));
        assert!(first.wait().now_or_never().is_some());
        drop(second);
        assert!(third.wait().now_or_never().is_none());
        drop(first);
        assert!(third.wait().now_or_never().is_some());
    }
}
