//! Folded states by stream, bounded by weight; each entry one epoch of speculation.

use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use foldhash::fast::FixedState;
use lru::LruCache;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::aggregate::Aggregate;
use crate::envelope::CommandId;
use crate::mutants::mutant;
use crate::stream::StreamName;
use crate::version::{ExpectedVersion, Version};

use super::ExecutorOptions;

/// A snapshot is due when the tail has more events than this, and more bytes than a tenth of the state.
const SNAPSHOT_EVENTS: u64 = 200;
/// What an entry weighs beside its state.
const ENTRY_BYTES: usize = 160;
/// How many entries in use are passed over in search of one to evict.
const PASSED_OVER: usize = 8;

pub(super) struct Cache<A> {
    shards: Box<[Mutex<Shard<A>>]>,
    hasher: FixedState,
    pub(super) shard_bytes: usize,
    pub(super) stream_queue: usize,
}

pub(super) struct Shard<A> {
    entries: LruCache<StreamName, Entry<A>, FixedState>,
    bytes: usize,
    epochs: u64,
    landed: Landed,
}

/// What has landed; counted where the lock is held in any case.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Landed {
    pub(super) commits: u64,
    pub(super) events: u64,
}

struct Entry<A> {
    epoch: u64,
    slot: Slot<A>,
}

enum Slot<A> {
    Loading { done: Arc<Notify>, waiting: usize },
    Ready(Ready<A>),
}

impl<A> Entry<A> {
    fn weight(&self) -> usize {
        match &self.slot {
            Slot::Loading { .. } => 0,
            Slot::Ready(ready) => ready.weight,
        }
    }
}

/// A state that commands are decided on.
pub(super) struct Ready<A> {
    /// `None` only while it evolves; found so, a panic went through.
    pub(super) state: Option<A>,
    /// Its version once all that is under way has landed.
    pub(super) version: Version,
    /// The command whose commit ends there, unless the state was folded from what is durable.
    pub(super) last: Option<CommandId>,
    /// Whether the stream was never read, only assumed to be empty.
    assumed: bool,
    /// Commits and confirmations under way.
    pub(super) under_way: usize,
    /// Since the last snapshot that was asked for.
    tail_events: u64,
    tail_bytes: usize,
    weight: usize,
}

/// What a stream's entry is found to be.
pub(super) enum Found<'s, A> {
    Ready(&'s mut Ready<A>, u64),
    Loading(OwnedNotified),
    /// Nothing there: the caller loads.
    Absent,
    /// A panic went through its state: the caller removes it, then there is nothing there.
    Broken,
    Full,
}

/// How the weight of an entry changed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reweighed {
    before: usize,
    after: usize,
}

/// A folded stream.
pub(super) struct Loaded<A> {
    pub(super) state: A,
    pub(super) version: Version,
    /// What was folded after the snapshot.
    pub(super) tail_events: u64,
    pub(super) tail_bytes: usize,
}

impl<A: Aggregate> Cache<A> {
    pub(super) fn new(options: ExecutorOptions) -> Self {
        let shards = options.shards.max(1);
        let hasher = FixedState::with_seed(options.hash_seed);
        let shard = || Shard {
            entries: LruCache::unbounded_with_hasher(hasher.clone()),
            bytes: 0,
            epochs: 0,
            landed: Landed::default(),
        };
        Self {
            shards: (0..shards).map(|_| Mutex::new(shard())).collect(),
            shard_bytes: options.cache_bytes / shards,
            stream_queue: options.stream_queue,
            hasher,
        }
    }

    /// The shard that holds `stream`.
    pub(super) fn shard(&self, stream: &StreamName) -> Place<'_, A> {
        let index = self.hasher.hash_one(stream) >> 32;
        Place(&self.shards[(index % self.shards.len() as u64) as usize])
    }

    pub(super) fn weight(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| Place(shard).lock().bytes)
            .sum()
    }

    pub(super) fn landed(&self) -> Landed {
        let landed = self.shards.iter().map(|shard| Place(shard).lock().landed);
        landed.fold(Landed::default(), |sum, landed| Landed {
            commits: sum.commits + landed.commits,
            events: sum.events + landed.events,
        })
    }
}

/// Where a stream's entry is, or would be.
pub(super) struct Place<'c, A>(&'c Mutex<Shard<A>>);

impl<A> Clone for Place<'_, A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Place<'_, A> {}

impl<'c, A> Place<'c, A> {
    pub(super) fn lock(self) -> MutexGuard<'c, Shard<A>> {
        // A panic in `decide` changed nothing; one in `evolve` left no state.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: Aggregate> Shard<A> {
    pub(super) fn find(&mut self, stream: &StreamName, limit: usize) -> Found<'_, A> {
        match self.entries.get_mut(stream) {
            None => Found::Absent,
            Some(Entry {
                epoch,
                slot: Slot::Ready(ready),
            }) => {
                if ready.state.is_none() {
                    Found::Broken
                } else if ready.under_way >= limit {
                    Found::Full
                } else {
                    Found::Ready(ready, *epoch)
                }
            }
            Some(Entry {
                slot: Slot::Loading { done, waiting },
                ..
            }) => {
                if *waiting >= limit {
                    Found::Full
                } else {
                    *waiting += 1;
                    Found::Loading(Arc::clone(done).notified_owned())
                }
            }
        }
    }

    /// Puts the state of an empty stream in place, unread, where there is nothing.
    pub(super) fn assume_empty(&mut self, stream: &StreamName) {
        let epoch = self.next_epoch();
        self.entries.get_or_insert_ref(stream, || Entry {
            epoch,
            slot: Slot::Ready(Ready {
                state: Some(A::default()),
                version: Version::EMPTY,
                last: None,
                assumed: true,
                under_way: 0,
                tail_events: 0,
                tail_bytes: 0,
                weight: 0,
            }),
        });
    }

    fn next_epoch(&mut self) -> u64 {
        self.epochs += 1;
        self.epochs
    }

    fn put(&mut self, stream: &StreamName, epoch: u64, slot: Slot<A>) {
        self.remove(stream);
        self.entries.put(stream.clone(), Entry { epoch, slot });
    }

    pub(super) fn remove(&mut self, stream: &StreamName) {
        let removed = self.entries.pop(stream);
        self.bytes -= removed.map_or(0, |entry| entry.weight());
    }

    fn remove_epoch(&mut self, stream: &StreamName, epoch: u64) {
        if self.entries.peek(stream).is_some_and(|e| e.epoch == epoch) {
            self.remove(stream);
        }
    }

    fn ready(&mut self, stream: &StreamName, epoch: u64) -> Option<&mut Ready<A>> {
        match self.entries.peek_mut(stream) {
            Some(Entry {
                epoch: found,
                slot: Slot::Ready(ready),
            }) if *found == epoch => Some(ready),
            _ => None,
        }
    }

    /// Takes note that `stream` weighs something else now, and evicts what no longer fits, longest unused first.
    ///
    /// Never `stream` itself: one that alone weighs more than the limit would be loaded for ever, and never decided.
    pub(super) fn weighed(&mut self, stream: &StreamName, change: Reweighed, limit: usize) {
        self.bytes = self.bytes - change.before + change.after;
        let mut passed_over = 0;
        while self.bytes > limit && passed_over < PASSED_OVER {
            let Some((oldest, entry)) = self.entries.peek_lru() else {
                break;
            };
            let idle = matches!(&entry.slot, Slot::Ready(ready) if ready.under_way == 0);
            let spared = oldest == stream && !mutant("evict what there must be room for");
            if idle && !spared {
                let evicted = self.entries.pop_lru();
                self.bytes -= evicted.map_or(0, |(_, entry)| entry.weight());
            } else {
                let oldest = oldest.clone();
                self.entries.promote(&oldest);
                passed_over += 1;
            }
        }
    }
}

/// A load under way. Dropped before [`done`](Self::done), another waiter loads.
pub(super) struct Loading<'c, A: Aggregate> {
    cache: &'c Cache<A>,
    stream: StreamName,
    epoch: u64,
    notify: Arc<Notify>,
}

impl<'c, A: Aggregate> Loading<'c, A> {
    pub(super) fn begin(
        cache: &'c Cache<A>,
        shard: &mut Shard<A>,
        stream: &StreamName,
    ) -> Loading<'c, A> {
        let (epoch, notify) = (shard.next_epoch(), Arc::new(Notify::new()));
        let done = Arc::clone(&notify);
        shard.put(stream, epoch, Slot::Loading { done, waiting: 1 });
        Loading {
            cache,
            stream: stream.clone(),
            epoch,
            notify,
        }
    }

    /// Puts the folded stream in place; whether a snapshot is due.
    pub(super) fn done(self, loaded: Loaded<A>) -> bool {
        let mut ready = Ready {
            state: Some(loaded.state),
            version: loaded.version,
            last: None,
            assumed: false,
            under_way: 0,
            tail_events: loaded.tail_events,
            tail_bytes: loaded.tail_bytes,
            weight: 0,
        };
        let due = ready.snapshot_is_due();
        let change = ready.weigh(&self.stream);
        let mut shard = self.cache.shard(&self.stream).lock();
        let epoch = shard.next_epoch();
        shard.put(&self.stream, epoch, Slot::Ready(ready));
        shard.weighed(&self.stream, change, self.cache.shard_bytes);
        due
    }
}

impl<A: Aggregate> Drop for Loading<'_, A> {
    fn drop(&mut self) {
        let mut shard = self.cache.shard(&self.stream).lock();
        shard.remove_epoch(&self.stream, self.epoch);
        drop(shard);
        self.notify.notify_waiters();
    }
}

/// A commit or confirmation under way. Dropped before it is told how that ended, it evicts the stream.
pub(super) struct InFlight<'c, A: Aggregate> {
    place: Place<'c, A>,
    stream: &'c StreamName,
    epoch: u64,
    /// How many events the commit has; a confirmation has none.
    events: usize,
    assumed: bool,
    settled: bool,
}

impl<'c, A: Aggregate> InFlight<'c, A> {
    /// Counts a commit of `bytes` in `events` events, or a confirmation (none).
    pub(super) fn begin(
        place: Place<'c, A>,
        ready: &mut Ready<A>,
        stream: &'c StreamName,
        epoch: u64,
        events: usize,
        bytes: usize,
    ) -> Self {
        ready.under_way += 1;
        ready.tail_events += events as u64;
        ready.tail_bytes += bytes;
        Self {
            place,
            stream,
            epoch,
            events,
            assumed: ready.assumed,
            settled: false,
        }
    }

    /// Whether the decision was taken on a stream that was only assumed to be empty.
    pub(super) fn assumed(&self) -> bool {
        self.assumed
    }

    /// The commit landed; whether a snapshot is due.
    pub(super) fn landed(mut self) -> bool {
        self.settle()
    }

    /// The head is what the decision was taken on.
    pub(super) fn confirmed(mut self) {
        self.settle();
    }

    fn settle(&mut self) -> bool {
        self.settled = true;
        let append = self.events > 0;
        let mut shard = self.place.lock();
        if append {
            shard.landed.commits += 1;
            shard.landed.events += self.events as u64;
        }
        let Some(ready) = shard.ready(self.stream, self.epoch) else {
            return false;
        };
        ready.under_way -= 1;
        // Whatever was assumed has now been checked by the log.
        ready.assumed = false;
        append && ready.snapshot_is_due()
    }
}

impl<A: Aggregate> Drop for InFlight<'_, A> {
    fn drop(&mut self) {
        if !self.settled && !mutant("keep what did not land in the cache") {
            let mut shard = self.place.lock();
            shard.remove_epoch(self.stream, self.epoch);
        }
    }
}

impl<A: Aggregate> Ready<A> {
    /// What a decision on this state expects of the log.
    pub(super) fn expected(&self) -> ExpectedVersion {
        match self.last {
            None => ExpectedVersion::Exact(self.version),
            Some(command) => ExpectedVersion::After {
                version: self.version,
                command,
            },
        }
    }

    /// Whether it is a mere assumption, on which nothing was built yet.
    pub(super) fn is_unread(&self) -> bool {
        self.assumed && self.under_way == 0
    }

    /// Weighs the changed state anew; the shard must be told.
    #[must_use]
    pub(super) fn weigh(&mut self, stream: &StreamName) -> Reweighed {
        let state = self.state.as_ref().map_or(0, A::weight);
        let after = state + stream.as_str().len() + ENTRY_BYTES;
        let before = std::mem::replace(&mut self.weight, after);
        Reweighed { before, after }
    }

    fn snapshot_is_due(&mut self) -> bool {
        let state = self.state.as_ref().map_or(0, A::weight);
        let due = self.tail_events > SNAPSHOT_EVENTS && self.tail_bytes > state / 10;
        if due {
            (self.tail_events, self.tail_bytes) = (0, 0);
        }
        due
    }
}
