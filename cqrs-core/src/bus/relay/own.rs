//! Whose a partition is.

use std::time::Duration;

use super::Relay;
use super::lane::{Lane, Standing};
use crate::bus::{PublishEvents, RelayMark, RelayMarks};
use crate::follow::{Step, Trouble};
use crate::log::CommitSource;
use crate::position::{Partition, Position};
use crate::time::{Clock, Timer, Timestamp};

/// Whether a partition is ours.
pub(super) enum Owned {
    From(Standing),
    Not(Step),
}

impl<S, M, B, T> Relay<S, M, B, T>
where
    S: CommitSource,
    M: RelayMarks,
    B: PublishEvents,
    T: Timer + Clock,
{
    /// Where to publish on from, where the partition is or becomes ours.
    pub(super) async fn own(&self, lane: &Lane, partition: Partition) -> Result<Owned, Trouble> {
        let latest = self.marks.latest(&self.name, partition).await;
        let latest = latest.map_err(|error| Trouble::Away(error.into()))?;
        let now = self.time.now();
        let since = lane.see(latest.as_ref(), now);
        let standing = match latest {
            Some(mark) if mark.owner == self.owner => Standing::at(mark, now),
            Some(mark) => {
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
                match self.mark(lane, partition, Standing::at(mark, now)).await? {
                    Some(standing) => standing,
                    None => return Ok(Owned::Not(self.lost(lane))),
                }
            }
            None => {
                let none = RelayMark {
                    seq: 0,
                    position: Position::START,
                    offset: 0,
                    owner: self.owner.clone(),
                    lease_until: now,
                };
                match self.mark(lane, partition, Standing::at(none, now)).await? {
                    Some(standing) => standing,
                    None => return Ok(Owned::Not(self.lost(lane))),
                }
            }
        };
        tracing::info!(relay = self.name, owner = self.owner, %partition, position = %standing.position, "owned");
        let end = self.bus.end(partition).await;
        let end = end.map_err(|error| Trouble::Away(error.source))?;
        let holds = match standing.position {
            // Nothing of what is there is built on.
            Position::START => end >= standing.offset,
            position => {
                let holds = self.bus.holds(partition, position, standing.offset).await;
                holds.map_err(|error| Trouble::Away(error.source))?
            }
        };
        if !holds {
            return Ok(match self.refill(lane, partition, standing, end).await? {
                Some(standing) => Owned::From(standing),
                None => Owned::Not(self.lost(lane)),
            });
        }
        self.progress.stand(partition, standing.position, 0);
        Ok(Owned::From(standing))
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

    /// Inserts the next mark, at `standing`; `None` where it is taken.
    pub(super) async fn mark(
        &self,
        lane: &Lane,
        partition: Partition,
        standing: Standing,
    ) -> Result<Option<Standing>, Trouble> {
        let mark = RelayMark {
            seq: standing.mark.seq + 1,
            position: standing.position,
            offset: standing.offset,
            owner: self.owner.clone(),
            lease_until: self.lease_end(),
        };
        let now = self.time.now();
        let inserted = self.marks.insert(&self.name, partition, &mark).await;
        if !inserted.map_err(|error| Trouble::Away(error.into()))? {
            tracing::info!(relay = self.name, owner = self.owner, %partition, "lost a mark");
            self.progress.retried();
            return Ok(None);
        }
        lane.see(Some(&mark), self.time.now());
        Ok(Some(Standing::at(mark, now)))
    }

    fn lease_end(&self) -> Timestamp {
        let lease = i64::try_from(self.options.lease.as_millis()).unwrap_or(i64::MAX);
        Timestamp::from_millis(self.time.now().as_millis().saturating_add(lease))
    }

    /// The pause between looks at what another owns, and between signs of life.
    pub(super) fn third(&self) -> Duration {
        self.options.lease / 3
    }
}
