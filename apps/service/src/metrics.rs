//! What the parts tell about themselves beside the requests, read when it is asked.

use std::fmt;

use cqrs_core::{EventLog, ExecutorStats, Partition, Position, Progress};
use http_kit::{Health, Readiness};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use social_api::App;

/// Writes one gauge.
///
/// # Errors
///
/// The encoder's.
pub fn gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> fmt::Result {
    let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
    let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
    gauge.encode(metric)
}

/// Writes one counter.
///
/// # Errors
///
/// The encoder's.
pub fn counter(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: u64,
) -> fmt::Result {
    let counter = ConstCounter::new(value);
    let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
    counter.encode(metric)
}

/// What the command path of a process has done.
pub struct CommandStats<L>(pub App<L>);

impl<L: EventLog + Clone + 'static> Collector for CommandStats<L> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let stats = self.0.stats();
        let sum =
            |read: fn(&ExecutorStats) -> u64| stats.iter().map(|(_, stats)| read(stats)).sum();
        let cached = stats.iter().map(|(_, stats)| stats.cached_bytes).sum();
        gauge(
            encoder,
            "aggregate_cache_bytes",
            "Folded state in memory",
            cached,
        )?;
        counter(
            encoder,
            "commits",
            "Commits that landed",
            sum(|s| s.commits),
        )?;
        counter(
            encoder,
            "commit_events",
            "Events that landed",
            sum(|s| s.events),
        )?;
        let lost = "Decisions lost to a rival";
        counter(encoder, "conflicts", lost, sum(|s| s.conflicts))?;
        let repeated = "Answers made again from the log";
        counter(encoder, "replies_repeated", repeated, sum(|s| s.repeats))?;
        let loads = "Streams folded from the log";
        counter(encoder, "aggregate_loads", loads, sum(|s| s.loads))
    }
}

impl<L> fmt::Debug for CommandStats<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandStats").finish_non_exhaustive()
    }
}

/// How far a follower of the log (a projection, a relay) has come, under names of its own.
#[derive(Debug, Clone)]
pub struct FollowerStats {
    /// What its metrics begin with: `projection`, `relay`.
    pub name: &'static str,
    /// Where it tells.
    pub progress: Progress,
}

impl FollowerStats {
    /// Shows in `readiness` how many streams are parked: one is worse, and no reason to get no requests.
    pub fn report_parked(&self, readiness: &Readiness) {
        let progress = self.progress.clone();
        readiness.measure("parked_streams", move || match progress.parked_count() {
            0 => (Health::Ok, 0),
            parked => (Health::Degraded, parked as u64),
        });
    }

    /// Shows in `readiness` how many partitions were given up: with one, the service does not do its work.
    pub fn report_stopped(&self, readiness: &Readiness) {
        let progress = self.progress.clone();
        readiness.measure("stopped_partitions", move || {
            match stopped_partitions(&progress) {
                0 => (Health::Ok, 0),
                stopped => (Health::Down, stopped),
            }
        });
    }

    /// The sum over partitions of the positions that are done.
    #[must_use]
    pub fn done(&self) -> u64 {
        Partition::all(self.progress.partitions())
            .map(|partition| self.progress.position(partition).get())
            .sum()
    }
}

/// How many partitions a runner gave up: what is wrong with them no waiting mends.
#[must_use]
pub fn stopped_partitions(progress: &Progress) -> u64 {
    Partition::all(progress.partitions())
        .map(|partition| u64::from(progress.is_stopped(partition)))
        .sum()
}

impl Collector for FollowerStats {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (encoder, name) = (&mut encoder, self.name);
        let counts = self.progress.counts();
        let named = |what: &str| format!("{name}_{what}");
        gauge(encoder, &named("position"), "Commits done", self.done())?;
        let parked = self.progress.parked_count() as u64;
        let waiting = "Streams that wait for a human";
        gauge(encoder, &named("parked_streams"), waiting, parked)?;
        counter(encoder, &named("events"), "Events done", counts.events)?;
        counter(
            encoder,
            &named("retries"),
            "Batches tried again",
            counts.retries,
        )
    }
}

/// How far a log has come, and how far a follower is behind it.
#[derive(Clone)]
pub struct LagStats<H> {
    /// The last known position of a partition; must not wait.
    pub head: H,
    /// The follower.
    pub follower: FollowerStats,
}

impl<H: Fn(Partition) -> Position> LagStats<H> {
    fn each(&self) -> impl Iterator<Item = (Partition, Position)> + '_ {
        let partitions = Partition::all(self.follower.progress.partitions());
        partitions.map(|partition| (partition, (self.head)(partition)))
    }

    /// How many commits the follower has not done yet.
    #[must_use]
    pub fn behind(&self) -> u64 {
        let behind = |(partition, head): (Partition, Position)| {
            let done = self.follower.progress.position(partition);
            head.get().saturating_sub(done.get())
        };
        self.each().map(behind).sum()
    }
}

impl<H> Collector for LagStats<H>
where
    H: Fn(Partition) -> Position + Send + Sync + 'static,
{
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let head = self.each().map(|(_, head)| head.get()).sum();
        gauge(&mut encoder, "log_head", "Commits in the log", head)?;
        let name = format!("{}_lag", self.follower.name);
        gauge(&mut encoder, &name, "Commits not done yet", self.behind())?;
        self.follower.encode(encoder)
    }
}

impl<H> fmt::Debug for LagStats<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LagStats")
            .field("follower", &self.follower)
            .finish_non_exhaustive()
    }
}
