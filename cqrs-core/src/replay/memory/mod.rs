//! The versions of a read model in memory: the reference for what an engine offers to a replay.
//!
//! Invariants:
//!
//! - What a transaction holds stays so until it is dropped or committed. Whoever wants the same waits.
//! - A version is written at one moment, and only while nobody holds its checkpoints or has closed its gate.
//! - A retired version is written by nobody.

mod held;
mod promotion;
mod snapshot;
mod writing;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt;
use tokio::sync::Notify;

use self::held::{Held, Hold};
use super::{
    BuildVersions, ChangeVersions, ModelState, ModelVersions, ReplayLock, VersionChange, Versioned,
    Writing,
};
use crate::position::{Partition, Position};
use crate::projection::{MemoryProjection, Parked, ParkedStreams, Projection};

pub use promotion::MemoryPromotion;
pub use snapshot::{MemoryGates, MemorySnapshot};
pub use writing::VersionProjection;

/// The versions of a [`MemoryProjection`], and which one is live. Cheap to clone; clones are the same.
///
/// # Example
///
/// ```
/// use cqrs_core::{BoxError, MemoryProjection, MemoryVersions};
///
/// // How many events each version has.
/// let versions = MemoryVersions::new(1, |_layout| {
///     MemoryProjection::new("events", ["post-created"], 0_u64, |events, _| {
///         *events += 1;
///         Ok::<(), BoxError>(())
///     })
/// });
/// assert_eq!(versions.live().number, 1);
/// ```
pub struct MemoryVersions<S> {
    shared: Arc<Shared<S>>,
    layout: u32,
}

/// One version of a [`MemoryVersions`], as it was when it was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryVersion {
    /// Its number: 1, 2, 3 …
    pub number: u32,
    /// The layout that it was made with.
    pub layout: u32,
    /// What it was.
    pub state: ModelState,
}

/// There is no such version, or it was made for another number of partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no version {number} is kept for so many partitions")]
pub struct Unkept {
    /// The version.
    pub number: u32,
}

struct Shared<S> {
    partitions: u16,
    make: Box<dyn Fn(u32) -> MemoryProjection<S> + Send + Sync>,
    state: Mutex<State<S>>,
    /// Something is held no longer.
    released: Notify,
}

struct State<S> {
    versions: BTreeMap<u32, Kept<S>>,
    held: Held,
    promotions: u64,
}

struct Kept<S> {
    projection: Arc<MemoryProjection<S>>,
    layout: u32,
    state: ModelState,
    /// Which promotion made it live last; 0 where none did.
    promoted: u64,
}

impl<S: Clone + Send + Sync> MemoryVersions<S> {
    /// Versions for a log of `partitions`, each made by `make` for its layout; the first one, of layout 1, is live.
    #[must_use]
    pub fn new(
        partitions: u16,
        make: impl Fn(u32) -> MemoryProjection<S> + Send + Sync + 'static,
    ) -> Self {
        let first = Kept {
            projection: Arc::new(make(1)),
            layout: 1,
            state: ModelState::Live,
            promoted: 1,
        };
        let state = State {
            versions: BTreeMap::from([(1, first)]),
            held: Held::default(),
            promotions: 1,
        };
        let shared = Shared {
            partitions,
            make: Box::new(make),
            state: Mutex::new(state),
            released: Notify::new(),
        };
        Self {
            shared: Arc::new(shared),
            layout: 1,
        }
    }

    /// The same versions, for whoever knows `layout`.
    #[must_use]
    pub fn of_layout(&self, layout: u32) -> Self {
        Self {
            layout,
            ..self.clone()
        }
    }

    /// The live version.
    #[must_use]
    pub fn live(&self) -> MemoryVersion {
        self.shared.state().live()
    }

    /// The versions that are to be fed by whoever knows their layout.
    #[must_use]
    pub fn fed(&self) -> Vec<MemoryVersion> {
        let mut fed = self.shared.state().all();
        fed.retain(|version| version.state.is_fed() && version.layout == self.layout);
        fed
    }

    /// Looks at the live version, with nobody writing it meanwhile.
    pub fn read<R>(&self, look: impl FnOnce(MemoryVersion, &MemoryProjection<S>) -> R) -> R {
        let state = self.shared.state();
        let live = state.live();
        look(live, &state.versions[&live.number].projection)
    }

    /// What `number` keeps, if there is such a version: past all that is held.
    #[must_use]
    pub fn kept(&self, number: u32) -> Option<Arc<MemoryProjection<S>>> {
        let state = self.shared.state();
        let kept = state.versions.get(&number);
        kept.map(|kept| Arc::clone(&kept.projection))
    }

    /// Where `number` stands, by partition; nothing where there is no such version.
    #[must_use]
    pub fn places(&self, number: u32) -> Vec<Position> {
        self.shared.state().places(number, self.shared.partitions)
    }
}

impl<S: Clone + Send + Sync> Shared<S> {
    fn state(&self) -> MutexGuard<'_, State<S>> {
        // Nothing panics under it but a model's `fold`, which leaves all as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S: Clone + Send + Sync> State<S> {
    fn all(&self) -> Vec<MemoryVersion> {
        let version = |(number, kept): (&u32, &Kept<S>)| MemoryVersion {
            number: *number,
            layout: kept.layout,
            state: kept.state,
        };
        self.versions.iter().map(version).collect()
    }

    fn live(&self) -> MemoryVersion {
        let mut live = self
            .all()
            .into_iter()
            .filter(|v| v.state == ModelState::Live);
        // One is from the beginning on, and another one only in its place.
        live.next_back().unwrap_or(MemoryVersion {
            number: 0,
            layout: 0,
            state: ModelState::Retired,
        })
    }

    fn of(&self, number: u32) -> Option<MemoryVersion> {
        self.all().into_iter().find(|v| v.number == number)
    }

    fn places(&self, number: u32, partitions: u16) -> Vec<Position> {
        let Some(kept) = self.versions.get(&number) else {
            return Vec::new();
        };
        let checkpoint = |partition| kept.projection.checkpoint(partition).now_or_never();
        let all = Partition::all(partitions).filter_map(checkpoint);
        all.map(|at| at.unwrap_or_default().position).collect()
    }

    fn parked(&self, number: u32, partitions: u16) -> Vec<(Partition, Parked)> {
        let Some(kept) = self.versions.get(&number) else {
            return Vec::new();
        };
        let of = |partition| {
            let parked = kept.projection.parked(partition).now_or_never();
            let parked = parked.and_then(Result::ok).unwrap_or_default();
            parked.into_iter().map(move |parked| (partition, parked))
        };
        Partition::all(partitions).flat_map(of).collect()
    }
}

impl<S: Clone + Send + Sync> ModelVersions for MemoryVersions<S> {
    type Version = MemoryVersion;
    type Error = Unkept;

    async fn versions(&self) -> Result<Vec<MemoryVersion>, Unkept> {
        Ok(self.shared.state().all())
    }

    async fn begun(&self) -> Result<Vec<MemoryVersion>, Unkept> {
        let state = self.shared.state();
        let mut begun = state.all();
        begun.retain(|v| v.state != ModelState::Retired && state.versions[&v.number].promoted == 0);
        Ok(begun)
    }

    async fn previous(&self) -> Result<Option<MemoryVersion>, Unkept> {
        let state = self.shared.state();
        let promoted = |v: &MemoryVersion| state.versions[&v.number].promoted;
        let ready = state.all().into_iter();
        let ready = ready.filter(|v| v.state == ModelState::Ready && promoted(v) > 0);
        Ok(ready.max_by_key(promoted))
    }
}

impl<S: Clone + Send + Sync> BuildVersions for MemoryVersions<S>
where
    S: 'static,
{
    type Projection = VersionProjection<S>;

    fn layout(&self) -> u32 {
        self.layout
    }

    async fn begin(&self, partitions: u16) -> Result<MemoryVersion, Unkept> {
        let mut state = self.shared.state();
        let begun = state.all().into_iter().rfind(|v| {
            let open = matches!(v.state, ModelState::Building | ModelState::Ready);
            open && v.layout == self.layout && state.versions[&v.number].promoted == 0
        });
        let next = state.versions.keys().last().map_or(1, |last| last + 1);
        let version = begun.unwrap_or(MemoryVersion {
            number: next,
            layout: self.layout,
            state: ModelState::Building,
        });
        if partitions != self.shared.partitions {
            return Err(Unkept {
                number: version.number,
            });
        }
        state
            .versions
            .entry(version.number)
            .or_insert_with(|| Kept {
                projection: Arc::new((self.shared.make)(self.layout)),
                layout: self.layout,
                state: ModelState::Building,
                promoted: 0,
            });
        Ok(version)
    }

    fn projection(&self, version: &MemoryVersion, writing: Writing) -> VersionProjection<S> {
        VersionProjection::new(self, version.number, writing)
    }
}

impl<S: Clone + Send + Sync + 'static> ChangeVersions for MemoryVersions<S> {
    type Change = MemoryChange<S>;
    type Lock = MemoryReplayLock<S>;

    async fn lock(&self) -> Result<Option<MemoryReplayLock<S>>, Unkept> {
        let mut hold = self.hold();
        Ok(hold.try_replaying().then_some(MemoryReplayLock { hold }))
    }

    async fn change(
        &self,
        version: &MemoryVersion,
    ) -> Result<(MemoryChange<S>, ModelState), Unkept> {
        let number = version.number;
        let mut hold = self.hold();
        hold.row(number).await;
        let found = self.shared.state().of(number).ok_or(Unkept { number })?;
        let change = MemoryChange {
            versions: self.clone(),
            hold,
            number,
        };
        Ok((change, found.state))
    }
}

/// The right to replay a [`MemoryVersions`], until it is dropped.
pub struct MemoryReplayLock<S: Clone + Send + Sync> {
    hold: Hold<S>,
}

impl<S: Clone + Send + Sync> ReplayLock for MemoryReplayLock<S> {
    type Error = Unkept;

    async fn check(&self) -> Result<(), Unkept> {
        debug_assert!(self.hold.is_replaying());
        Ok(())
    }
}

/// A change of one version of a [`MemoryVersions`].
pub struct MemoryChange<S: Clone + Send + Sync> {
    versions: MemoryVersions<S>,
    hold: Hold<S>,
    number: u32,
}

impl<S: Clone + Send + Sync> MemoryChange<S> {
    fn set(&self, to: ModelState) -> Result<MemoryVersion, Unkept> {
        let number = self.number;
        let mut state = self.versions.shared.state();
        let kept = state.versions.get_mut(&number).ok_or(Unkept { number })?;
        kept.state = to;
        state.of(number).ok_or(Unkept { number })
    }
}

impl<S: Clone + Send + Sync> VersionChange for MemoryChange<S> {
    type Version = MemoryVersion;
    type Error = Unkept;

    async fn make_ready(self) -> Result<MemoryVersion, Unkept> {
        self.set(ModelState::Ready)
    }

    async fn retire(mut self) -> Result<(), Unkept> {
        self.hold.checkpoints(self.number).await;
        self.set(ModelState::Retired).map(drop)
    }
}

impl Versioned for MemoryVersion {
    fn number(&self) -> u32 {
        self.number
    }

    fn layout(&self) -> u32 {
        self.layout
    }

    fn state(&self) -> ModelState {
        self.state
    }
}

impl<S> Clone for MemoryVersions<S> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            layout: self.layout,
        }
    }
}

impl<S> fmt::Debug for MemoryVersions<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryVersions")
            .field("layout", &self.layout)
            .finish_non_exhaustive()
    }
}
