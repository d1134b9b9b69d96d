//! How far a replay is, for whoever draws a bar of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::position::{Partition, Position};
use crate::projection::Progress;

/// How far a replay is. Clones show the same.
#[derive(Debug, Clone, Default)]
pub struct ReplayProgress(Arc<Mutex<Stage>>);

/// What a replay is at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum ReplayPhase {
    /// It has not begun.
    #[default]
    Waiting,
    /// History is copied.
    Copying,
    /// Indexes are made.
    Indexing,
    /// What came meanwhile is applied.
    CatchingUp,
    /// Versions are compared.
    Verifying,
    /// The live version stands still, to be replaced.
    Promoting,
    /// It is done.
    Done,
}

/// How far a replay is at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReplayState {
    /// What it is at.
    pub phase: ReplayPhase,
    /// Commits done in this phase or before it, over all partitions.
    pub commits: u64,
    /// Commits in all, as far as this phase goes; 0 where it does not count commits.
    pub commits_in_all: u64,
    /// Events applied or parked by this process so far, over all phases.
    pub events: u64,
}

#[derive(Debug, Default)]
struct Stage {
    phase: ReplayPhase,
    follows: Option<(Progress, Vec<Position>)>,
    events_before: u64,
}

impl ReplayProgress {
    /// How far it is now.
    #[must_use]
    pub fn state(&self) -> ReplayState {
        self.stage().state()
    }

    pub(super) fn enter(&self, phase: ReplayPhase, follows: Option<(Progress, &[Position])>) {
        let mut stage = self.stage();
        stage.events_before = stage.state().events;
        stage.phase = phase;
        stage.follows = follows.map(|(progress, until)| (progress, until.to_vec()));
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        // Nothing panics under it.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stage {
    fn state(&self) -> ReplayState {
        let mut state = ReplayState {
            phase: self.phase,
            events: self.events_before,
            ..ReplayState::default()
        };
        if let Some((progress, until)) = &self.follows {
            let counts = progress.counts();
            state.events += counts.events + counts.parked;
            for (partition, until) in Partition::all(progress.partitions()).zip(until) {
                state.commits += progress.position(partition).min(*until).get();
                state.commits_in_all += until.get();
            }
        }
        state
    }
}
