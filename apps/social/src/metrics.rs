//! What the process tells about itself beside its requests, read when it is asked.

use std::fmt;

use cqrs_core::{Partition, Progress, TailLog};
use cqrs_sqlite::SqliteStore;
use futures_util::FutureExt;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use social_api::App;

/// Reads the log, the projection and the command path when metrics are asked for.
pub(crate) struct Inside {
    pub(crate) store: SqliteStore,
    pub(crate) app: App<SqliteStore>,
    pub(crate) progress: Progress,
}

impl Inside {
    /// The sum over partitions of the last durable positions.
    fn head(&self) -> u64 {
        // Here the head is kept in memory: the future is ready at once.
        let head = |partition| self.store.head(partition).now_or_never()?.ok();
        Partition::all(self.store.partitions())
            .filter_map(head)
            .map(|head| head.get())
            .sum()
    }

    fn projected(&self) -> u64 {
        Partition::all(self.progress.partitions())
            .map(|partition| self.progress.position(partition).get())
            .sum()
    }
}

impl Collector for Inside {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let (head, projected) = (self.head(), self.projected());
        let counts = self.progress.counts();
        let mut gauge = |name, help, value: u64| {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)
        };
        gauge("log_head", "Commits in the log", head)?;
        let lag = head.saturating_sub(projected);
        gauge("projection_lag", "Commits not in the read model yet", lag)?;
        let parked = self.progress.parked_count() as u64;
        gauge(
            "projection_parked_streams",
            "Streams that wait for a human",
            parked,
        )?;
        let queued = self.store.queued() as u64;
        gauge("writer_queue", "Jobs that wait for the writer", queued)?;
        let stats = self.app.stats();
        let cached = stats.iter().map(|(_, stats)| stats.cached_bytes).sum();
        gauge("aggregate_cache_bytes", "Folded state in memory", cached)?;

        let mut counter = |name, help, value: u64| {
            let counter = ConstCounter::new(value);
            let metric = encoder.encode_descriptor(name, help, None, counter.metric_type())?;
            counter.encode(metric)
        };
        counter("projection_events", "Events applied", counts.events)?;
        counter("projection_retries", "Batches tried again", counts.retries)?;
        let sum = |read: fn(&cqrs_core::ExecutorStats) -> u64| {
            stats.iter().map(|(_, stats)| read(stats)).sum::<u64>()
        };
        counter("commits", "Commits that landed", sum(|s| s.commits))?;
        counter("commit_events", "Events that landed", sum(|s| s.events))?;
        counter(
            "conflicts",
            "Decisions lost to a rival",
            sum(|s| s.conflicts),
        )?;
        counter(
            "replies_repeated",
            "Answers made again from the log",
            sum(|s| s.repeats),
        )?;
        counter(
            "aggregate_loads",
            "Streams folded from the log",
            sum(|s| s.loads),
        )
    }
}

impl fmt::Debug for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inside").finish_non_exhaustive()
    }
}
