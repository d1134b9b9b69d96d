//! Feeds a runner from a bus.
//!
//! Invariants:
//!
//! - What is given out after position *p* begins at *p* + 1 and has no hole and no repeat: the [`Sequencer`] judges every
//!   record, and only whole commits are given.
//! - What is remembered here is a cache: where the runner asks after another position than it was given up to, or
//!   the bus errs, the cursor is moved and all is read again.
//! - At most one fetch of records is held in a partition.
//!
//! | what happens | what is done |
//! |---|---|
//! | a repeat | dropped |
//! | a hole | wait for the relay to repeat; what comes meanwhile and is not the next is dropped |
//! | no repeat in time, and there is a log | read the log up to what was dropped, then go on with the bus |
//! | no repeat in time, and no log | once more from the beginning of the bus, however long that takes; then [`SourceError::Hole`] |
//! | the runner's checkpoint moved on by somebody else | records up to there are repeats |
//! | the runner's checkpoint moved back (a rebuild), or a write failed | move the cursor back |
//! | the partition was revoked and is assigned again | the bus errs until its cursor is moved |

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, select};
use tokio::sync::Mutex;

use crate::bus::{Accept, BusRecord, ConsumeEvents, Sequencer};
use crate::ledger::Reservations;
use crate::log::{CommitSource, EventId, ReadError, RecordedCommit, SourceError};
use crate::mutants::mutant;
use crate::position::{LogPosition, Partition, Position};
use crate::time::Timer;

/// How many records are fetched at once.
const FETCH: usize = 1_024;

/// A bus as a [`CommitSource`]: takes only the next (position, index), and fills holes from the log where there is one.
#[derive(Debug)]
pub struct BusSource<C, L, T> {
    consumer: C,
    log: Option<L>,
    timer: T,
    patience: Duration,
    lanes: Box<[Mutex<Lane>]>,
}

/// The log of a [`BusSource`] that has none. There is no such value.
#[derive(Debug)]
pub enum NoLog {}

impl CommitSource for NoLog {
    fn partition_count(&self) -> u16 {
        match *self {}
    }

    async fn slice_after(
        &self,
        _: Partition,
        _: Position,
        _: usize,
    ) -> Result<Vec<RecordedCommit>, SourceError> {
        match *self {}
    }

    async fn await_more(&self, _: Partition, _: Position) -> Result<(), SourceError> {
        match *self {}
    }
}

/// One partition.
#[derive(Debug, Default)]
struct Lane {
    /// What was given out up to now; `None` where the cursor must be moved first.
    at: Option<Cursor>,
    /// Fetched and not yet judged.
    records: VecDeque<BusRecord>,
    /// The commit of which not all events have come.
    partial: Option<RecordedCommit>,
    /// The ends of commits that were given out, and the offset after each.
    given: VecDeque<(Position, u64)>,
    hole: Option<Hole>,
    /// Read the log up to here.
    log_until: Position,
}

#[derive(Debug, Clone, Copy)]
struct Cursor {
    sequencer: Sequencer,
    /// The end of the last commit that was given out.
    given: Position,
}

#[derive(Debug, Clone, Copy)]
struct Hole {
    expected: EventId,
    found: EventId,
    /// The highest position that was dropped.
    highest: Position,
    /// Whether all that the bus has was looked through.
    rewound: bool,
}

impl<C: ConsumeEvents, T: Timer> BusSource<C, NoLog, T> {
    /// The bus that `consumer` reads, of `partitions` partitions. A hole that is not filled in five seconds ends its partition.
    #[must_use]
    pub fn new(consumer: C, partitions: u16, timer: T) -> Self {
        Self {
            consumer,
            log: None,
            timer,
            patience: Duration::from_secs(5),
            lanes: (0..partitions).map(|_| Mutex::default()).collect(),
        }
    }

    /// The same, with a log from which holes are filled.
    #[must_use]
    pub fn with_log<L: CommitSource>(self, log: L) -> BusSource<C, L, T> {
        BusSource {
            consumer: self.consumer,
            log: Some(log),
            timer: self.timer,
            patience: self.patience,
            lanes: self.lanes,
        }
    }
}

impl<C: ConsumeEvents, L: CommitSource, T: Timer> BusSource<C, L, T> {
    /// The same, which waits `patience` for the relay to repeat what is missing.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    fn lane(&self, partition: Partition) -> Result<&Mutex<Lane>, SourceError> {
        let lane = self.lanes.get(usize::from(partition.index()));
        lane.ok_or_else(|| {
            let partitions = self.partition_count();
            let missing = ReadError::NoSuchPartition {
                partition,
                partitions,
            };
            missing.into()
        })
    }

    /// Brings the lane to where the runner is.
    async fn place(
        &self,
        lane: &mut Lane,
        partition: Partition,
        after: Position,
    ) -> Result<Cursor, SourceError> {
        match lane.at {
            Some(cursor) if cursor.given == after => {}
            Some(cursor) if cursor.given < after => lane.skip_to(after),
            _ => {
                *lane = Lane::default();
                self.consumer.seek(partition, after).await?;
                lane.skip_to(after);
            }
        }
        let mut offset = None;
        while let Some(&(position, end)) = lane.given.front()
            && position <= after
        {
            offset = Some(end);
            lane.given.pop_front();
        }
        if let Some(offset) = offset {
            self.consumer.done(partition, after, offset);
        }
        Ok(lane.at.unwrap_or_else(|| Cursor::after(after)))
    }

    async fn read_log(
        &self,
        lane: &mut Lane,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, SourceError> {
        let Some(log) = &self.log else {
            return Ok(Vec::new());
        };
        let slice = log.slice_after(partition, after, max_events).await?;
        match slice.last() {
            Some(last) => lane.skip_to(last.at.position),
            // The bus is ahead of what the log's reader sees: the bus goes on from here.
            None => lane.log_until = Position::START,
        }
        Ok(slice)
    }

    /// Waits for the relay to repeat what is missing.
    async fn await_repeat(
        &self,
        lane: &mut Lane,
        partition: Partition,
        mut hole: Hole,
    ) -> Result<(), SourceError> {
        let mut patience = pin!(self.timer.sleep(self.patience));
        loop {
            let next = pin!(self.consumer.next(partition, FETCH));
            // The patience first: a bus that always has something must not outlast it.
            match select(patience.as_mut(), next).await {
                Either::Right((batch, _)) => {
                    let batch = batch.inspect_err(|_| lane.at = None)?;
                    let next = batch.iter().position(|record| lane.is_next(record));
                    let dropped = &batch[..next.unwrap_or(batch.len())];
                    let highest = dropped.iter().map(|record| record.id.at.position).max();
                    hole.highest = hole.highest.max(highest.unwrap_or_default());
                    lane.hole = Some(hole);
                    if let Some(next) = next {
                        lane.records.extend(batch.into_iter().skip(next));
                        return Ok(());
                    }
                    let expected = (hole.expected.at.position, hole.expected.index);
                    let on_the_way = batch
                        .last()
                        .is_some_and(|last| (last.id.at.position, last.id.index) < expected);
                    if hole.rewound && on_the_way {
                        // From the beginning to the hole is as long as the bus is.
                        patience.set(self.timer.sleep(self.patience));
                    }
                }
                Either::Left(((), _)) if self.log.is_some() => {
                    tracing::warn!(%partition, missing = %hole.expected, "the bus has a hole: reading the log");
                    lane.hole = None;
                    lane.log_until = hole.highest;
                    return Ok(());
                }
                Either::Left(((), _)) if !hole.rewound => {
                    tracing::warn!(%partition, missing = %hole.expected, "the bus has a hole: reading it from its beginning");
                    self.consumer.seek(partition, Position::START).await?;
                    hole.rewound = true;
                    lane.hole = Some(hole);
                    return Ok(());
                }
                Either::Left(((), _)) => {
                    return Err(SourceError::Hole {
                        expected: hole.expected,
                        found: hole.found,
                    });
                }
            }
        }
    }
}

impl Cursor {
    fn after(given: Position) -> Self {
        Self {
            sequencer: Sequencer::after(given),
            given,
        }
    }
}

impl Lane {
    /// Goes on after `position`; what is held of the bus up to there are repeats.
    fn skip_to(&mut self, position: Position) {
        self.at = Some(Cursor::after(position));
        self.partial = None;
        self.hole = None;
    }

    fn is_next(&self, record: &BusRecord) -> bool {
        let next = self.at.map(|cursor| cursor.sequencer);
        next.is_some_and(|mut next| next.take(record) == Accept::Take)
    }

    /// Judges what is held, until there are `max_events` in whole commits.
    fn collect(
        &mut self,
        mut cursor: Cursor,
        max_events: usize,
        slice: &mut Vec<RecordedCommit>,
    ) -> Cursor {
        let mut events: usize = slice.iter().map(|commit| commit.events.len()).sum();
        while let Some(record) = self.records.pop_front() {
            let count = usize::try_from(record.count).unwrap_or(usize::MAX);
            let full = events > 0 && events.saturating_add(count) > max_events;
            if record.id.index == 0 && full && self.is_next(&record) {
                self.records.push_front(record);
                break;
            }
            let expected = cursor.sequencer.expected(record.id.at.partition);
            match cursor.sequencer.take(&record) {
                Accept::Repeat if !mutant("take what was taken before") => {}
                Accept::Hole => {
                    let hole = self.hole.get_or_insert(Hole {
                        expected,
                        found: record.id,
                        highest: record.id.at.position,
                        rewound: false,
                    });
                    hole.highest = hole.highest.max(record.id.at.position);
                }
                Accept::Take | Accept::Repeat => {
                    self.hole = None;
                    let (at, offset) = (record.id.at, record.offset);
                    let last = record.id.index + 1 == record.count;
                    let whole = self.add(record, last);
                    if let Some(commit) = whole {
                        events += commit.events.len();
                        self.given.push_back((at.position, offset + 1));
                        cursor.given = at.position;
                        slice.push(commit);
                    }
                }
            }
            self.at = Some(cursor);
        }
        cursor
    }

    /// Adds an event to its commit; the commit, where it was the last.
    fn add(&mut self, record: BusRecord, last: bool) -> Option<RecordedCommit> {
        let commit = self.partial.get_or_insert_with(|| RecordedCommit {
            at: record.id.at,
            stream: record.stream,
            version: record.version,
            header: record.header,
            events: Vec::with_capacity(usize::try_from(record.count).unwrap_or(1).min(1_000)),
            reservations: Reservations::none(),
        });
        commit.version = record.version;
        commit.events.push(record.data);
        if last { self.partial.take() } else { None }
    }
}

impl Sequencer {
    fn take(&mut self, record: &BusRecord) -> Accept {
        self.accept(record.id.at.position, record.id.index, record.count)
    }

    fn expected(&self, partition: Partition) -> EventId {
        let (position, index) = self.next();
        EventId {
            at: LogPosition::new(partition, position),
            index,
        }
    }
}

impl<C: ConsumeEvents, L: CommitSource, T: Timer> CommitSource for BusSource<C, L, T> {
    fn partition_count(&self) -> u16 {
        u16::try_from(self.lanes.len()).unwrap_or(u16::MAX)
    }

    async fn slice_after(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, SourceError> {
        let mut lane = self.lane(partition)?.lock().await;
        let lane = &mut *lane;
        let mut cursor = self.place(lane, partition, after).await?;
        if lane.log_until > after {
            let slice = self.read_log(lane, partition, after, max_events).await?;
            if !slice.is_empty() {
                return Ok(slice);
            }
        }
        let mut slice = Vec::new();
        let mut events = 0;
        while events < max_events.max(1) {
            if lane.records.is_empty() {
                match self.consumer.next(partition, FETCH).now_or_never() {
                    None => break,
                    Some(Ok(batch)) => lane.records.extend(batch),
                    Some(Err(error)) => {
                        // What is in the slice is read again.
                        lane.at = None;
                        return Err(error.into());
                    }
                }
            }
            cursor = lane.collect(cursor, max_events, &mut slice);
            // Behind a hole nothing is of use: to wait for the repeat is bounded, to look on here is not.
            if !lane.records.is_empty() || lane.hole.is_some() {
                break;
            }
            events = slice.iter().map(|commit| commit.events.len()).sum();
        }
        Ok(slice)
    }

    async fn await_more(&self, partition: Partition, after: Position) -> Result<(), SourceError> {
        let mut lane = self.lane(partition)?.lock().await;
        let lane = &mut *lane;
        let placed = lane.at.is_some_and(|cursor| cursor.given == after);
        if !placed || !lane.records.is_empty() || lane.log_until > after {
            return Ok(());
        }
        if let Some(hole) = lane.hole {
            return self.await_repeat(lane, partition, hole).await;
        }
        let batch = self.consumer.next(partition, FETCH).await;
        lane.records.extend(batch.inspect_err(|_| lane.at = None)?);
        Ok(())
    }
}
