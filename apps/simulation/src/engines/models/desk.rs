//! What operators want of the versions: whoever replays looks here.

use cqrs_core::{ModelState, ModelVersions};

use super::{Models, Table};
use crate::engines::at_once;

/// What operators want.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    /// A new version in the live one's place.
    Rebuild,
    /// The version before the live one back.
    RollBack,
    /// What was begun and never promoted ended.
    Cancel,
    /// The version before the live one ended.
    Retire,
}

/// Something to do, until it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Job {
    number: u64,
    pub(crate) want: Want,
}

#[derive(Default)]
pub(super) struct Desk {
    jobs: Vec<Job>,
    begun: u64,
}

impl<S: Table> Models<S> {
    /// Operators want something, unless they do already, or have versions enough.
    pub(crate) fn want(&self, want: Want) {
        let mut versions = at_once(self.0.versions.versions()).unwrap_or_default();
        versions.retain(|version| version.state != ModelState::Retired);
        let desk = &mut self.state().desk;
        let wanted = desk.jobs.iter().any(|job| job.want == want);
        if wanted || (want == Want::Rebuild && versions.len() > 2) {
            return;
        }
        desk.begun += 1;
        let number = desk.begun;
        desk.jobs.push(Job { number, want });
    }

    /// The first thing to do, or the last.
    pub(crate) fn job(&self, last: bool) -> Option<Job> {
        let desk = &self.state().desk;
        let job = if last {
            desk.jobs.last()
        } else {
            desk.jobs.first()
        };
        job.copied()
    }

    /// Whoever wanted it is told.
    pub(crate) fn done(&self, job: Job) {
        self.state().desk.jobs.retain(|other| *other != job);
    }
}
