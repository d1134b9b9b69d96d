//! Publishes the log to a bus.
//!
//! Several relays of one name share the partitions: each partition has a book of [`RelayMark`]s, which say at once
//! who owns it and how far it is published.
//!
//! Invariants:
//!
//! - A mark is inserted only after everything up to its position is on the bus. So whoever takes over from a mark
//!   publishes on without a hole, whatever its predecessor was doing. It need not be inserted after each slice: an owner
//!   knows how far it is, and marks that so often ([`RelayOptions::mark_every`]), and where it ends.
//! - Each relay publishes a partition from a mark on, slice by slice, without a gap: what two at once interleave has repeats
//!   and no hole.
//! - Ownership is the latest mark's `owner`. Who loses the insert of the next one has lost the partition: it publishes
//!   nothing more there before it owns it again, from that mark on. Clocks decide only when a take-over is *tried*: a wrong
//!   one costs repeats, never loss. A lease is over when the clock says so, or when no new mark was seen for as long as a
//!   lease: who was ahead of the time when it died keeps nothing.
//! - Who has lost a partition leaves it alone for a third of a lease, which is long beside a slice and
//!   [`RelayOptions::mark_every`]: so whoever has it gets on, even where wrong clocks make each think the other's lease over.
//! - An owner shows life also while a slice is on its way, however long that takes.
//! - A slice ends at a commit's last event.
//!
//! | what happens | what is done |
//! |---|---|
//! | the bus is away, or its answer is lost | wait, publish the whole slice again: repeats in order |
//! | crash between publishing and the mark | whoever takes over publishes again what was not marked yet |
//! | crash of the owner | its lease runs out, another takes the partition over |
//! | a slice takes longer than a lease | the mark is renewed where it stands, every third of it |
//! | the marks are away, or an insert's outcome is unknown | wait, look at the latest: ours, go on from there; another's, stand by |
//! | the insert of the next mark is lost | another has taken the partition: stand by, for a third of a lease at least |
//! | two owners at once (a wrong clock, a long pause) | repeats; the slower loses its next mark |
//! | two relays whose clocks differ by more than a lease take a partition from each other again and again | repeats; each gets on for a third of a lease |
//! | a new relay joins | it takes partitions, one at a time, from an owner that has two more than itself |
//! | orderly end | a mark whose lease is over: others need not wait |
//! | the topic ends below the mark's offset after a slice; or, at a take-over and after every error, does not hold the mark's last record where the mark says | it was made anew or has lost records: publish again from position 1 |
//! | the log is corrupt | that partition ends with [`RunnerError::Log`], its lease runs out |

mod lane;
mod own;
mod publish;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::bus::{PublishEvents, RelayMark, RelayMarks};
use crate::follow::{self, Backoff, Follower, RunnerError, Step, Trouble};
use crate::log::CommitSource;
use crate::mutants::mutant;
use crate::position::Partition;
use crate::projection::Progress;
use crate::time::{Clock, Timer};

use lane::{Lane, Standing};
use own::Owned;

/// How a relay works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelayOptions {
    /// How many events a slice holds at most, unless a single commit has more.
    pub max_events: usize,
    /// How long a partition stays with an owner that shows no life.
    pub lease: Duration,
    /// How long it may publish without marking that: so much is published again after a crash.
    pub mark_every: Duration,
    /// The pauses between attempts.
    pub backoff: Backoff,
}

impl Default for RelayOptions {
    /// 2,000 events, ten seconds, a mark in 100 ms, the default pauses.
    fn default() -> Self {
        Self {
            max_events: 2_000,
            lease: Duration::from_secs(10),
            mark_every: Duration::from_millis(100),
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

    /// Publishes the next slice of a partition that is ours.
    async fn slice(
        &self,
        lane: &Lane,
        partition: Partition,
        known: &mut Option<Standing>,
    ) -> Result<Step, Trouble> {
        // Taken out, so that it is forgotten wherever this ends early.
        let standing = match known.take() {
            Some(standing) => standing,
            None => match self.own(lane, partition).await? {
                Owned::From(standing) => standing,
                Owned::Not(step) => return Ok(step),
            },
        };
        // A third of the lease is over: life is shown in time, were a slice to take as long.
        let standing = match standing.is_older(self.time.now(), self.third()) {
            true => self.mark(lane, partition, standing).await?,
            false => self.mark_if_due(lane, partition, standing).await?,
        };
        let Some(standing) = standing else {
            return Ok(self.lost(lane));
        };
        let after = standing.position;
        let slice = follow::read(&self.source, partition, after, self.options.max_events).await?;
        let Some(last) = slice.last() else {
            *known = Some(standing);
            return Ok(Step::AtEnd(after));
        };
        let to = last.at.position;
        *known = self.publish(lane, partition, standing, &slice, to).await?;
        Ok(match &*known {
            Some(standing) if standing.position == to => Step::to(&self.source, partition, to),
            Some(_) => Step::Went,
            None => self.lost(lane),
        })
    }

    /// What follows when a mark is lost: it is not known whose the partition is.
    fn lost(&self, lane: &Lane) -> Step {
        lane.see(None, self.time.now());
        match mutant("who lost a partition tries again at once") {
            true => Step::Went,
            false => Step::Standby(self.third()),
        }
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

    fn patience(&self, partition: Partition) -> Option<Duration> {
        let unmarked = self.lane(partition).is_some_and(Lane::is_unmarked);
        Some(match unmarked {
            true => self.options.mark_every.min(self.third()),
            false => self.third(),
        })
    }

    async fn begin(&self, partition: Partition) -> Result<(), Trouble> {
        if let Some(lane) = self.lane(partition) {
            *lane.standing.lock().await = None;
            lane.set_unmarked(None);
        }
        Ok(())
    }

    async fn step(&self, partition: Partition) -> Result<Step, Trouble> {
        let Some(lane) = self.lane(partition) else {
            return Err(follow::no_such_partition(&self.source, partition));
        };
        let mut known = lane.standing.lock().await;
        let step = self.slice(lane, partition, &mut known).await;
        lane.set_unmarked(known.as_ref());
        step
    }

    async fn end(&self, partition: Partition) {
        let Some(lane) = self.lane(partition) else {
            return;
        };
        let Some(standing) = lane.standing.lock().await.take() else {
            return;
        };
        let over = RelayMark {
            seq: standing.mark.seq + 1,
            position: standing.position,
            offset: standing.offset,
            lease_until: self.time.now(),
            ..standing.mark
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
