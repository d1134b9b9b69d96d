//! What clients asked, were told and read; and what cannot be, found out at once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cqrs_core::{LogPosition, Position, StreamName, Version};

use crate::checks::Violation;
use crate::engines::models::Looked;
use crate::system::ask::{Ask, Told};

/// Cheap to clone; clones are the same.
#[derive(Clone, Default)]
pub(crate) struct History(Arc<Mutex<Kept>>);

#[derive(Default)]
pub(crate) struct Kept {
    /// Clients that are not done.
    running: usize,
    /// What was asked, and when first.
    pub(crate) asked: BTreeMap<usize, (Ask, Duration)>,
    /// The first final answer to each, and when it was given.
    pub(crate) told: BTreeMap<usize, (Told, Duration)>,
    /// What each client has seen of the read model.
    seen: BTreeMap<usize, (u64, Vec<Position>)>,
    pub(crate) violations: Vec<Violation>,
    pub(crate) answers: u64,
    pub(crate) reads: u64,
}

impl History {
    pub(crate) fn begin(&self) {
        self.kept().running += 1;
    }

    pub(crate) fn end(&self) {
        self.kept().running -= 1;
    }

    pub(crate) fn is_over(&self) -> bool {
        self.kept().running == 0
    }

    pub(crate) fn asked(&self, ask: &Ask, now: Duration) {
        let mut kept = self.kept();
        kept.asked.entry(ask.number).or_insert((ask.clone(), now));
    }

    pub(crate) fn told(&self, ask: &Ask, told: &Told, now: Duration) {
        let mut kept = self.kept();
        kept.answers += 1;
        if let Told::Broken(what) = told {
            let text = format!("{ask:?} was told `{what}`");
            kept.violations.push(Violation::new("P4", text));
        }
        match kept.told.get(&ask.number) {
            None => drop(kept.told.insert(ask.number, (told.clone(), now))),
            Some((first, _)) if first == told => {}
            Some((first, _)) => {
                let text = format!("{ask:?} was told {first:?}, then {told:?}");
                kept.violations.push(Violation::new("P4", text));
            }
        }
    }

    pub(crate) fn read(
        &self,
        client: usize,
        stream: &StreamName,
        token: LogPosition,
        version: Version,
        looked: Looked,
    ) {
        let mut kept = self.kept();
        kept.reads += 1;
        if !looked.parked && looked.version < version.get() {
            let text = format!("asked for {token}, `{stream}` at {version}; answered {looked:?}");
            kept.violations.push(Violation::new("P9", text));
        }
        let seen = kept.seen.insert(client, (looked.losses, looked.at.clone()));
        if let Some((losses, before)) = seen
            && losses == looked.losses
            && before.iter().zip(&looked.at).any(|(b, now)| b > now)
        {
            let text = format!("client {client} saw {before:?}, then {looked:?}");
            kept.violations.push(Violation::new("P10", text));
        }
    }

    pub(crate) fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
