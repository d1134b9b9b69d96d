//! What waits for a partition's committer, in the order of the calls; bounded by number, by weight and by stream.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bson::RawDocumentBuf;
use cqrs_core::{
    AppendError, Appended, CommandId, ExpectedVersion, LogPosition, RequestHash, StreamName,
};
use foldhash::fast::FixedState;
use tokio::sync::{Notify, oneshot};

use crate::error::StoreFailure;

/// Where an answer goes. Whoever asked may be gone.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, AppendError>>;

/// A commit on its way.
pub(crate) struct Append {
    pub(crate) stream: StreamName,
    pub(crate) expected: ExpectedVersion,
    pub(crate) command: CommandId,
    pub(crate) request: Option<RequestHash>,
    pub(crate) events: usize,
    /// The document, its place still open.
    pub(crate) doc: Arc<RawDocumentBuf>,
    pub(crate) reply: Reply<Appended>,
}

/// A question for a stream's head.
pub(crate) struct Confirm {
    pub(crate) stream: StreamName,
    pub(crate) expected: ExpectedVersion,
    pub(crate) reply: Reply<LogPosition>,
}

pub(crate) enum Job {
    Append(Append),
    Confirm(Confirm),
}

impl Job {
    pub(crate) fn stream(&self) -> &StreamName {
        match self {
            Self::Append(append) => &append.stream,
            Self::Confirm(confirm) => &confirm.stream,
        }
    }

    pub(crate) fn expected(&self) -> ExpectedVersion {
        match self {
            Self::Append(append) => append.expected,
            Self::Confirm(confirm) => confirm.expected,
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Append(append) => append.doc.as_bytes().len(),
            Self::Confirm(_) => 64,
        }
    }

    /// Tells whoever asked that the store failed.
    pub(crate) fn fail(self, failure: &StoreFailure) {
        let error = AppendError::Store {
            stream: self.stream().clone(),
            source: failure.clone().into(),
        };
        // An answer that nobody waits for is dropped.
        match self {
            Self::Append(append) => drop(append.reply.send(Err(error))),
            Self::Confirm(confirm) => drop(confirm.reply.send(Err(error))),
        }
    }
}

/// Why a job was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

/// How much may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) jobs: usize,
    pub(crate) bytes: usize,
    pub(crate) per_stream: usize,
}

pub(crate) struct Queue {
    state: Mutex<State>,
    ready: Notify,
    bounds: Bounds,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<(Job, Duration)>,
    bytes: usize,
    streams: HashMap<StreamName, usize, FixedState>,
    closed: bool,
}

impl State {
    fn forget(&mut self, job: &Job) {
        self.bytes -= job.weight();
        if let Some(waiting) = self.streams.get_mut(job.stream()) {
            *waiting -= 1;
            if *waiting == 0 {
                self.streams.remove(job.stream());
            }
        }
    }
}

impl Queue {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self {
            state: Mutex::default(),
            ready: Notify::new(),
            bounds,
        }
    }

    /// Takes `job`, called `now`; its place is taken by the call.
    pub(crate) fn push(&self, job: Job, now: Duration) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        let of_stream = state.streams.get(job.stream()).copied().unwrap_or(0);
        if state.jobs.len() >= self.bounds.jobs
            || state.bytes >= self.bounds.bytes
            || of_stream >= self.bounds.per_stream
        {
            return Err(Refused::Full);
        }
        state.bytes += job.weight();
        *state.streams.entry(job.stream().clone()).or_default() += 1;
        state.jobs.push_back((job, now));
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// The oldest jobs: up to `max` of them, and no more once they hold `bytes`. Waits for the first.
    ///
    /// `None` once the queue is closed and empty.
    pub(crate) async fn take(&self, max: usize, bytes: usize) -> Option<Vec<Job>> {
        loop {
            {
                let mut state = self.lock();
                let (mut taken, mut weight) = (Vec::new(), 0);
                while taken.len() < max
                    && let Some((job, _)) = state.jobs.front()
                    && (taken.is_empty() || weight + job.weight() <= bytes)
                    && let Some((job, _)) = state.jobs.pop_front()
                {
                    weight += job.weight();
                    state.forget(&job);
                    taken.push(job);
                }
                if !taken.is_empty() {
                    return Some(taken);
                }
                if state.closed {
                    return None;
                }
            }
            self.ready.notified().await;
        }
    }

    /// Takes out what `which` says, in order.
    fn extract(&self, which: impl Fn(&Job, Duration) -> bool) -> Vec<Job> {
        let mut state = self.lock();
        let jobs = std::mem::take(&mut state.jobs);
        let (out, rest): (VecDeque<_>, VecDeque<_>) = jobs
            .into_iter()
            .partition(|(job, called)| which(job, *called));
        state.jobs = rest;
        for (job, _) in &out {
            state.forget(job);
        }
        out.into_iter().map(|(job, _)| job).collect()
    }

    /// Takes out the commits of `stream` that wait.
    pub(crate) fn take_appends(&self, stream: &StreamName) -> Vec<Append> {
        if !self.lock().streams.contains_key(stream) {
            return Vec::new();
        }
        let of_stream = self.extract(|job, _| matches!(job, Job::Append(a) if a.stream == *stream));
        of_stream
            .into_iter()
            .filter_map(|job| match job {
                Job::Append(append) => Some(append),
                Job::Confirm(_) => None,
            })
            .collect()
    }

    /// Takes out what was called at or before `called`.
    pub(crate) fn take_called_by(&self, called: Duration) -> Vec<Job> {
        self.extract(|_, at| at <= called)
    }

    /// Takes out all that waits.
    pub(crate) fn take_all(&self) -> Vec<Job> {
        self.extract(|_, _| true)
    }

    /// The number of jobs that wait.
    pub(crate) fn len(&self) -> usize {
        self.lock().jobs.len()
    }

    /// Takes no more jobs; those that wait are still done.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    // Nothing panics under this lock; a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
