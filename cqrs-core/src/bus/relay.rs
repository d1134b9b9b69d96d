//! Publishes the log to a bus.
//!
//! Several relays of one name share the partitions: each partition has a book of [`RelayMark`]s, which say at once
//! who owns it and how far it is published.
//!
//! Invariants:
//!
//! - A mark is inserted only after everything up to its position is on the bus. So whoever takes over from a mark
//!   publishes on without a hole, whatever its predecessor was doing.
//! - Each relay publishes a partition from a mark on, slice by slice, without a gap: what two at once interleave has repeats
//!   and no hole.
//! - Ownership is the latest mark's `owner`. Who loses the insert of the next one has lost the partition: it publishes
//!   nothing more there before it owns it again. Clocks decide only when a take-over is *tried*: a wrong one costs repeats,
//!   never loss. A lease is over when the clock says so, or when no new mark was seen for as long as a lease: who was
//!   ahead of the time when it died keeps nothing.
//! - An owner shows life also while a slice is on its way, however long that takes.
//! - A slice ends at a commit's last event.
//!
//! | what happens | what is done |
//! |---|---|
//! | the bus is away, or its answer is lost | wait, publish the whole slice again: repeats in order |
//! | crash between publishing and the mark | whoever takes over publishes the slice again |
//! | crash of the owner | its lease runs out, another takes the partition over |
//! | a slice takes longer than a lease | the mark is renewed where it stands, every third of it |
//! | the marks are away, or an insert's outcome is unknown | wait, look at the latest: ours, go on from there; another's, stand by |
//! | the insert of the next mark is lost | another has taken the partition: stand by until its lease runs out |
//! | two owners at once (a wrong clock, a long pause) | repeats; the slower loses its next mark |
//! | a new relay joins | it takes partitions, one at a time, from an owner that has two more than itself |
//! | orderly end | a mark whose lease is over: others need not wait |
//! | the topic ends below the mark's offset after a slice; or, at a take-over and after every error, does not hold the mark's last record where the mark says | it was made anew or has lost records: publish again from position 1 |
//! | the log is corrupt | that partition ends with [`RunnerError::Log`], its lease runs out |

use std::pin::pin;
use std::sync::{Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tokio::sync::Mutex;

use crate::bus::{PublishEvents, RelayMark, RelayMarks};
use crate::follow::{self, Backoff, Follower, RunnerError, Step, Trouble};
use crate::log::{CommitSource, RecordedCommit};
use crate::mutants::mutant;
use crate::position::{Partition, Position};
use crate::projection::Progress;
use crate::time::{Clock, Timer, Timestamp};

/// The shortest pause between signs of life, whatever the lease is.
const SHORTEST: Duration = Duration::from_millis(10);

/// How a relay works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayOptions {
    /// How many events a slice holds at most, unless a single commit has more.
    pub max_events: usize,
    /// How long a partition stays with an owner that shows no life.
    pub lease: Duration,
    /// The pauses between attempts.
    pub backoff: Backoff,
}

impl Default for RelayOptions {
    /// 2,000 events, ten seconds, the default pauses.
    fn default() -> Self {
        Self {
            max_events: 2_000,
            lease: Duration::from_secs(10),
            backoff: Backoff::default(),
        }
    }
}

/// Follows a log and publishes all of it to a bus, partition by partition, beside other relays of the same name.
///
/// # Delivery
///
/// Every event at least once, in the order of its partition; a slice ends at a commit's last event.
#[derive(Debug)]
pub struct Relay<S, M, B, T> {
    name: String,
    owner: String,
    source: S,
    marks: M,
    bus: B,
    time: T,
    options: RelayOptions,
    progress: Progress,
    lanes: Box<[Lane]>,
}

/// One partition.
#[derive(Debug, Default)]
struct Lane {
    /// The latest mark, where it is known to be ours.
    mark: Mutex<Option<RelayMark>>,
    /// What was last seen of its marks.
    seen: StdMutex<Option<Seen>>,
}

/// A mark, as one sees it who may want to take over.
#[derive(Debug, Clone)]
struct Seen {
    owner: String,
    seq: u64,
    lease_until: Timestamp,
    /// When it was seen first, by our own clock.
    since: Timestamp,
}

impl<S, M, B, T> Relay<S, M, B, T>
where
    S: CommitSource,
    M: RelayMarks,
    B: PublishEvents,
    T: Timer + Clock,
{
    /// A relay from `source` to `bus`, which keeps its books in `marks` under `name`.
    ///
    /// `owner` names this start of this process; no other may ever bear it. `time` may be a pair of clock and timer.
    #[must_use]
    pub fn new(
        name: impl Into<String>,
        owner: impl Into<String>,
        source: S,
        marks: M,
        bus: B,
        time: T,
        options: RelayOptions,
    ) -> Self {
        let partitions = source.partition_count();
        Self {
            name: name.into(),
            owner: owner.into(),
            source,
            marks,
            bus,
            time,
            options,
            progress: Progress::new(partitions),
            lanes: (0..partitions).map(|_| Lane::default()).collect(),
        }
    }

    /// Whether `partition` was this relay's when it last looked.
    #[must_use]
    pub fn owns(&self, partition: Partition) -> bool {
        let lane = self.lane(partition);
        lane.is_some_and(|lane| {
            lane.last_seen()
                .is_some_and(|seen| seen.owner == self.owner)
        })
    }

    follow::run_methods!();

    fn lane(&self, partition: Partition) -> Option<&Lane> {
        self.lanes.get(usize::from(partition.index()))
    }

    fn lease_end(&self) -> Timestamp {
        let lease = i64::try_from(self.options.lease.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.time.now().as_millis().saturating_add(lease))
    }

    /// The pause between looks at what another owns, and between signs of life.
    fn third(&self) -> Duration {
        self.options.lease / 3
    }

    /// How long the owner of `mark`, first seen at `since`, is still to be believed alive; none where it is not.
    fn left(&self, mark: &RelayMark, since: Timestamp) -> Option<Duration> {
        let now = self.time.now().as_millis();
        let by_its_clock = mark.lease_until.as_millis().saturating_sub(now);
        let seen_for = now.saturating_sub(since.as_millis());
        let lease = i64::try_from(self.options.lease.as_millis()).unwrap_or(i64::MAX);
        let left = by_its_clock.min(lease.saturating_sub(seen_for));
        let left = u64::try_from(left).ok().filter(|left| *left > 0);
        left.map(Duration::from_millis)
    }

    /// The mark to publish on from, where the partition is or becomes ours.
    async fn own(&self, lane: &Lane, partition: Partition) -> Result<Owned, Trouble> {
        let latest = self.marks.latest(&self.name, partition).await;
        let latest = latest.map_err(|error| Trouble::Away(error.into()))?;
        let since = lane.see(latest.as_ref(), self.time.now());
        let mark = match latest {
            Some(mark) if mark.owner == self.owner => mark,
            Some(mark) => {
                let now = self.time.now();
                if let Some(left) = self.left(&mark, since)
                    && !self.may_share(&mark.owner, now)
                {
                    self.progress.stand(partition, mark.position, 0);
                    return Ok(Owned::Not(Step::Standby(left.min(self.third()))));
                }
                // Counted as ours at once, so that the other lanes do not take more than a fair share.
                let ours = RelayMark {
                    owner: self.owner.clone(),
                    ..mark.clone()
                };
                lane.see(Some(&ours), now);
                let (position, offset) = (mark.position, mark.offset);
                match self
                    .put(lane, partition, mark.seq, position, offset)
                    .await?
                {
                    Some(mark) => mark,
                    None => return Ok(Owned::Not(Step::Went)),
                }
            }
            None => match self.put(lane, partition, 0, Position::START, 0).await? {
                Some(mark) => mark,
                None => return Ok(Owned::Not(Step::Went)),
            },
        };
        tracing::info!(relay = self.name, owner = self.owner, %partition, position = %mark.position, "owned");
        let end = self.bus.end(partition).await;
        let end = end.map_err(|error| Trouble::Away(error.source))?;
        let holds = match mark.position {
            // Nothing of what is there is built on.
            Position::START => end >= mark.offset,
            position => {
                let holds = self.bus.holds(partition, position, mark.offset).await;
                holds.map_err(|error| Trouble::Away(error.source))?
            }
        };
        if !holds {
            return Ok(match self.refill(lane, partition, &mark, end).await? {
                Some(mark) => Owned::From(mark),
                None => Owned::Not(Step::Went),
            });
        }
        self.progress.stand(partition, mark.position, 0);
        Ok(Owned::From(mark))
    }

    /// Whether to take a partition from `owner`, who is alive: it has at least two more than we have.
    fn may_share(&self, owner: &str, now: Timestamp) -> bool {
        let (mut theirs, mut ours) = (0, 0);
        for seen in self.lanes.iter().filter_map(Lane::last_seen) {
            if seen.owner == self.owner {
                ours += 1;
            } else if seen.owner == owner && seen.lease_until > now {
                theirs += 1;
            }
        }
        theirs >= ours + 2
    }

    /// Inserts the mark after number `seq`; `None` where it is taken.
    async fn put(
        &self,
        lane: &Lane,
        partition: Partition,
        seq: u64,
        position: Position,
        offset: u64,
    ) -> Result<Option<RelayMark>, Trouble> {
        let mark = RelayMark {
            seq: seq + 1,
            position,
            offset,
            owner: self.owner.clone(),
            lease_until: self.lease_end(),
        };
        let inserted = self.marks.insert(&self.name, partition, &mark).await;
        if !inserted.map_err(|error| Trouble::Away(error.into()))? {
            tracing::info!(relay = self.name, owner = self.owner, %partition, "lost a mark");
            self.progress.retried();
            return Ok(None);
        }
        lane.see(Some(&mark), self.time.now());
        Ok(Some(mark))
    }

    /// Starts again from position 1, because the topic ends at `end`.
    async fn refill(
        &self,
        lane: &Lane,
        partition: Partition,
        mark: &RelayMark,
        end: u64,
    ) -> Result<Option<RelayMark>, Trouble> {
        tracing::warn!(
            relay = self.name, %partition, end, offset = mark.offset,
            "the topic has lost records: publishing everything again"
        );
        let start = Position::START;
        let mark = self.put(lane, partition, mark.seq, start, end).await?;
        if mark.is_some() {
            self.progress.stand(partition, start, 0);
        }
        Ok(mark)
    }

    /// Publishes `slice` behind `mark`; the next mark, unless it was lost.
    async fn publish(
        &self,
        lane: &Lane,
        partition: Partition,
        mark: &RelayMark,
        slice: &[RecordedCommit],
        to: Position,
    ) -> Result<Option<RelayMark>, Trouble> {
        let events: usize = slice.iter().map(|commit| commit.events.len()).sum();
        let mut mark = mark.clone();
        let mut publishing = pin!(self.bus.publish(partition, slice));
        let end = loop {
            let tired = pin!(self.time.sleep(self.third().max(SHORTEST)));
            match select(publishing.as_mut(), tired).await {
                Either::Left((end, _)) => break end,
                // Else another would take over meanwhile, publish the same, and lose it again in its turn.
                Either::Right(_) => {
                    let (position, offset) = (mark.position, mark.offset);
                    let renewed = self.put(lane, partition, mark.seq, position, offset);
                    match renewed.await? {
                        Some(renewed) => mark = renewed,
                        None => return Ok(None),
                    }
                }
            }
        };
        let end = match end {
            Err(_) if mutant("count a slice without its delivery reports") => {
                mark.offset.saturating_add(events as u64)
            }
            end => end.map_err(|error| Trouble::Away(error.source))?,
        };
        if end < mark.offset.saturating_add(events as u64) {
            return self.refill(lane, partition, &mark, end).await;
        }
        let next = self.put(lane, partition, mark.seq, to, end).await?;
        if next.is_some() {
            self.progress.done(events, 0);
            self.progress.stand(partition, to, 0);
        }
        Ok(next)
    }
}

/// Whether a partition is ours.
enum Owned {
    From(RelayMark),
    Not(Step),
}

impl Lane {
    fn seen(&self) -> MutexGuard<'_, Option<Seen>> {
        // A plain value: nothing panics half-way through a change.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of the latest mark; since when it is the latest.
    fn see(&self, mark: Option<&RelayMark>, now: Timestamp) -> Timestamp {
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

    fn last_seen(&self) -> Option<Seen> {
        self.seen().clone()
    }
}

impl<S, M, B, T> Follower for Relay<S, M, B, T>
where
    S: CommitSource,
    M: RelayMarks,
    B: PublishEvents,
    T: Timer + Clock,
{
    type Source = S;
    type Timer = T;

    fn name(&self) -> &str {
        &self.name
    }

    fn source(&self) -> &S {
        &self.source
    }

    fn timer(&self) -> &T {
        &self.time
    }

    fn backoff(&self) -> Backoff {
        self.options.backoff
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn patience(&self) -> Option<Duration> {
        Some(self.third())
    }

    async fn begin(&self, partition: Partition) -> Result<(), Trouble> {
        if let Some(lane) = self.lane(partition) {
            *lane.mark.lock().await = None;
        }
        Ok(())
    }

    async fn step(&self, partition: Partition) -> Result<Step, Trouble> {
        let Some(lane) = self.lane(partition) else {
            return Err(follow::no_such_partition(&self.source, partition));
        };
        let mut known = lane.mark.lock().await;
        // Taken out, so that it is forgotten wherever this ends early.
        let mut mark = match known.take() {
            Some(mark) => mark,
            None => match self.own(lane, partition).await? {
                Owned::From(mark) => mark,
                Owned::Not(step) => return Ok(step),
            },
        };
        let now = self.time.now().as_millis();
        let left = mark.lease_until.as_millis().saturating_sub(now);
        if u128::try_from(left).unwrap_or(0) < 2 * self.third().as_millis() {
            let (position, offset) = (mark.position, mark.offset);
            match self
                .put(lane, partition, mark.seq, position, offset)
                .await?
            {
                Some(renewed) => mark = renewed,
                None => return Ok(Step::Went),
            }
        }
        let after = mark.position;
        let slice = follow::read(&self.source, partition, after, self.options.max_events).await?;
        let Some(last) = slice.last() else {
            *known = Some(mark);
            return Ok(Step::AtEnd(after));
        };
        let to = last.at.position;
        *known = self.publish(lane, partition, &mark, &slice, to).await?;
        Ok(match &*known {
            Some(mark) if mark.position == to => Step::to(&self.source, partition, to),
            _ => Step::Went,
        })
    }

    async fn end(&self, partition: Partition) {
        let Some(lane) = self.lane(partition) else {
            return;
        };
        let Some(mark) = lane.mark.lock().await.take() else {
            return;
        };
        let over = RelayMark {
            seq: mark.seq + 1,
            lease_until: self.time.now(),
            ..mark
        };
        match self.marks.insert(&self.name, partition, &over).await {
            Ok(_) => drop(lane.see(None, self.time.now())),
            Err(error) => {
                let error = follow::chain(&error);
                tracing::warn!(relay = self.name, %partition, error, "not let go: the lease must run out");
            }
        }
    }
}
