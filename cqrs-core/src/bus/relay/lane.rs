//! What a relay knows of one partition.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;

use crate::bus::RelayMark;
use crate::position::Position;
use crate::time::Timestamp;

/// One partition.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// How far it is published, where it is known to be ours.
    pub(super) standing: Mutex<Option<Standing>>,
    /// Whether that is further than the latest mark.
    unmarked: AtomicBool,
    /// What was last seen of its marks.
    seen: StdMutex<Option<Seen>>,
}

/// How far a partition of ours is published.
#[derive(Debug, Clone)]
pub(super) struct Standing {
    /// Our latest mark, at this position or before it.
    pub(super) mark: RelayMark,
    /// When it was made, by our own clock.
    marked: Timestamp,
    /// Everything up to here is on the bus …
    pub(super) position: Position,
    /// … which ends here, or further on.
    pub(super) offset: u64,
}

impl Standing {
    pub(super) fn at(mark: RelayMark, marked: Timestamp) -> Self {
        Self {
            position: mark.position,
            offset: mark.offset,
            mark,
            marked,
        }
    }

    pub(super) fn is_unmarked(&self) -> bool {
        self.position > self.mark.position
    }

    /// Whether the latest mark is that old; a clock that was set back makes it so.
    pub(super) fn is_older(&self, now: Timestamp, age: Duration) -> bool {
        let since = now.as_millis().saturating_sub(self.marked.as_millis());
        u64::try_from(since).map_or(true, |since| u128::from(since) >= age.as_millis())
    }
}

/// A mark, as one sees it who may want to take over.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) owner: String,
    seq: u64,
    pub(super) lease_until: Timestamp,
    /// When it was seen first, by our own clock.
    since: Timestamp,
}

impl Lane {
    /// Whether something is published that no mark says.
    pub(super) fn is_unmarked(&self) -> bool {
        self.unmarked.load(Ordering::Relaxed)
    }

    pub(super) fn set_unmarked(&self, standing: Option<&Standing>) {
        let unmarked = standing.is_some_and(Standing::is_unmarked);
        self.unmarked.store(unmarked, Ordering::Relaxed);
    }

    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        // A plain value: nothing panics half-way through a change.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the latest mark; since when it is the latest.
    pub(super) fn see(&self, mark: Option<&RelayMark>, now: Timestamp) -> Timestamp {
        let mut seen = self.seen();
        let before = seen.take();
        let same = before.filter(|before| mark.is_some_and(|mark| mark.seq == before.seq));
        // A clock that was set back begins anew.
        let since = same.map_or(now, |same| same.since.min(now));
        *seen = mark.map(|mark| Seen {
            owner: mark.owner.clone(),
            seq: mark.seq,
            lease_until: mark.lease_until,
            since,
        });
        since
    }

    pub(super) fn last_seen(&self) -> Option<Seen> {
        self.seen().clone()
    }
}
