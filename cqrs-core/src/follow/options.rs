//! How runners work, and why one gives up.

use std::time::Duration;

use crate::BoxError;
use crate::log::{EventId, ReadError, SourceError};
use crate::position::Partition;

/// Growing pauses between attempts: the first, then twice as long each time, up to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// The pause after the first failure.
    pub first: Duration,
    /// The longest pause.
    pub longest: Duration,
}

impl Default for Backoff {
    /// From 50 ms to 5 s.
    fn default() -> Self {
        Self {
            first: Duration::from_millis(50),
            longest: Duration::from_secs(5),
        }
    }
}

impl Backoff {
    /// The pause after `failures` failures in a row; none after 0.
    #[must_use]
    pub fn pause(&self, failures: u32) -> Duration {
        match failures {
            0 => Duration::ZERO,
            n => self
                .first
                .saturating_mul(1 << (n - 1).min(20))
                .min(self.longest),
        }
    }
}

/// How a runner works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunnerOptions {
    /// How many events a slice holds at most, unless a single commit has more.
    pub max_events: usize,
    /// How often an event that cannot be dealt with is tried in all, at least once.
    pub attempts: u32,
    /// The pauses between attempts.
    pub backoff: Backoff,
    /// How long a projection waits at the end of the log at most, before it asks its store where its checkpoint
    /// stands: a database that loses its tail in a crash takes it back, and nobody tells.
    pub look_again: Duration,
    /// How long a projection that has waited at the end of the log lets events gather, once there are some: where nobody is in a
    /// hurry, a slice of several costs hardly more than one of one.
    pub gathering: Duration,
    /// Whether a projection reads its next slice while it writes one: a history is applied sooner, and twice as much of it is in
    /// memory. At the end of the log it only asks for nothing.
    pub read_ahead: bool,
}

impl Default for RunnerOptions {
    /// 500 events, 3 attempts, the default pauses, 5 s; nothing is waited for or read ahead.
    fn default() -> Self {
        Self {
            max_events: 500,
            attempts: 3,
            backoff: Backoff::default(),
            look_again: Duration::from_secs(5),
            gathering: Duration::ZERO,
            read_ahead: false,
        }
    }
}

/// Why a runner gave up a partition. The other partitions go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunnerError {
    /// The log lacks the partition, or is corrupt. A human must look.
    #[error("partition {partition} cannot be followed")]
    Log {
        /// The partition.
        partition: Partition,
        /// What the log said.
        source: ReadError,
    },
    /// The bus lacks an event and does not repeat it. A human must look.
    #[error("partition {partition} cannot be followed on the bus")]
    Hole {
        /// The partition.
        partition: Partition,
        /// What is missing.
        source: SourceError,
    },
    /// A reactor gave an event up, and must not skip it.
    #[error("reactor `{reactor}` gave up event `{event}`")]
    GaveUp {
        /// The reactor.
        reactor: String,
        /// The event.
        event: EventId,
        /// Why.
        source: BoxError,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_the_longest() {
        let backoff = Backoff::default();
        let millis = |n| backoff.pause(n).as_millis();
        assert_eq!([0, 1, 2, 3].map(millis), [0, 50, 100, 200]);
        assert_eq!([20, 1_000, u32::MAX].map(millis), [5_000; 3]);
    }
}
