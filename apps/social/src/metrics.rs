//! What the embedded store tells about itself, read when it is asked.

use std::fmt;

use cqrs_core::{Partition, Progress, TailLog};
use cqrs_sqlite::SqliteStore;
use futures_util::FutureExt;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use social_service::gauge;

/// Reads the log and how far the projection is behind it.
#[derive(Clone)]
pub(crate) struct StoreStats {
    pub(crate) store: SqliteStore,
    pub(crate) progress: Progress,
}

impl StoreStats {
    /// The last durable position of `partition`.
    fn head(&self, partition: Partition) -> u64 {
        // Here the head is kept in memory: the future is ready at once.
        let head = self.store.head(partition).now_or_never();
        head.and_then(Result::ok).map_or(0, |head| head.get())
    }

    /// How many commits the read model does not reflect yet.
    pub(crate) fn lag(&self) -> u64 {
        Partition::all(self.store.partitions())
            .map(|partition| {
                let done = self.progress.position(partition).get();
                self.head(partition).saturating_sub(done)
            })
            .sum()
    }
}

impl Collector for StoreStats {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let encoder = &mut encoder;
        let partitions = Partition::all(self.store.partitions());
        let head = partitions.map(|partition| self.head(partition)).sum();
        gauge(encoder, "log_head", "Commits in the log", head)?;
        let missing = "Commits not in the read model yet";
        gauge(encoder, "projection_lag", missing, self.lag())?;
        let queued = self.store.queued() as u64;
        gauge(
            encoder,
            "writer_queue",
            "Jobs that wait for the writer",
            queued,
        )
    }
}

impl fmt::Debug for StoreStats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreStats").finish_non_exhaustive()
    }
}
