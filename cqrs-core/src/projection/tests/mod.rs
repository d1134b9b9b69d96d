//! Projections driven along a log that is written by hand.

mod faults;
mod memory;
mod runner;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::MemoryProjection;
use crate::codec::{Encoding, EventType};
use crate::envelope::{Actor, CommandId, Envelope};
use crate::ledger::Reservations;
use crate::log::{CommitHeader, EventData, ReadError, ReadLog, RecordedCommit, TailLog};
use crate::position::{LogPosition, Partition, Position};
use crate::stream::StreamName;
use crate::time::{Timer, Timestamp};
use crate::version::Version;

/// A log of one partition that the test writes by hand.
#[derive(Clone, Default)]
pub(crate) struct Pages {
    pub(super) commits: Arc<Mutex<Vec<RecordedCommit>>>,
    more: Arc<tokio::sync::Notify>,
    pub(super) corrupt: Arc<AtomicBool>,
}

impl Pages {
    pub(crate) fn append(&self, stream: &str, events: &[(&'static str, &'static str)]) {
        let stream = StreamName::parse(stream).unwrap();
        let mut commits = self.commits.lock().unwrap();
        let mine = commits.iter().rev().find(|c| c.stream == stream);
        let version = mine.map_or(Version::EMPTY, |c| c.version);
        let position = Position::new(commits.len() as u64 + 1);
        let id = CommandId::new(uuid::Uuid::from_u128(position.get().into()));
        let actor = Actor::parse("ada").unwrap();
        let events: Vec<_> = events
            .iter()
            .map(|&(name, payload)| EventData {
                event_type: EventType::new(name, 1),
                encoding: Encoding::Json,
                payload: payload.into(),
            })
            .collect();
        commits.push(RecordedCommit {
            at: LogPosition::new(Partition::new(0), position),
            stream,
            version: version.plus(events.len()),
            header: CommitHeader::from(&Envelope::new(id, actor, Timestamp::from_millis(7))),
            events,
            reservations: Reservations::none(),
        });
        drop(commits);
        self.more.notify_waiters();
    }
}

impl ReadLog for Pages {
    async fn read_stream(
        &self,
        _: &StreamName,
        _: Version,
        _: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        Ok(Vec::new())
    }

    async fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        if self.corrupt.load(Ordering::Relaxed) {
            return Err(ReadError::Corrupt {
                at: LogPosition::new(partition, after.next()),
                reason: "torn".into(),
            });
        }
        let commits = self.commits.lock().unwrap();
        let mut events = 0;
        let slice = commits.iter().filter(|c| c.at.position > after);
        let slice = slice.take_while(|c| {
            events += c.events.len();
            events <= max_events || events == c.events.len()
        });
        Ok(slice.cloned().collect())
    }

    async fn find_commit(&self, _: CommandId) -> Result<Option<RecordedCommit>, ReadError> {
        Ok(None)
    }
}

impl TailLog for Pages {
    fn partitions(&self) -> u16 {
        1
    }

    async fn head(&self, _: Partition) -> Result<Position, ReadError> {
        Ok(Position::new(self.commits.lock().unwrap().len() as u64))
    }

    async fn wait_past(&self, _: Partition, after: Position) -> Result<(), ReadError> {
        loop {
            let more = self.more.notified();
            if self.commits.lock().unwrap().len() as u64 > after.get() {
                return Ok(());
            }
            more.await;
        }
    }
}

/// The paused time of the test's runtime.
#[derive(Clone, Copy)]
pub(crate) struct Paused;

impl Timer for Paused {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The versions that were applied, by stream.
pub(super) type Seen = BTreeMap<String, Vec<u64>>;

/// Refuses payload `bad` while `broken`.
pub(super) fn seen(broken: &Arc<AtomicBool>) -> MemoryProjection<Seen> {
    let broken = Arc::clone(broken);
    MemoryProjection::new("seen", ["noted"], Seen::new(), move |seen, event| {
        let stream = event.commit.stream.to_string();
        seen.entry(stream).or_default().push(event.version.get());
        if event.data.payload == "bad" && broken.load(Ordering::Relaxed) {
            return Err("it is bad".into());
        }
        Ok(())
    })
}

pub(super) fn rows<const N: usize>(rows: [(&str, &[u64]); N]) -> Seen {
    rows.map(|(name, versions)| (name.to_owned(), versions.to_vec()))
        .into()
}

pub(super) const ZERO: Partition = Partition::new(0);

pub(super) fn at(position: u64) -> LogPosition {
    LogPosition::new(ZERO, Position::new(position))
}
