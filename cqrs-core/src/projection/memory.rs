//! A read model in memory: the reference for what a projection's store promises.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::BoxError;
use crate::codec::Codec;
use crate::event::Event;
use crate::log::{RecordedCommit, RecordedEvent};
use crate::mutants::mutant;
use crate::position::{Partition, Position};
use crate::projection::{
    ApplyError, Batch, Checkpoint, EventRef, Parked, ParkedStreams, Projection,
};
use crate::stream::StreamName;

type Fold<S> = dyn Fn(&mut S, &RecordedEvent<'_>) -> Result<(), BoxError> + Send + Sync;

/// Rows of any kind in memory, changed by a closure, with checkpoints and parked streams.
///
/// A batch is applied to a clone of the rows, which then takes their place: all or nothing.
/// Strict: it refuses what a batch must not be with [`InvalidBatch`].
///
/// # Example
///
/// ```
/// use cqrs_core::{BoxError, MemoryProjection};
///
/// // How many payload bytes there are of "post-created".
/// let bytes = MemoryProjection::new("bytes", ["post-created"], 0usize, |bytes, event| {
///     *bytes += event.data.payload.len();
///     Ok::<(), BoxError>(())
/// });
/// assert_eq!(bytes.read(|bytes| *bytes), 0);
/// ```
pub struct MemoryProjection<S> {
    name: String,
    types: Vec<String>,
    empty: S,
    fold: Box<Fold<S>>,
    store: Mutex<Store<S>>,
}

#[derive(Clone)]
struct Store<S> {
    rows: S,
    epoch: u64,
    positions: BTreeMap<Partition, Position>,
    parked: BTreeMap<(Partition, StreamName), Waiting>,
}

/// All that a [`MemoryProjection`] holds at one moment, as a backup would.
#[derive(Clone)]
pub struct ProjectionBackup<S>(Store<S>);

/// A parked stream's events, each by its number in its commit.
#[derive(Clone)]
struct Waiting {
    reason: String,
    events: Vec<(RecordedCommit, usize)>,
}

/// A batch that breaks the rules of [`Batch`]: a fault of whoever made it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the batch breaks a rule: {0}")]
pub struct InvalidBatch(&'static str);

impl<S: Clone + Send + Sync> MemoryProjection<S> {
    /// The projection `name` of the stored event `types`, from `rows` on; `fold` applies one event.
    #[must_use]
    pub fn new<N: Into<String>>(
        name: impl Into<String>,
        types: impl IntoIterator<Item = N>,
        rows: S,
        fold: impl Fn(&mut S, &RecordedEvent<'_>) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            types: types.into_iter().map(Into::into).collect(),
            store: Mutex::new(Store {
                rows: rows.clone(),
                epoch: 0,
                positions: BTreeMap::new(),
                parked: BTreeMap::new(),
            }),
            empty: rows,
            fold: Box::new(fold),
        }
    }

    /// The projection `name` of all events of `E`, decoded by `codec`; one that cannot be decoded is poisonous.
    #[must_use]
    pub fn of<E: Event>(
        name: impl Into<String>,
        codec: Codec<E>,
        rows: S,
        fold: impl Fn(&mut S, &E, &RecordedEvent<'_>) -> Result<(), BoxError> + Send + Sync + 'static,
    ) -> Self {
        let types = E::TYPES.iter().map(|(name, _)| *name);
        Self::new(name, types, rows, move |rows, recorded| {
            let event = codec.decode(recorded.data)?;
            fold(rows, &event, recorded)
        })
    }

    /// Looks at the rows.
    pub fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.lock().rows)
    }

    /// Empties everything and raises the epoch, so that all is applied again from the log.
    ///
    /// A running runner is told by [`ProjectionRunner::reload`](crate::ProjectionRunner::reload).
    pub fn rebuild(&self) {
        let mut store = self.lock();
        store.rows = self.empty.clone();
        store.epoch += 1;
        store.positions.clear();
        store.parked.clear();
    }

    /// Copies all that it holds: rows, checkpoints and parked streams.
    #[must_use]
    pub fn backup(&self) -> ProjectionBackup<S> {
        ProjectionBackup(self.lock().clone())
    }

    /// Puts a backup in the place of all that it holds, as a database that lost its tail would.
    pub fn restore(&self, backup: ProjectionBackup<S>) {
        let mut store = self.lock();
        let positions = std::mem::take(&mut store.positions);
        *store = backup.0;
        if mutant("checkpoint before the rows") {
            store.positions = positions;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Store<S>> {
        // Whatever panicked under the lock, a reader or `fold`, left the rows whole: they are swapped, not edited.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, batch: &Batch<'_>) -> Result<(), InvalidBatch> {
        let rule = |holds: bool, what| {
            if holds {
                Ok(())
            } else {
                Err(InvalidBatch(what))
            }
        };
        let mut at = batch.expected.position;
        for commit in batch.commits.iter() {
            rule(
                commit.at.partition == batch.partition && commit.at.position > at,
                "commits are of its partition, after the checkpoint, in order",
            )?;
            at = commit.at.position;
        }
        rule(
            batch.position >= at && batch.position > batch.expected.position,
            "the checkpoint moves forward, past all commits",
        )?;
        let park: Vec<EventRef> = batch.park.iter().map(|(event, _)| *event).collect();
        for places in [batch.apply, &park] {
            let ordered = places
                .windows(2)
                .all(|w| (w[0].commit, w[0].event) < (w[1].commit, w[1].event));
            rule(ordered, "events are in order")?;
            for place in places {
                let commit = batch.commits.get(place.commit);
                let data = commit.and_then(|commit| commit.events.get(place.event));
                rule(
                    data.is_some_and(|data| self.handles(data.event_type.name())),
                    "events are of its commits and of types that the projection names",
                )?;
            }
        }
        Ok(())
    }
}

fn recorded(commit: &RecordedCommit, event: usize) -> Option<RecordedEvent<'_>> {
    commit.recorded_events().nth(event)
}

impl<S: Clone + Send + Sync> Store<S> {
    fn checkpoint(&self, partition: Partition) -> Checkpoint {
        Checkpoint {
            position: self.positions.get(&partition).copied().unwrap_or_default(),
            epoch: self.epoch,
        }
    }

    /// Applies `events` to a clone of the rows.
    fn folded<'a>(
        &self,
        fold: &Fold<S>,
        events: impl Iterator<Item = (&'a RecordedCommit, usize)>,
    ) -> Result<S, ApplyError> {
        let mut rows = self.rows.clone();
        for (index, (commit, event)) in events.enumerate() {
            if let Some(event) = recorded(commit, event) {
                fold(&mut rows, &event).map_err(|source| ApplyError::Poison { index, source })?;
            }
        }
        Ok(rows)
    }
}

impl<S: Clone + Send + Sync> Projection for MemoryProjection<S> {
    fn name(&self) -> &str {
        &self.name
    }

    fn handles(&self, event_type: &str) -> bool {
        self.types.iter().any(|name| name == event_type)
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Checkpoint, ApplyError> {
        Ok(self.lock().checkpoint(partition))
    }

    async fn apply(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        self.check(batch).map_err(|source| ApplyError::Store {
            source: source.into(),
        })?;
        let mut store = self.lock();
        let stands = store.checkpoint(batch.partition) == batch.expected;
        if !stands && !mutant("no compare-and-set of the checkpoint") {
            return Err(ApplyError::Stale);
        }
        let key = |place: &EventRef| (batch.partition, batch.commits[place.commit].stream.clone());
        if batch
            .apply
            .iter()
            .any(|p| store.parked.contains_key(&key(p)))
        {
            return Err(ApplyError::Stale);
        }
        let events = batch.apply.iter();
        let rows = store.folded(
            &*self.fold,
            events.map(|place| (&batch.commits[place.commit], place.event)),
        )?;
        // Nothing is kept before all of the batch is known to fit.
        let mut begun = Vec::new();
        for (place, reason) in batch.park {
            let key = key(place);
            if reason.is_some() {
                begun.push(key);
            } else if !store.parked.contains_key(&key) && !begun.contains(&key) {
                return Err(ApplyError::Stale);
            }
        }
        for (place, reason) in batch.park {
            let waiting = store.parked.entry(key(place)).or_insert_with(|| Waiting {
                reason: reason.clone().unwrap_or_default(),
                events: Vec::new(),
            });
            let commit = batch.commits[place.commit].clone();
            waiting.events.push((commit, place.event));
        }
        store.rows = rows;
        store.positions.insert(batch.partition, batch.position);
        Ok(())
    }
}

impl<S: Clone + Send + Sync> ParkedStreams for MemoryProjection<S> {
    async fn parked(&self, partition: Partition) -> Result<Vec<Parked>, ApplyError> {
        let store = self.lock();
        let of_partition = store.parked.iter().filter(|((p, _), _)| *p == partition);
        let parked = of_partition.filter_map(|((_, stream), waiting)| {
            let (commit, event) = waiting.events.first()?;
            Some(Parked {
                stream: stream.clone(),
                first: recorded(commit, *event)?.id,
                reason: waiting.reason.clone(),
                waiting: waiting.events.len() as u64,
            })
        });
        Ok(parked.collect())
    }

    async fn release(&self, partition: Partition, stream: &StreamName) -> Result<(), ApplyError> {
        let mut store = self.lock();
        let key = (partition, stream.clone());
        let Some(waiting) = store.parked.get(&key) else {
            return Ok(());
        };
        let events = waiting
            .events
            .iter()
            .map(|(commit, event)| (commit, *event));
        store.rows = store.folded(&*self.fold, events)?;
        store.parked.remove(&key);
        Ok(())
    }
}

impl<S> fmt::Debug for ProjectionBackup<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProjectionBackup").finish_non_exhaustive()
    }
}

impl<S: fmt::Debug> fmt::Debug for MemoryProjection<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryProjection")
            .field("name", &self.name)
            .field("types", &self.types)
            .finish_non_exhaustive()
    }
}
