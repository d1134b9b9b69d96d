//! Groups between their COMMIT and the disk: the next is executed while one waits.
//!
//! A commit writes the write-ahead log and does not wait for the disk (`synchronous=NORMAL`). The group then goes
//! through here: a sync that *began after its COMMIT* returns, and only then is it told of. The writer does the sync
//! itself where nobody else would use the time; else the thread `sqlite-sync` does, for all groups that are committed when it begins.
//!
//! # Invariants
//!
//! - What is told of (answers, the log's end, the commits kept for followers, [`Durability`](crate::durability::Durability)) is on the disk, whole, with
//!   everything committed before it.
//! - Groups are told of in the order of their commits, by one thread at a time.
//! - After a sync that failed nothing is told of any more: what the kernel could not write it may have forgotten, and a
//!   later sync that returns says nothing about it. The store answers every job with that failure until it is opened anew.
//!
//! Why that is `synchronous=FULL`'s promise, in SQLite's own terms: FULL is NORMAL with one more sync of the log, in the COMMIT (`walFrames`).
//! All else that NORMAL does is done by SQLite as before: the log is synced before any page of it is copied into the
//! database (`walCheckpoint`), the database is synced before the log may begin again at its start, and a new log's header (at first with
//! its folder) before a frame is written behind it. So at every moment each committed group is either in the log file as
//! written, or in the database and synced; a sync of the log leaves it durable in both cases. Frames are chained by
//! checksums: what recovery keeps is a prefix of the commits, never one without those before it.
//!
//! # Failure table
//!
//! | what happens | what is found | what was told |
//! |---|---|---|
//! | power loss between COMMIT and sync | a prefix of the commits | nothing of what is missing |
//! | the process is killed there | all that was committed; opening syncs it before anything is answered | nothing |
//! | a sync fails | it is not known which commits are there | nothing of them, then or later; those in flight: outcome unknown |
//! | COMMIT fails (full disk) | the group is not there | outcome unknown; groups before it are told of when their own sync returns |
//! | a checkpoint runs meanwhile | the log was synced before a page was copied | as if there were none |
//! | the log begins anew meanwhile | the database was synced before; a group in flight is in it | as if it did not |
//! | a backup, or another process reads meanwhile | maybe what is not synced yet | syncs the log itself before it says anything |

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::disk::Disk;
use crate::error::StoreFailure;
use crate::job::{Done, Reply};
use crate::store::Shared;

/// A group that is committed.
pub(crate) struct Group {
    /// Its number, where it waits for the disk.
    pub(crate) number: Option<u64>,
    /// Whether it wrote anything.
    pub(crate) written: bool,
    /// The number of the first job behind it.
    pub(crate) after: u64,
    /// The end of each partition.
    pub(crate) ends: Vec<u64>,
    pub(crate) done: Vec<Done>,
}

/// The groups that are not told of yet.
pub(crate) struct Pipeline {
    state: Mutex<State>,
    ready: Condvar,
    disk: Box<dyn Disk>,
    tell: Mutex<Tell>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct State {
    groups: VecDeque<Group>,
    /// Whether the thread waits for the disk …
    syncing: bool,
    /// … or has groups in its hands.
    telling: bool,
    closed: bool,
}

impl Pipeline {
    pub(crate) fn new(disk: Box<dyn Disk>, shared: Arc<Shared>, ends: Vec<u64>) -> Self {
        Self {
            state: Mutex::default(),
            ready: Condvar::new(),
            disk,
            tell: Mutex::new(Tell {
                woken: ends.clone(),
                ends,
            }),
            shared,
        }
    }

    /// Whether a group that is committed now would wait for the sync of others first.
    pub(crate) fn is_busy(&self) -> bool {
        let state = self.lock();
        state.syncing || !state.groups.is_empty()
    }

    /// Takes the group that was committed last. With `alone` it is told of on return if no other is in flight.
    pub(crate) fn push(&self, group: Group, alone: bool) {
        let mut state = self.lock();
        let idle = state.groups.is_empty() && !state.syncing && !state.telling;
        if idle && (alone || !group.written) {
            drop(state);
            // Only the writer pushes, so that the thread has nothing to do until this is done.
            let synced = self.sync(group.written && group.number.is_some());
            self.tell([group], synced);
            return;
        }
        state.groups.push_back(group);
        drop(state);
        self.ready.notify_one();
    }

    /// Syncs and tells of groups, until [`close`](Self::close).
    pub(crate) fn run(&self) {
        let mut state = self.lock();
        loop {
            if state.groups.is_empty() {
                if state.closed {
                    return;
                }
                state = self
                    .ready
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let groups = std::mem::take(&mut state.groups);
            (state.syncing, state.telling) = (true, true);
            drop(state);
            let wanted = groups
                .iter()
                .any(|group| group.written && group.number.is_some());
            let synced = self.sync(wanted);
            self.lock().syncing = false;
            // The writer may be waiting to commit the next group until the disk is free.
            self.shared.writes.nudge();
            self.tell(groups, synced);
            state = self.lock();
            state.telling = false;
        }
    }

    /// Ends [`run`](Self::run) once all groups are told of.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.ready.notify_one();
    }

    fn sync(&self, wanted: bool) -> Result<(), StoreFailure> {
        let durability = &self.shared.durability;
        if let Some(failure) = durability.failure() {
            return Err(failure);
        }
        match wanted {
            true => self.disk.sync().map_err(|error| {
                let failure = StoreFailure::new(error);
                tracing::error!(
                    error = %failure,
                    "the disk could not be synced: nothing more is written until the store is opened anew"
                );
                durability.fail(&failure);
                failure
            }),
            false => Ok(()),
        }
    }

    fn tell(&self, groups: impl IntoIterator<Item = Group>, synced: Result<(), StoreFailure>) {
        let mut tell = self.tell.lock().unwrap_or_else(PoisonError::into_inner);
        for group in groups {
            let after = group.after;
            let told = catch_unwind(AssertUnwindSafe(|| match &synced {
                Ok(()) => tell.durable(&self.shared, group),
                Err(failure) => group.done.into_iter().for_each(|done| done.fail(failure)),
            }));
            if told.is_err() {
                tracing::error!("an answer panicked");
            }
            self.shared.done.fetch_max(after, Ordering::Release);
        }
        tell.wake_followers(&self.shared);
    }

    // Nothing panics under this lock; a poisoned one is as good.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells of groups that are durable.
struct Tell {
    /// The last durable position of each partition.
    ends: Vec<u64>,
    /// Those that followers were last woken for.
    woken: Vec<u64>,
}

impl Tell {
    fn durable(&mut self, shared: &Shared, group: Group) {
        let mut recent = shared.recent.lock();
        let replies: Vec<_> = group
            .done
            .into_iter()
            .map(|done| done.keep(&mut recent))
            .collect();
        drop(recent);
        self.ends = group.ends;
        // Shown before the answers: who was answered finds what he was told.
        for (tail, end) in shared.tails.iter().zip(&self.ends) {
            tail.send_if_modified(|tail| {
                tail.head = *end;
                false
            });
        }
        if let Some(number) = group.number {
            shared.durability.settle(number);
        }
        replies.into_iter().for_each(Reply::send);
    }

    /// Wakes whoever waits for more than there was.
    fn wake_followers(&mut self, shared: &Shared) {
        let ends = shared.tails.iter().zip(&self.ends);
        for ((tail, end), woken) in ends.zip(&mut self.woken) {
            tail.send_if_modified(|_| *woken != *end);
            *woken = *end;
        }
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
mod tests;
