//! What the ledger's store does: one transaction, and one round trip, for each transition.
//!
//! A row of the ledger, by command id:
//!
//! ```text
//!            claim              intend                finish, fold
//!  (none) ──────────► CLAIMED ──────────► INTENT ──────────────────► DONE
//!     │                │  │ ▲               │                          ▲
//!     │ answer         │  │ └── drop_intent ┘   finish, fold           │
//!     ▼                │  └────────────────────────────────────────────┤
//!  ANSWERED ◄──────────┘ answer                                         │
//!     └─────────────────────── finish, fold (the log decides) ──────────┘
//! ```
//!
//! `intend` and `answer` also enter a command that nobody claimed ([`Entry::attempt`] is `None`), insert-first.
//!
//! Everything can be done by inserting first, with a duplicate key as an answer, and by updates that
//! compare what they expect. No lock hint, no `MERGE`, no isolation above *read committed* is needed.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::BoxError;
use crate::envelope::{CommandId, RequestHash};
use crate::ledger::ReservedValue;
use crate::log::{CommitHeader, RecordedCommit};
use crate::position::{Partition, Position};
use crate::stream::StreamName;
use crate::time::Timestamp;
use crate::version::Version;

use super::LoggedAnswer;

/// For whom, and for how long from now by the store's clock, a row is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The instance: another one for each start of a process.
    pub owner: Uuid,
    /// How long; rounded to milliseconds. Zero is over at once.
    pub span: Duration,
}

/// How much of the log a ledger must hold before it grants anything.
///
/// A grant (claim, take-over, intend, answer) is refused with [`IntentError::Lost`], without any effect, unless the
/// checkpoint row of *every* partition stands at or after `folded`, and the connection that it
/// runs on was opened before `session` was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footing {
    /// [`CommandClaims::session`] as it was read before the heads.
    pub session: u64,
    /// By partition.
    pub folded: Arc<[Position]>,
}

impl Footing {
    /// Nothing is asked of the ledger, but that the connection is no newer than `session`.
    #[must_use]
    pub fn none(session: u64) -> Self {
        let folded = Arc::new([]);
        Self { session, folded }
    }
}

/// A command, as somebody who would decide it knows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The command.
    pub command: CommandId,
    /// What it asks for; `None` where it has no key.
    pub request: Option<RequestHash>,
    /// When it was first received. Kept with the row: later attempts decide with it.
    pub time: Timestamp,
    /// The attempt that holds the row, or `None` where nobody has claimed it: it is entered now, as attempt 1.
    pub attempt: Option<u32>,
}

impl Entry {
    /// The command of a commit.
    pub(super) fn of(header: &CommitHeader) -> Self {
        Self {
            command: header.command_id,
            request: header.request,
            time: header.time,
            attempt: None,
        }
    }
}

/// A row that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// What was asked for.
    pub request: Option<RequestHash>,
    /// When it was first received.
    pub time: Timestamp,
    /// The attempt that holds it, or held it last.
    pub attempt: u32,
    /// How far it is.
    pub state: KnownState,
}

/// How far a row is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KnownState {
    /// Somebody decides it.
    Claimed {
        /// Which instance.
        owner: Uuid,
        /// What is left of the lease; zero where it is over.
        left: Duration,
    },
    /// A commit is about to be appended, or was.
    Intent(OpenIntent),
    /// It ended without events, with this answer.
    Answered(Bytes),
    /// Its events are in the log.
    Done,
}

/// An intent that was not finished yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenIntent {
    /// The command.
    pub command: CommandId,
    /// The attempt that holds it.
    pub attempt: u32,
    /// Which instance.
    pub owner: Uuid,
    /// What is left of the lease; zero where it is over.
    pub left: Duration,
    /// The commit, as [`Intent::commit`] was.
    pub commit: Bytes,
    /// Whether the fold found one of its values with another stream. Only on a restored ledger, and then the intent
    /// was dropped in the life that was lost: it must not be rolled forward.
    pub contested: bool,
}

/// What [`CommandClaims::claim`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entered {
    /// The row was not there; it is now, held as attempt 1.
    Granted,
    /// It is there. Nothing was changed.
    Known(Known),
}

/// What [`CommandClaims::answer`] came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stored {
    /// The answer is durable.
    Stored,
    /// The row is not `CLAIMED` by that attempt. Nothing was changed.
    Known(Known),
}

/// A commit that is about to be appended.
#[derive(Debug, Clone, Copy)]
pub struct Intent<'a> {
    /// Whose.
    pub entry: &'a Entry,
    /// The stream.
    pub stream: &'a StreamName,
    /// The stream's version that it is decided on: with the stream, the slot in the log.
    pub version: Version,
    /// The commit, encoded; opaque to the store.
    pub commit: &'a Bytes,
    /// The values to hold, sorted, each once.
    pub reserve: &'a [ReservedValue],
}

/// What [`Intents::intend`] came to. In every case but the first, nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Intended {
    /// The row is `INTENT`, held as this attempt; the values are the stream's or `PENDING` for it.
    Opened {
        /// The attempt.
        attempt: u32,
    },
    /// The row is not `CLAIMED` by that attempt, or is there already.
    Known(Known),
    /// The stream, or the stream that holds one of the values, has this open intent. Finish it first.
    Blocked(OpenIntent),
    /// Another stream, without an open intent, holds a value.
    Taken {
        /// The value.
        value: ReservedValue,
        /// Its owner.
        owner: StreamName,
    },
}

/// Who holds a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// The stream.
    pub stream: StreamName,
    /// Whether it is only `PENDING`: the stream's open intent is the one that reserves it.
    pub pending: bool,
    /// The stream's open intent.
    pub open: Option<OpenIntent>,
}

/// A keyed or reserving commit that stands in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// The command.
    pub command: CommandId,
    /// What it asked for.
    pub request: Option<RequestHash>,
    /// When it was first received.
    pub time: Timestamp,
    /// The stream.
    pub stream: StreamName,
    /// The stream's version before the commit.
    pub before: Version,
    /// The stream's version after it.
    pub version: Version,
    /// What the stream owns from then on; sorted.
    pub reserve: Vec<ReservedValue>,
    /// What it owns no longer; sorted.
    pub release: Vec<ReservedValue>,
}

impl Landed {
    /// What a ledger keeps of `commit`; `None` where it has neither key nor reservations, or is a [`LoggedAnswer`].
    #[must_use]
    pub fn of(commit: &RecordedCommit) -> Option<Self> {
        let bare = commit.header.request.is_none() && commit.reservations.is_empty();
        if bare || LoggedAnswer::of(commit).is_some() {
            return None;
        }
        let sorted = |values: &[ReservedValue]| {
            let mut values = values.to_vec();
            values.sort_unstable();
            values.dedup();
            values
        };
        Some(Self {
            command: commit.header.command_id,
            request: commit.header.request,
            time: commit.header.time,
            stream: commit.stream.clone(),
            before: commit.version_before(),
            version: commit.version,
            reserve: sorted(&commit.reservations.reserve),
            release: sorted(&commit.reservations.release),
        })
    }
}

/// A move of the checkpoint of one partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// The partition.
    pub partition: Partition,
    /// Where its checkpoint stands; `None` where there is no row, which this inserts.
    pub from: Option<Position>,
    /// Where it shall stand; not before `from`.
    pub to: Position,
}

/// The ledger's store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntentError {
    /// The ledger holds less of the log than the [`Footing`] says; nothing happened. Fold, then ask again.
    #[error("the ledger lags behind what it held before")]
    Lost,
    /// Its queue is full; nothing happened.
    #[error("the ledger's queue is full")]
    Overloaded,
    /// It failed; whether the call took effect is unknown. Calling again is safe.
    #[error("the ledger did not answer")]
    Store {
        /// What the store said.
        source: BoxError,
    },
}

/// The rows of commands: who decides which, and what was answered.
///
/// # Errors
///
/// Of every method: [`IntentError`]. After [`IntentError::Store`] the effect is unknown; every call may be repeated,
/// and then finds its own first effect as it would find another's.
///
/// # Cancel safety
///
/// Of every method: dropping the future leaves the effect unknown, and the store sound.
// One trait for each thing that is kept (rows of commands, intents, checkpoints); more than three methods, since each is
// one transition of the same row.
pub trait CommandClaims: Send + Sync {
    /// How many connections were opened so far; grows with each, and stands still while none is.
    fn session(&self) -> u64;

    /// Inserts the row of `entry` as `CLAIMED`, attempt 1, held by `lease`. [`Entry::attempt`] is not looked at.
    fn claim(
        &self,
        entry: &Entry,
        lease: Lease,
        footing: &Footing,
    ) -> impl Future<Output = Result<Entered, IntentError>> + Send;

    /// Takes a `CLAIMED` or `INTENT` row over: `attempt` becomes `attempt + 1`, held by `lease`.
    ///
    /// Only where the row still is at `attempt`, and its lease is over or was `lease.owner`'s own (whose process
    /// knows that nobody is at it any more). Whether it was taken over.
    fn take_over(
        &self,
        command: CommandId,
        attempt: u32,
        lease: Lease,
        footing: &Footing,
    ) -> impl Future<Output = Result<bool, IntentError>> + Send;

    /// Lets the leases of these rows run from now, where they are still held by that owner as that attempt.
    fn renew(
        &self,
        held: &[(CommandId, u32)],
        lease: Lease,
    ) -> impl Future<Output = Result<(), IntentError>> + Send;

    /// Stores the answer of a command that ended without events: `CLAIMED` at [`Entry::attempt`] → `ANSWERED`, or, where
    /// that is `None`, inserts the row as `ANSWERED`.
    fn answer(
        &self,
        entry: &Entry,
        answer: &Bytes,
        footing: &Footing,
    ) -> impl Future<Output = Result<Stored, IntentError>> + Send;

    /// Lets a `CLAIMED` row at `attempt` go: attempt 1 is deleted; a later one keeps its number, and its lease is over
    /// at once. Nothing where the row is otherwise.
    fn let_go(
        &self,
        command: CommandId,
        attempt: u32,
    ) -> impl Future<Output = Result<(), IntentError>> + Send;
}

/// Intents, and the values that they hold.
///
/// # Errors
///
/// Of every method: [`IntentError`], as of [`CommandClaims`].
///
/// # Cancel safety
///
/// Of every method: dropping the future leaves the effect unknown, and the store sound.
pub trait Intents: Send + Sync {
    /// Opens an intent: `CLAIMED` at [`Entry::attempt`] → `INTENT`, or, where that is `None`, inserts the row as
    /// `INTENT`, attempt 1; and holds its values. All of it or nothing.
    ///
    /// A value is free where it has no row, and stays as it is where the stream owns it. What is found first
    /// decides what is told: the command's row, then an open intent of the stream, then the values in order.
    fn intend(
        &self,
        intent: Intent<'_>,
        lease: Lease,
        footing: &Footing,
    ) -> impl Future<Output = Result<Intended, IntentError>> + Send;

    /// Drops the intent of `command` where it is `INTENT` at `attempt`: its `PENDING` values are deleted; a keyed
    /// row goes back to `CLAIMED`, lease and all, another is deleted. Whether it was dropped.
    fn drop_intent(
        &self,
        command: CommandId,
        attempt: u32,
    ) -> impl Future<Output = Result<bool, IntentError>> + Send;

    /// At most `limit` intents whose lease is over.
    fn expired(
        &self,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<OpenIntent>, IntentError>> + Send;

    /// Who holds `value`.
    fn holder(
        &self,
        value: &ReservedValue,
    ) -> impl Future<Output = Result<Option<Holder>, IntentError>> + Send;
}

/// What the log holds, written into the ledger.
///
/// A commit's *effect on reservations*: each released value's row is deleted where it is the stream's and not newer
/// than `before`; then each reserved value's row becomes `CONFIRMED` for the stream at `version`, inserted
/// where there is none. Where the row is another stream's (while a ledger is made whole, since partitions are
/// folded side by side) the value is noted as wanted by this stream, at `version`: a later release by the stream
/// takes the note away, and whenever the row is deleted, one noted stream, if any, gets the value.
/// Values that the command's intent still holds `PENDING` after that are deleted: another attempt's commit landed.
///
/// # Errors
///
/// Of every method: [`IntentError`], as of [`CommandClaims`].
///
/// # Cancel safety
///
/// Of every method: dropping the future leaves the effect unknown, and the store sound.
pub trait LedgerFold: Send + Sync {
    /// Finishes commits that landed, where their rows are there: `INTENT` → `DONE` with their effect on
    /// reservations; `CLAIMED` or `ANSWERED` → `DONE` where the commit has no reservations. Other rows stay as they are.
    ///
    /// In one transaction or several; in any order; each is done once however often it is asked for.
    fn finish(&self, landed: &[Landed]) -> impl Future<Output = Result<(), IntentError>> + Send;

    /// Moves a checkpoint by compare-and-set and, in the same transaction, brings what stands between into
    /// the ledger, in order: every row that is not `DONE` becomes so, inserted where it is missing, with its effect on
    /// reservations. Whether the checkpoint stood at `advance.from`; otherwise nothing was changed.
    fn fold(
        &self,
        advance: Advance,
        landed: &[Landed],
    ) -> impl Future<Output = Result<bool, IntentError>> + Send;

    /// The checkpoint rows, in no order.
    fn checkpoints(
        &self,
    ) -> impl Future<Output = Result<Vec<(Partition, Position)>, IntentError>> + Send;
}

/// A whole ledger store, for a ledger beside a log of another store.
pub trait IntentStore: CommandClaims + Intents + LedgerFold {}

impl<I: CommandClaims + Intents + LedgerFold> IntentStore for I {}
