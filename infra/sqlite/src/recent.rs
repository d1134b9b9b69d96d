//! The last commits of each partition, kept in memory for those who follow the log closely.
//!
//! Only what is durable gets in. What is no longer here is read from the file.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use cqrs_core::{Appended, Commit, Partition, Position, RecordedCommit};

use crate::log::Slice;

/// What a commit weighs beside its payload.
const COMMIT_BYTES: usize = 256;

/// The last commits of each partition.
pub(crate) struct RecentCommits(Mutex<Partitions>);

pub(crate) struct Partitions {
    partitions: Box<[Recent]>,
    max_bytes: usize,
}

/// Commits without a gap; the last one is the partition's end, or was.
#[derive(Default)]
struct Recent {
    commits: VecDeque<RecordedCommit>,
    bytes: usize,
}

impl RecentCommits {
    /// Keeps about `bytes`, spread evenly.
    pub(crate) fn new(partitions: u16, bytes: usize) -> Self {
        Self(Mutex::new(Partitions {
            partitions: (0..partitions).map(|_| Recent::default()).collect(),
            max_bytes: bytes / usize::from(partitions.max(1)),
        }))
    }

    /// The slice after `after`; `None` where the file must be asked.
    pub(crate) fn read(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Option<Vec<RecordedCommit>> {
        let kept = self.lock();
        let commits = &kept.partitions.get(usize::from(partition.index()))?.commits;
        let first = commits.front()?.at.position.get();
        let next = after.get().checked_add(1)?;
        let skipped = usize::try_from(next.checked_sub(first)?).ok()?;
        if skipped >= commits.len() {
            return None;
        }
        let mut slice = Slice::new(max_events);
        for commit in commits.range(skipped..) {
            if !slice.take(commit.clone()) {
                break;
            }
        }
        Some(slice.commits)
    }

    /// Nothing panics under this lock; a poisoned one is as good.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Partitions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Partitions {
    /// Keeps a commit that is durable, and forgets what no longer fits.
    pub(crate) fn push(&mut self, commit: Commit, appended: &Appended) {
        let index = usize::from(appended.at.partition.index());
        let Some(recent) = self.partitions.get_mut(index) else {
            return;
        };
        let last = recent.commits.back().map(|commit| commit.at.position);
        if last.is_some_and(|last| last.next() != appended.at.position) {
            *recent = Recent::default();
        }
        recent.bytes += commit.payload_len() + COMMIT_BYTES;
        recent.commits.push_back(RecordedCommit {
            at: appended.at,
            stream: commit.stream,
            version: appended.version,
            header: commit.header,
            events: commit.events,
            reservations: commit.reservations,
        });
        while recent.bytes > self.max_bytes
            && let Some(oldest) = recent.commits.pop_front()
        {
            recent.bytes -= payload_len(&oldest) + COMMIT_BYTES;
        }
    }
}

fn payload_len(commit: &RecordedCommit) -> usize {
    commit.events.iter().map(|event| event.payload.len()).sum()
}

#[cfg(test)]
mod tests {
    use cqrs_core::{
        Actor, CommandId, CommitHeader, Encoding, EventData, EventType, ExpectedVersion,
        LogPosition, Reservations, StreamName, Timestamp, Version,
    };
    use uuid::Uuid;

    use super::*;

    fn push(recent: &RecentCommits, position: u64, bytes: usize) {
        let commit = Commit {
            stream: StreamName::new("thing", &position).unwrap(),
            expected: ExpectedVersion::Any,
            header: CommitHeader {
                command_id: CommandId::new(Uuid::nil()),
                request: None,
                actor: Actor::parse("ada").unwrap(),
                time: Timestamp::from_millis(0),
                correlation_id: Uuid::nil(),
                causation_id: Uuid::nil(),
                trace: None,
            },
            events: vec![EventData {
                event_type: EventType::new("thing-done", 1),
                encoding: Encoding::Json,
                payload: vec![0; bytes].into(),
            }],
            reservations: Reservations::none(),
        };
        let appended = Appended {
            at: LogPosition::new(Partition::new(0), Position::new(position)),
            version: Version::new(1),
            repeated: false,
        };
        recent.lock().push(commit, &appended);
    }

    fn read(recent: &RecentCommits, after: u64, max_events: usize) -> Option<Vec<u64>> {
        let slice = recent.read(Partition::new(0), Position::new(after), max_events)?;
        Some(slice.iter().map(|c| c.at.position.get()).collect())
    }

    #[test]
    fn it_gives_what_it_has_and_nothing_else() {
        let recent = RecentCommits::new(1, 10_000);
        assert_eq!(read(&recent, 0, 10), None);
        for position in 5..=8 {
            push(&recent, position, 10);
        }
        assert_eq!(read(&recent, 3, 10), None, "5 is not the next after 3");
        assert_eq!(read(&recent, 4, 10), Some(vec![5, 6, 7, 8]));
        assert_eq!(read(&recent, 6, 1), Some(vec![7]));
        assert_eq!(read(&recent, 8, 10), None, "the file may know more");
        assert_eq!(read(&recent, u64::MAX, 10), None);
    }

    #[test]
    fn after_a_gap_it_begins_anew() {
        let recent = RecentCommits::new(1, 10_000);
        push(&recent, 1, 10);
        push(&recent, 3, 10);
        assert_eq!(read(&recent, 0, 10), None);
        assert_eq!(read(&recent, 2, 10), Some(vec![3]));
    }

    #[test]
    fn it_is_bounded_by_weight() {
        let weight = COMMIT_BYTES + 10;
        let recent = RecentCommits::new(1, 3 * weight);
        for position in 1..=5 {
            push(&recent, position, 10);
        }
        assert_eq!(read(&recent, 1, 10), None);
        assert_eq!(read(&recent, 2, 10), Some(vec![3, 4, 5]));
        push(&recent, 6, 2 * weight);
        assert_eq!(read(&recent, 4, 10), None);
        assert_eq!(read(&recent, 5, 10), Some(vec![6]));
        push(&recent, 7, 3 * weight);
        assert_eq!(read(&recent, 6, 10), None, "it does not fit at all");
        assert_eq!(recent.lock().partitions[0].bytes, 0);
    }
}
