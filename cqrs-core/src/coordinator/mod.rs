//! A ledger and a log in two stores: one command, at most one effect; one value, at most one owner.
//!
//! The **commit point** of a command with events is the insert into the log. The ledger is told before
//! (a claim, an answer, an intent) and after (a finish), and never contradicts the log. A command without key and without
//! reservations does not touch the ledger at all: the unique command id in the log is enough for it.
//!
//! # The protocol
//!
//! | step | store | what |
//! |---|---|---|
//! | claim | – | noted in this process; the row is entered by the first write that follows, whichever that is |
//! | decide | – | commits that reserve are decided on durable state only (here: they wait for the commit that they were decided [after](crate::ExpectedVersion::After)); all others speculate |
//! | admit | ledger | before events without reservations: insert the command's row: `CLAIMED`, attempt 1, a lease; then decide once more, and append |
//! | answer | ledger | a decision without events: insert the row with its answer; from attempt 2 on only after the log has it, see below |
//! | intend | ledger | only with reservations; one transaction: insert the row as `INTENT` with stream, version and the encoded commit; its values `PENDING`, in sorted order; one open `INTENT` a stream |
//! | append | log | the commit point |
//! | finish | ledger | → `DONE`; values `CONFIRMED`, released ones deleted. Batched, off the critical path, may be lost: the fold does it again |
//!
//! Where the row is there already, nothing is written, and the command is claimed in earnest: its answer; else look in the log
//! by command id; else it runs, or its lease is over and it is taken over by compare-and-set on the attempt. What follows
//! then is a change of that row: `CLAIMED` → `ANSWERED`, `CLAIMED` → `INTENT`.
//!
//! Round trips to the ledger before the answer: none without key and reservations; one for all others (admit, answer or
//! intend), whether they have a key, a reservation or both. What costs more: a value that is taken (the
//! refused intent, then the answer of a key), whatever stands in the way, and a command that comes again (what it ran into, then the claim).
//!
//! ## Why the claim may be put off
//!
//! A claim has three purposes. *A stored answer keeps an effect from happening*: so the row must be entered before the append,
//! and it is. *Two attempts do not write at once*: they enter the same row, and who comes second has written
//! nothing. *A later attempt knows that it is one*: an attempt that enters the row is the first that ever could
//! have been appended, since none is appended without; all others find the row, drop what they decided and claim.
//! So whatever was decided before the row was entered is an idea, of which nobody heard; it needs no protection. What is lost is
//! a decision now and then, which costs no round trip.
//!
//! Events without reservations are decided twice, and not decided once and held back until the row stands: the order of a
//! stream is that of its appends, so all later commands of a hot stream would wait behind the trip, and a repeated key, whose row is
//! there, would undo every decision that was built on it. Nothing is handed to the log, and no state evolves, before the row stands.
//!
//! ## Why a later attempt answers in the log
//!
//! A row says who may write next, not who still can. An attempt that was admitted may stand still past its lease, go on,
//! find another state than its successor found, and append: nothing in the log knows that the ledger's answer was
//! another. No lease mends that, for any clock may be wrong, and any process may stop between a look at it and what follows.
//! So an answer without events that is not the first attempt's is itself appended, as a [`LoggedAnswer`], under the command's id, in the
//! partition of the command's stream. The log takes one commit under an id: from then on no earlier attempt's
//! append lands, however late it was sent and whatever it was decided on. The ledger's answer is a copy of it, and may be lost.
//!
//! # Invariants
//!
//! 1. *The log decides.* A row becomes `DONE` only because of a commit that stands in the log, and whatever else
//!    a row says, a commit under its id in the log makes it `DONE`.
//! 2. *One attempt at a time holds a row*, and holds it before it appends. A row is inserted once; every later change of it by somebody who decides
//!    is a compare-and-set on the attempt; a take-over adds one to the attempt. Leases only say when to try a
//!    take-over: were all clocks wrong, work would be done twice and nothing would take effect twice.
//! 3. *An attempt from 2 on asks the log first*, and its answer without events is one only once it stands in the log: an
//!    append of an earlier attempt then finds the command's id taken. Whoever meets a logged answer where it meant to append
//!    has written nothing, drops its intent, and claims: the answer is given.
//! 4. *A value is free only when no row holds it*: `PENDING` counts as taken. A value is deleted only by a release that the
//!    log holds, and only where its row is not newer than the version that the commit replaced; or because its
//!    intent was dropped.
//! 5. *An intent is dropped only when it can never land*: its slot is held by another commit, or the one insert
//!    that was ever made of it was refused for good and its attempt still stands. "Not found" is no reason.
//! 6. *One open intent a stream*, so the effects of a stream's commits on reservations happen in the order of its
//!    versions: by the finish of an intent, or by the fold, each once, because both need the row to
//!    leave its state.
//! 7. *Nothing is granted on a ledger that lags behind what the log held when it was opened.* Every grant
//!    brings a [`Footing`]; a store that knows less refuses with [`IntentError::Lost`].
//!
//! # Failures
//!
//! | stopped or failed | what a retry, the sweeper or the fold finds | end |
//! |---|---|---|
//! | before the row is entered | nothing | as new |
//! | after it is entered as a claim | `CLAIMED`; nothing in the log | the lease runs out (at once for the same process); the client's retry takes over and decides |
//! | after an answer was stored | the answer | given again |
//! | after a later attempt's answer was logged, before the ledger has it | `CLAIMED`; the answer in the log | copied, given again |
//! | an attempt stands still, and goes on after another has answered | the command's id is taken in the log | nothing is written; the answer is given |
//! | an intent is opened while an earlier attempt's answer is on its way to the log | `INTENT`; the answer in the log | dropped; the answer is given |
//! | after the intent | `INTENT`; slot absent, which is undecided | the same commit is inserted, rolled forward |
//! | after the intent, a rival won the slot | `INTENT`; slot held by another id | the values are let go, decided again |
//! | during the append | unknown: one of the two above or the one below | settled by inserting the same commit |
//! | after the append | the commit under the id | finished; answered from the log |
//! | after the finish, before the answer | `DONE` | answered from the log |
//! | a finish is lost, late or repeated | `INTENT`, or `DONE` already | the fold or whoever stumbles over it finishes; a row leaves `INTENT` once |
//! | a slow insert lands after the take-over | the second insert under the id is refused | the first one's reply, from the log |
//! | the row was there before | admit, answer or intend finds it | nothing was written; the command is claimed, and answered from what is found |
//! | the attempt was taken over while deciding | intend and answer find another attempt | the command is [not claimed](crate::AppendError::NotClaimed); nothing was written |
//! | a value belongs to a stream with an open intent | the intent | finished first (after its lease), then looked at again; else a conflict, which is not stored |
//! | ledger absent | no answer | claims and intents fail; commands that need neither go on |
//! | ledger emptied or restored under us | checkpoint rows gone, or behind the footing | nothing is granted until the fold has reached the log's heads |
//!
//! What remains: answers of first attempts live in the ledger alone. Where it is emptied, or restored from before them, such a
//! command is as good as new, and may be answered otherwise. What took effect, and what later attempts answered, is in the log.
//!
//! # Time
//!
//! Leases are told by the *ledger store's own clock*: one clock for all that compete for a row, so that no
//! instance with a wrong clock holds or steals. The trait speaks in spans only, never in moments. What the coordinator itself
//! waits for comes from a [`Timer`](crate::Timer) that is passed in.

mod answer;
mod append;
mod claim;
mod finish;
mod footing;
mod gates;
mod local;
mod recover;
mod run;
mod store;
mod wire;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use crate::envelope::CommandId;
use crate::follow::Backoff;
use crate::log::{EventLog, ReadError, ReadLog, RecordedCommit, TailLog};
use crate::position::{Partition, Position};
use crate::projection::Progress;
use crate::stream::StreamName;
use crate::version::Version;

use finish::Finishes;
use footing::Ground;
use gates::Gates;
use local::Local;

pub use answer::LoggedAnswer;
pub use claim::CoordinatorClaim;
pub use store::{
    Advance, CommandClaims, Entered, Entry, Footing, Holder, Intended, Intent, IntentError,
    IntentStore, Intents, Known, KnownState, Landed, Lease, LedgerFold, OpenIntent, Stored,
};

/// How a [`Coordinator`] works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CoordinatorOptions {
    /// How long a row is held without being renewed.
    pub lease: Duration,
    /// How often leases are renewed; several times a lease.
    pub renew_every: Duration,
    /// How often intents whose lease is over are looked for.
    pub sweep_every: Duration,
    /// How long a commit waits for an intent in its way, before it is a conflict.
    pub patience: Duration,
    /// The pauses while it waits.
    pub poll: Backoff,
    /// The pauses while the ledger is away.
    pub backoff: Backoff,
    /// How many finishes wait at most; what is more is left to the fold.
    pub finish_queue: usize,
    /// How many are written at once.
    pub finish_batch: usize,
    /// How long finishes gather, unless one has reservations, for which others may wait.
    pub finish_every: Duration,
    /// How many events a slice of the fold holds at most, unless a single commit has more.
    pub fold_events: usize,
    /// How long commits gather for a slice of the fold, which nobody waits for: with many, each slice costs as much as a command.
    pub fold_every: Duration,
    /// How many slices a command folds by itself where the ledger was just opened; past them it fails, and
    /// [`run`](Coordinator::run) does the rest.
    pub fold_at_once: usize,
}

impl Default for CoordinatorOptions {
    /// Leases of 10 s, renewed every 3 s; a sweep each second; waits of up to 12 s; 10,000 finishes, 256 at
    /// once, gathered for 50 ms; slices of 500 events, one in 250 ms, 8 at once.
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            renew_every: Duration::from_secs(3),
            sweep_every: Duration::from_secs(1),
            patience: Duration::from_secs(12),
            poll: Backoff {
                first: Duration::from_millis(2),
                longest: Duration::from_millis(250),
            },
            backoff: Backoff::default(),
            finish_queue: 10_000,
            finish_batch: 256,
            finish_every: Duration::from_millis(50),
            fold_events: 500,
            fold_every: Duration::from_millis(250),
            fold_at_once: 8,
        }
    }
}

/// A log and a ledger of another store, together what the command path wants of both.
///
/// Give it to an [`Executor`](crate::Executor) as its log and to an [`Idempotency`](crate::Idempotency) as its
/// ledger; drive [`run`](Self::run) beside them. Cheap to clone; clones are the same instance. Any number of instances,
/// in any number of processes, may share log and ledger.
///
/// # Delivery
///
/// What the log acknowledged happened once; the ledger follows.
///
/// # Cancel safety
///
/// Dropping any future leaves the outcome unknown, and everything sound: what was begun is finished by a retry, by
/// the sweeper or by the fold. Only the row of a claim whose client never asks again stays.
pub struct Coordinator<L, I, T> {
    inner: Arc<Inner<L, I, T>>,
}

struct Inner<L, I, T> {
    log: L,
    intents: I,
    timer: T,
    options: CoordinatorOptions,
    instance: Uuid,
    gates: Arc<Gates>,
    local: Arc<Local>,
    finishes: Finishes,
    ground: Ground,
    progress: Progress,
}

impl<L: EventLog, I: IntentStore, T> Coordinator<L, I, T> {
    /// Coordinates `log` and `intents`.
    ///
    /// `instance` is another one each time: it tells this instance's rows from those of its own past.
    #[must_use]
    pub fn new(log: L, intents: I, timer: T, instance: Uuid, options: CoordinatorOptions) -> Self {
        let partitions = log.partitions();
        Self {
            inner: Arc::new(Inner {
                log,
                intents,
                timer,
                options,
                instance,
                gates: Arc::default(),
                local: Arc::default(),
                finishes: Finishes::new(options.finish_queue),
                ground: Ground::new(partitions),
                progress: Progress::new(partitions),
            }),
        }
    }
}

impl<L: ReadLog, I: Send + Sync, T: Send + Sync> ReadLog for Coordinator<L, I, T> {
    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        self.inner.log.read_stream(stream, after, max_events).await
    }

    async fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        let log = &self.inner.log;
        log.read_partition(partition, after, max_events).await
    }

    /// The effect of `command`; an [answer](LoggedAnswer) that stands in the log is none.
    async fn find_commit(&self, command: CommandId) -> Result<Option<RecordedCommit>, ReadError> {
        let found = self.inner.log.find_commit(command).await?;
        Ok(found.filter(|commit| LoggedAnswer::of(commit).is_none()))
    }
}

impl<L: TailLog, I: Send + Sync, T: Send + Sync> TailLog for Coordinator<L, I, T> {
    fn partitions(&self) -> u16 {
        self.inner.log.partitions()
    }

    async fn head(&self, partition: Partition) -> Result<Position, ReadError> {
        self.inner.log.head(partition).await
    }

    fn goes_on(&self, partition: Partition, after: Position) -> bool {
        self.inner.log.goes_on(partition, after)
    }

    async fn wait_past(&self, partition: Partition, after: Position) -> Result<(), ReadError> {
        self.inner.log.wait_past(partition, after).await
    }
}

impl<L, I, T> Clone for Coordinator<L, I, T> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<L, I, T> fmt::Debug for Coordinator<L, I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coordinator")
            .field("instance", &self.inner.instance)
            .finish_non_exhaustive()
    }
}
