//! A queue between callers and the store's threads, bounded by number and by weight.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the processor is given away in search of jobs before none is expected any more.
const PATIENCE: u32 = 32;
/// However many come: no longer than about an `fsync`, which is what a fuller group saves.
const LONGEST_GATHERING: Duration = Duration::from_micros(500);

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

/// Jobs in the order of the calls, numbered from 0.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    /// The number of jobs that wait, to be looked at without the lock.
    waiting: AtomicUsize,
    ready: Condvar,
    max_jobs: usize,
    max_bytes: usize,
}

struct State<T> {
    jobs: VecDeque<(T, usize)>,
    /// What the waiting jobs weigh together.
    bytes: usize,
    /// The number of the next job; never reused.
    next: u64,
    /// Threads that wait: nobody is woken where nobody sleeps.
    idle: usize,
    closed: bool,
}

impl<T> Queue<T> {
    pub(crate) fn new(max_jobs: usize, max_bytes: usize) -> Self {
        Self {
            state: Mutex::new(State {
                jobs: VecDeque::new(),
                bytes: 0,
                next: 0,
                idle: 0,
                closed: false,
            }),
            waiting: AtomicUsize::new(0),
            ready: Condvar::new(),
            max_jobs,
            max_bytes,
        }
    }

    /// Takes `job`, which holds about `bytes`.
    pub(crate) fn push(&self, job: T, bytes: usize) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        let full = state.jobs.len() >= self.max_jobs || state.bytes >= self.max_bytes;
        if full {
            return Err(Refused::Full);
        }
        state.jobs.push_back((job, bytes));
        state.bytes += bytes;
        state.next += 1;
        self.waiting.store(state.jobs.len(), Ordering::Release);
        let wake = state.idle > 0;
        drop(state);
        if wake {
            self.ready.notify_one();
        }
        Ok(())
    }

    /// Moves waiting jobs into `into` and gives the first one's number; waits for the first.
    ///
    /// Up to `max` of them, and no more once they hold `bytes`. `None` once the queue is closed and empty.
    pub(crate) fn take(&self, max: usize, bytes: usize, into: &mut Vec<T>) -> Option<u64> {
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
        let (mut count, mut taken) = (0, 0);
        while count < max
            && taken < bytes
            && let Some((job, weight)) = state.jobs.pop_front()
        {
            into.push(job);
            count += 1;
            taken += weight;
        }
        state.bytes -= taken;
        self.waiting.store(state.jobs.len(), Ordering::Release);
        Some(first)
    }

    /// Gives the processor to whoever may bring jobs, until `expected` of them wait or no more come.
    ///
    /// Never sleeps; ends after [`PATIENCE`] looks that found nothing new, or [`LONGEST_GATHERING`] in all.
    pub(crate) fn gather(&self, expected: usize) {
        let (mut seen, mut patience) = (self.waiting.load(Ordering::Acquire), PATIENCE);
        let begun = Instant::now();
        while seen < expected && patience > 0 && begun.elapsed() < LONGEST_GATHERING {
            std::thread::yield_now();
            let waiting = self.waiting.load(Ordering::Acquire);
            patience = if waiting > seen {
                PATIENCE
            } else {
                patience - 1
            };
            seen = waiting;
        }
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
