//! A bounded queue between callers and the store's threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

/// Jobs in the order of the calls, numbered from 0.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    ready: Condvar,
    capacity: usize,
}

struct State<T> {
    jobs: VecDeque<T>,
    /// The number of the next job; never reused.
    next: u64,
    /// Threads that wait: nobody is woken where nobody sleeps.
    idle: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                next: 0,
                idle: 0,
                closed: false,
            }),
            ready: Condvar::new(),
            capacity,
        }
    }

    pub(crate) fn push(&self, job: T) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.jobs.len() >= self.capacity {
            return Err(Refused::Full);
        }
        state.jobs.push_back(job);
        state.next += 1;
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Moves up to `max` waiting jobs into `into` and gives the first one's number; waits for the first.
    ///
    /// `None` once the queue is closed and empty.
    pub(crate) fn take(&self, max: usize, into: &mut Vec<T>) -> Option<u64> {
        let mut state = self.lock();
        while state.jobs.is_empty() {
            if state.closed {
                return None;
            }
            state.idle += 1;
            state = self
                .ready
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
        let first = state.next - state.jobs.len() as u64;
        let count = state.jobs.len().min(max);
        into.extend(state.jobs.drain(..count));
        Some(first)
    }

    /// The number that the next job will have.
    pub(crate) fn next(&self) -> u64 {
        self.lock().next
    }

    /// The number of jobs that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Takes no more jobs; those that wait are still done.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_all();
    }

    // Nothing panics under this lock; a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
