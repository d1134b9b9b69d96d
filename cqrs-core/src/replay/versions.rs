//! What an engine that keeps the versions of a read model offers to a replay.

use std::error::Error;
use std::fmt;
use std::future::ready;
use std::time::Duration;

use crate::position::{Partition, Position};
use crate::projection::{ParkedStreams, Projection};
use crate::stream::StreamName;

/// What a version is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ModelState {
    /// Its history is being copied; only the rebuild writes it.
    Building,
    /// It is fed, and may be promoted.
    Ready,
    /// It is fed, and queries read it.
    Live,
    /// It is gone.
    Retired,
}

impl ModelState {
    /// Its name, as it is stored.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Ready => "ready",
            Self::Live => "live",
            Self::Retired => "retired",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Building, Self::Ready, Self::Live, Self::Retired]
            .into_iter()
            .find(|state| state.as_str() == name)
    }

    /// Whether projectors feed it.
    #[must_use]
    pub const fn is_fed(self) -> bool {
        matches!(self, Self::Ready | Self::Live)
    }
}

impl fmt::Display for ModelState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One version of a read model, as its engine names it.
pub trait Versioned: Clone + fmt::Debug + Send + Sync {
    /// Its number.
    fn number(&self) -> u32;

    /// The layout that it was made with.
    fn layout(&self) -> u32;

    /// What it was when it was looked at.
    fn state(&self) -> ModelState;
}

/// The versions that there are of one read model.
pub trait ModelVersions: Send + Sync {
    /// One of them.
    type Version: Versioned;
    /// Why the engine did not answer, or refused.
    type Error: Error + Send + Sync + 'static;

    /// All of them, the oldest first.
    ///
    /// # Errors
    ///
    /// The engine's.
    fn versions(&self) -> impl Future<Output = Result<Vec<Self::Version>, Self::Error>> + Send;

    /// Those that were begun and never live, and are not retired; the oldest first.
    ///
    /// # Errors
    ///
    /// The engine's.
    fn begun(&self) -> impl Future<Output = Result<Vec<Self::Version>, Self::Error>> + Send;

    /// The version that was live before the present one, if it is still fed.
    ///
    /// # Errors
    ///
    /// The engine's.
    fn previous(&self) -> impl Future<Output = Result<Option<Self::Version>, Self::Error>> + Send;
}

/// Changes what a version is.
pub trait ChangeVersions: ModelVersions {
    /// A transaction that changes one.
    type Change: VersionChange<Version = Self::Version, Error = Self::Error>;
    /// The right to replay.
    type Lock: ReplayLock<Error = Self::Error>;

    /// Takes the right to replay, until it is dropped or its holder is gone; `None` where somebody else has it.
    ///
    /// # Errors
    ///
    /// The engine's: it is not held.
    fn lock(&self) -> impl Future<Output = Result<Option<Self::Lock>, Self::Error>> + Send;

    /// Begins a transaction on `version`, and says what that is: so it stays until the transaction ends.
    ///
    /// # Errors
    ///
    /// The engine's: nothing is changed.
    fn change(
        &self,
        version: &Self::Version,
    ) -> impl Future<Output = Result<(Self::Change, ModelState), Self::Error>> + Send;
}

/// The right to replay, held by whoever has this. Ends where it is dropped, or its process.
pub trait ReplayLock: Send + Sync {
    /// As its [`ModelVersions`].
    type Error: Error + Send + Sync + 'static;

    /// Whether it is still held: an error where not.
    ///
    /// # Errors
    ///
    /// The engine's: it is lost, or that is unknown.
    fn check(&self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// A transaction on one version. Dropped, it changes nothing.
pub trait VersionChange: Send {
    /// As its [`ModelVersions`].
    type Version;
    /// As its [`ModelVersions`].
    type Error;

    /// Makes what only queries need, has projectors feed the version from now on, and commits: all or nothing.
    ///
    /// # Errors
    ///
    /// The engine's: outcome unknown.
    fn make_ready(self) -> impl Future<Output = Result<Self::Version, Self::Error>> + Send;

    /// Lets whoever writes the version finish, and nobody write it after; ends it, and commits: all or nothing.
    ///
    /// # Errors
    ///
    /// The engine's: outcome unknown.
    fn retire(self) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

/// How a version is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writing {
    /// As it goes.
    Feeding,
    /// History, into one that nobody reads: as fast as it can be.
    Copying,
    /// By whoever has closed the version's [gate](VersionGates).
    Gated,
}

/// Makes versions, and writes them.
pub trait BuildVersions: ModelVersions {
    /// One version, to be written. All rows and the checkpoint change by compare-and-set, in one transaction.
    type Projection: Projection + ParkedStreams + 'static;

    /// The layout that is known here.
    fn layout(&self) -> u32;

    /// The version to go on with, for a log of `partitions`: the last that was begun with this layout and never live,
    /// or a new one, which is [`Building`](ModelState::Building).
    ///
    /// # Errors
    ///
    /// The engine's. One may have been made: the next call goes on with it.
    fn begin(
        &self,
        partitions: u16,
    ) -> impl Future<Output = Result<Self::Version, Self::Error>> + Send;

    /// Makes what only queries need of `version`, as far as that can be done before the transaction that makes it
    /// [ready](VersionChange::make_ready), which makes what is lacking then. Nothing, if not said otherwise.
    ///
    /// # Errors
    ///
    /// The engine's. Some of it may have been made: the next call goes on with it.
    fn prepare(
        &self,
        _version: &Self::Version,
    ) -> impl Future<Output = Result<(), Self::Error>> + Send {
        ready(Ok(()))
    }

    /// What writes `version`, which is of the layout that is known here. Nothing is asked yet.
    fn projection(&self, version: &Self::Version, writing: Writing) -> Self::Projection;
}

/// Moves the pointer to the live version.
pub trait PromoteVersions: ModelVersions {
    /// A transaction that moves it.
    type Promotion: PromotionTransaction<Version = Self::Version, Error = Self::Error>;

    /// Begins a transaction that holds the pointer and the state of `version`, and says what that is. The transaction
    /// ends by itself where its owner stands still in it for much longer than `hold`, or is gone.
    ///
    /// # Errors
    ///
    /// The engine's: nothing is changed.
    fn begin_promotion(
        &self,
        version: &Self::Version,
        hold: Duration,
    ) -> impl Future<Output = Result<(Self::Promotion, ModelState), Self::Error>> + Send;
}

/// Where a version stands beside the live one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Its checkpoints, by partition.
    pub at: Vec<Position>,
    /// The streams that it has parked and the live one has not.
    pub parked: Vec<(Partition, StreamName)>,
}

/// A transaction in which the pointer is held. Dropped, it changes nothing and lets go of all that it holds.
pub trait PromotionTransaction: Send {
    /// As its [`ModelVersions`].
    type Version;
    /// As its [`ModelVersions`].
    type Error;

    /// Holds the live version's checkpoints, so that nobody writes it until the transaction ends; where they are.
    ///
    /// # Errors
    ///
    /// The engine's.
    fn hold(&mut self) -> impl Future<Output = Result<Vec<Position>, Self::Error>> + Send;

    /// Holds the version's checkpoints too, so that it parks nothing more until the transaction ends; where it stands.
    ///
    /// # Errors
    ///
    /// The engine's.
    fn standing(&mut self) -> impl Future<Output = Result<Standing, Self::Error>> + Send;

    /// Makes the version live and the one that was so ready, and commits, durably.
    ///
    /// # Errors
    ///
    /// The engine's: outcome unknown, the pointer says.
    fn commit(self) -> impl Future<Output = Result<Self::Version, Self::Error>> + Send;
}

/// Compares two versions.
pub trait CompareVersions: ModelVersions {
    /// Both of them, standing still.
    type Gates: VersionGates<Error = Self::Error>;

    /// Waits for whoever writes `live` and `other`, and lets nobody write them until the gates are opened, but for
    /// [gated](Writing::Gated) writing; not for much longer than `hold`, whatever becomes of their owner.
    ///
    /// # Errors
    ///
    /// The engine's.
    fn close_gates(
        &self,
        live: &Self::Version,
        other: &Self::Version,
        hold: Duration,
    ) -> impl Future<Output = Result<Self::Gates, Self::Error>> + Send;
}

/// The checkpoints of two versions: the live one's, and the other's.
pub type BothPlaces = [Vec<Position>; 2];

/// Two versions that nobody else writes. Dropped, their gates are open again.
pub trait VersionGates: Send {
    /// As its [`ModelVersions`].
    type Error;
    /// Both as they stand at one moment.
    type Snapshot: VersionSnapshot<Error = Self::Error>;

    /// Where both stand.
    ///
    /// # Errors
    ///
    /// The engine's.
    fn places(&mut self) -> impl Future<Output = Result<BothPlaces, Self::Error>> + Send;

    /// Takes a snapshot, then opens the gates.
    ///
    /// # Errors
    ///
    /// The engine's: the gates are open.
    fn open(self) -> impl Future<Output = Result<Self::Snapshot, Self::Error>> + Send;
}

/// Two versions as they were at one moment.
pub trait VersionSnapshot: Send {
    /// As its [`ModelVersions`].
    type Error;

    /// Where both stood.
    ///
    /// # Errors
    ///
    /// The engine's.
    fn places(&mut self) -> impl Future<Output = Result<BothPlaces, Self::Error>> + Send;

    /// Compares the `nth` part: the tables, then what is parked; `None` past them.
    ///
    /// # Errors
    ///
    /// The engine's.
    fn compare(
        &mut self,
        nth: usize,
    ) -> impl Future<Output = Result<Option<Compared>, Self::Error>> + Send;
}

/// What the comparison of a part came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Compared {
    /// How many rows the live version has in it.
    pub rows: u64,
    /// How many rows differ, or only one of both has.
    pub differing: u64,
    /// The first of them.
    pub differences: Vec<Difference>,
}

/// A row that is not the same in both versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Its table; `parked` where it is a commit that is parked in one version only, or differently.
    pub table: String,
    /// Its key, as JSON where the engine has such.
    pub key: String,
    /// The live version's row as text, if there is one.
    pub live: Option<String>,
    /// The other's.
    pub other: Option<String>,
}
