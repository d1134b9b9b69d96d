//! The command path: from a command to a durable decision.
//!
//! # What happens to a command
//!
//! Its stream's folded state is found in a cache, or loaded (once, however many
//! commands wait for it). Under the lock of the stream's shard, the command is
//! decided on the *speculative* state (what the stream will be once
//! everything called before has landed), its commit is handed to the log, and the state evolves. Then the lock is
//! let go, and the answer waits until the log says that the commit is durable.
//! Where the log has to be asked before a command's first append ([`admit`](crate::AppendToLog::admit)), that happens
//! between two decisions: nothing of the first one is kept.
//! The next command of the stream need not wait for that: a hot stream becomes a batch in the log's queue.
//!
//! # Invariants
//!
//! 1. Calls to [`append`](crate::AppendToLog::append) for one stream are made in the order of the
//!    decisions: both happen under one lock.
//! 2. A commit expects exactly the version that it was decided on and, where that was not
//!    known to be durable, the very commit that ends there. The log is
//!    the arbiter; the cache is a hint.
//! 3. An answer is given only when all it was decided on is durable: a commit
//!    lands only after its predecessors, and a decision without events is
//!    [confirmed](crate::AppendToLog::confirm) in the stream's order.
//! 4. Whatever is not known to have landed is not in the cache: every failure, and every caller that goes away
//!    before its answer, evicts the stream. Entries have an epoch, so that a
//!    late failure evicts only what was built on it.
//! 5. A command that may come again is never refused before the log was asked for its id.
//!
//! # Failures
//!
//! | what fails | what the caller gets | what the cache holds | later commands of the stream |
//! |---|---|---|---|
//! | load | `Unavailable` or `Corrupt` | nothing | one of them loads again |
//! | caller gone while loading | – | nothing | the next one that waits loads |
//! | decision refused | the refusal, once confirmed | the same state | go on |
//! | confirm finds another head | `Conflict` | nothing | their confirm or append fails too, or they reload |
//! | not admitted | the matching error; nothing was written | the same state | go on |
//! | append: conflict, key reused, value taken, queue full | the matching error; nothing was written | nothing | their append conflicts; decided again |
//! | append: outcome unknown | `Unavailable` | nothing | land if it landed, else conflict |
//! | append: repeated | the first reply, from the log | nothing | their append conflicts; decided again |
//! | caller gone while appending | – | nothing | land if it landed, else conflict |
//! | `evolve` panics | the panic | nothing | reload, and meet it again |
//!
//! `Conflict` is what [`ConflictRetry`](crate::ConflictRetry) tries again: the
//! reload and the new decision happen there.

mod cache;
mod decide;
mod load;
mod options;
mod snapshots;

use std::fmt;
use std::sync::Arc;

use crate::aggregate::{Aggregate, Decide, Decided, Outcome, Snapshotted};
use crate::codec::Codec;
use crate::envelope::Envelope;
use crate::handler::Handler;
use crate::log::{AppendError, Appended, CommitHeader, EventLog, RecordedCommit};
use crate::message::{Command, DispatchError, DispatchResult};
use crate::mutants::mutant;
use crate::snapshot::SnapshotStore;
use crate::stream::StreamName;
use crate::version::Version;

use cache::{Cache, InFlight};
use decide::{Going, Step, Verdict};
use snapshots::{ErasedSnapshots, SnapshotQueue, Snapshots};

pub use options::{ExecutorOptions, ExecutorStats};

/// Decides commands on aggregates `A` and makes the decisions durable in `L`.
///
/// Handles every command that `A` [decides](Decide). Cheap to clone; clones share one cache. Any
/// number of executors, in any number of processes, may share a log: they are
/// correct side by side, and fastest when each stream stays with one.
///
/// # Delivery
///
/// A reply means that the events are durable. [`DispatchError::Unavailable`] means
/// that they may be; asking again under the same command id tells.
///
/// # Cancel safety
///
/// Dropping the future of a command leaves its outcome unknown and the executor sound.
pub struct Executor<A: Aggregate, L> {
    inner: Arc<Inner<A, L>>,
}

struct Inner<A: Aggregate, L> {
    log: L,
    codec: Codec<A::Event>,
    cache: Cache<A>,
    snapshots: Option<Box<dyn ErasedSnapshots<A>>>,
    queue: SnapshotQueue,
    stats: options::Counters,
}

impl<A: Aggregate, L: EventLog> Executor<A, L> {
    /// An executor over `log` that folds every stream from its beginning.
    #[must_use]
    pub fn new(log: L, codec: Codec<A::Event>, options: ExecutorOptions) -> Self {
        Self::build(log, codec, options, None)
    }

    /// An executor over `log` that starts from the snapshots in `store` and asks for new ones.
    ///
    /// They are taken by [`run_snapshots`](Self::run_snapshots), which the binary drives.
    #[must_use]
    pub fn with_snapshots<S>(
        log: L,
        codec: Codec<A::Event>,
        options: ExecutorOptions,
        store: S,
    ) -> Self
    where
        A: Snapshotted,
        S: SnapshotStore + 'static,
    {
        Self::build(log, codec, options, Some(Box::new(Snapshots(store))))
    }

    fn build(
        log: L,
        codec: Codec<A::Event>,
        options: ExecutorOptions,
        snapshots: Option<Box<dyn ErasedSnapshots<A>>>,
    ) -> Self {
        Self {
            inner: Arc::new(Inner {
                log,
                codec,
                cache: Cache::new(options),
                snapshots,
                queue: SnapshotQueue::default(),
                stats: options::Counters::default(),
            }),
        }
    }

    /// What it has done so far, for metrics.
    #[must_use]
    pub fn stats(&self) -> ExecutorStats {
        let cache = &self.inner.cache;
        self.inner.stats.read(cache.landed(), cache.weight())
    }

    /// Takes the snapshots that are due, until `shutdown` completes.
    ///
    /// They are folded from the log, never copied from the cache, so that only what is durable is kept.
    /// A failure is logged and costs nothing but the snapshot.
    pub async fn run_snapshots(&self, shutdown: impl Future<Output = ()> + Send) {
        self.inner.run_snapshots(shutdown).await;
    }
}

impl<A, L, C> Handler<C> for Executor<A, L>
where
    A: Decide<C>,
    L: EventLog,
    C: Command,
{
    async fn handle(&self, command: C, envelope: &Envelope) -> DispatchResult<C> {
        self.inner.execute(&command, envelope).await
    }
}

impl<A: Aggregate, L: EventLog> Inner<A, L> {
    async fn execute<C: Command>(&self, command: &C, envelope: &Envelope) -> DispatchResult<C>
    where
        A: Decide<C>,
    {
        let stream = StreamName::new(A::CATEGORY, &A::target(command, envelope)).map_err(|e| {
            DispatchError::Invalid {
                field: "stream".to_owned(),
                reason: e.to_string(),
            }
        })?;
        envelope.target.set(&stream);
        if envelope.attempt > 1
            && !mutant("a second attempt asks the log for nothing")
            && let Some(reply) = self.first_reply(command, envelope, &stream).await?
        {
            return Ok(reply);
        }
        // Only the first round may assume that the stream is empty: a conflict then says that it is not.
        let mut how = Going {
            assume_empty: A::BEGINS,
            admitted: false,
        };
        loop {
            let assumed = match self.step(&stream, command, envelope, how) {
                Step::Load(loading) => {
                    self.load_into(loading, &stream).await?;
                    continue;
                }
                Step::Wait(notified) => {
                    notified.await;
                    continue;
                }
                Step::Admit(admission) => {
                    let admitted = admission.await;
                    admitted.map_err(|error| self.append_error(error))?;
                    how.admitted = true;
                    continue;
                }
                Step::Failed(error) => return Err(error),
                Step::Append {
                    landing,
                    in_flight,
                    header,
                    events,
                    version,
                } => match self.landed(landing.await, in_flight, &stream, version) {
                    Ok(appended) if appended.repeated => {
                        let reply = self.first_reply(command, envelope, &stream).await?;
                        return reply.ok_or(DispatchError::Conflict {
                            stream: stream.clone(),
                        });
                    }
                    Ok(appended) => {
                        envelope.landed.set();
                        return Ok(A::reply(
                            command,
                            &Decided {
                                outcome: Outcome::Committed,
                                stream: &stream,
                                version,
                                at: appended.at,
                                header: &header,
                                events: &events,
                            },
                        ));
                    }
                    Err((DispatchError::Conflict { .. }, true)) => true,
                    Err((error, _)) => return Err(error),
                },
                Step::Confirm {
                    head,
                    in_flight,
                    verdict,
                    version,
                } => match self.confirmed(head.await, in_flight, &stream) {
                    Ok(at) => {
                        if envelope.identity.may_repeat()
                            && !mutant("a second attempt asks the log for nothing")
                            && let Some(reply) =
                                self.first_reply(command, envelope, &stream).await?
                        {
                            return Ok(reply);
                        }
                        return match verdict {
                            Verdict::Refused(error) => Err(error),
                            Verdict::Nothing => Ok(A::reply(
                                command,
                                &Decided {
                                    outcome: Outcome::Nothing,
                                    stream: &stream,
                                    version,
                                    at,
                                    header: &CommitHeader::from(envelope),
                                    events: &[],
                                },
                            )),
                        };
                    }
                    Err((DispatchError::Conflict { .. }, true)) => true,
                    Err((error, _)) => return Err(error),
                },
            };
            debug_assert!(assumed, "only a wrong assumption goes round again");
            how.assume_empty = false;
        }
    }

    /// Takes note of what an append came to; with the error, whether an empty stream had been assumed.
    fn landed<E>(
        &self,
        result: Result<Appended, AppendError>,
        in_flight: InFlight<'_, A>,
        stream: &StreamName,
        version: Version,
    ) -> Result<Appended, (DispatchError<E>, bool)> {
        match result {
            // An entry built on a commit that landed elsewhere is evicted by the guard's drop.
            Ok(appended) if appended.repeated => Ok(appended),
            Ok(appended) => {
                debug_assert_eq!(appended.version, version, "the log keeps versions dense");
                if in_flight.landed() && self.snapshots.is_some() {
                    self.queue.push(stream.clone());
                }
                Ok(appended)
            }
            Err(error) => Err((self.append_error(error), in_flight.assumed())),
        }
    }

    fn confirmed<E, T>(
        &self,
        result: Result<T, AppendError>,
        in_flight: InFlight<'_, A>,
        _stream: &StreamName,
    ) -> Result<T, (DispatchError<E>, bool)> {
        match result {
            Ok(at) => {
                in_flight.confirmed();
                Ok(at)
            }
            Err(error) => Err((self.append_error(error), in_flight.assumed())),
        }
    }

    fn append_error<E>(&self, error: AppendError) -> DispatchError<E> {
        match error {
            AppendError::Conflict { stream, .. } => {
                self.stats.conflict();
                DispatchError::Conflict { stream }
            }
            AppendError::KeyReused => DispatchError::KeyReused,
            AppendError::Reserved { value, .. } => DispatchError::Taken { value },
            AppendError::Invalid(invalid) => DispatchError::Invalid {
                field: "events".to_owned(),
                reason: invalid.to_string(),
            },
            AppendError::NotClaimed => DispatchError::InProgress,
            AppendError::Overloaded => DispatchError::Overloaded,
            store @ AppendError::Store { .. } => DispatchError::Unavailable {
                source: store.into(),
            },
        }
    }

    /// The reply of an earlier attempt of the same command, made again from the log.
    async fn first_reply<C: Command>(
        &self,
        command: &C,
        envelope: &Envelope,
        stream: &StreamName,
    ) -> Result<Option<C::Reply>, DispatchError<C::Error>>
    where
        A: Decide<C>,
    {
        let found = self.log.find_commit(envelope.command_id).await;
        let Some(commit) = found.map_err(load::read_error)? else {
            return Ok(None);
        };
        if commit.stream != *stream || commit.header.request != envelope.identity.request() {
            return Err(DispatchError::KeyReused);
        }
        let events = self.decode(&commit).map_err(load::corrupt)?;
        envelope.landed.set();
        envelope.replayed.set();
        self.stats.repeated();
        Ok(Some(A::reply(
            command,
            &Decided {
                outcome: Outcome::Repeated,
                stream,
                version: commit.version,
                at: commit.at,
                header: &commit.header,
                events: &events,
            },
        )))
    }

    fn decode(&self, commit: &RecordedCommit) -> Result<Vec<A::Event>, crate::DecodeError> {
        commit.events.iter().map(|e| self.codec.decode(e)).collect()
    }
}

impl<A: Aggregate, L> Clone for Executor<A, L> {
    fn clone(&self) -> Self {
        Self {
            inner: Arc::clone(&self.inner),
        }
    }
}

impl<A: Aggregate, L> fmt::Debug for Executor<A, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Executor")
            .field("category", &A::CATEGORY)
            .finish_non_exhaustive()
    }
}
