//! What can be set on an executor, and what it counts.

use std::sync::atomic::{AtomicU64, Ordering};

use super::cache::Landed;

/// Bounds of an executor.
#[derive(Debug, Clone, Copy)]
pub struct ExecutorOptions {
    /// How many bytes of folded state the cache holds, by [`Aggregate::weight`](crate::Aggregate::weight). Streams
    /// with commits under way are kept beyond it, and the one that was used last. Default 8 MiB.
    pub cache_bytes: usize,
    /// How many commands may be under way on one stream; more are refused as overloaded. Default 1,024.
    pub stream_queue: usize,
    /// How many independent locks the streams are spread over. Default 16.
    pub shards: usize,
    /// Seeds the hash of the cache, so that nobody outside can choose colliding names. Default 0.
    pub hash_seed: u64,
}

impl Default for ExecutorOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 8 << 20,
            stream_queue: 1_024,
            shards: 16,
            hash_seed: 0,
        }
    }
}

/// What an executor has done since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExecutorStats {
    /// Commits that landed.
    pub commits: u64,
    /// Events in them.
    pub events: u64,
    /// Answers made again from the log.
    pub repeats: u64,
    /// Decisions lost to a rival or to a lost predecessor.
    pub conflicts: u64,
    /// Streams folded from the log.
    pub loads: u64,
    /// Bytes of folded state in the cache.
    pub cached_bytes: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    repeats: AtomicU64,
    conflicts: AtomicU64,
    loads: AtomicU64,
}

impl Counters {
    pub(super) fn repeated(&self) {
        self.repeats.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn conflict(&self) {
        self.conflicts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn loaded(&self) {
        self.loads.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn read(&self, landed: Landed, cached_bytes: usize) -> ExecutorStats {
        ExecutorStats {
            commits: landed.commits,
            events: landed.events,
            repeats: self.repeats.load(Ordering::Relaxed),
            conflicts: self.conflicts.load(Ordering::Relaxed),
            loads: self.loads.load(Ordering::Relaxed),
            cached_bytes: cached_bytes as u64,
        }
    }
}
