//! The group committer: one per partition and process, the only writer of that partition in this process.
//!
//! Whatever waits when a group begins is checked against the streams' heads, numbered, and sent as one ordered
//! insert, majority and journaled. While it is on its way the next group queues. There is no timer, and never more
//! than one insert in flight. Any number of processes may do this to one partition: the primary key, unique
//! (stream, first version) and unique (command id) decide between them, nothing else does.
//!
//! # Invariants
//!
//! 1. Position *p* is sent only once *p − 1* is *known* to exist, or directly behind it in the same ordered insert.
//!    *Known* is: acknowledged by a majority, read by a majority read, or in front of a duplicate key that came
//!    without a write concern error. So the log has no hole, and "the next one is missing" is its end.
//! 2. A position has one content per committer while its fate is open: as long as an insert may land, now or later,
//!    the identical documents are sent again from the first undecided position. Nothing is numbered meanwhile.
//! 3. What settles a fate is a document that is there: the insert of a member that met a key which is there for good
//!    can never land, and, the insert being ordered, neither can what is behind it, however late an attempt that
//!    was given up arrives. Then, and only then, those behind it are numbered anew.
//! 4. A document that stands at its position counts as landed by us only where it bears our writer's number; with
//!    our command's id but another writer's number it is somebody else's commit of the same command: a repeat.
//! 5. A member that has lost its (stream, version), or whose command stands elsewhere, takes with it every later
//!    commit of its stream, in the batch and in the queue, that was called before it is answered: they were decided
//!    on a state that never came to be.
//!    Members of other streams keep their order.
//! 6. Cached heads are hints. A head was the stream's head once, so it is the end of a commit; where it is so no
//!    longer, the index refuses the insert. A stream that is not cached is read before its commit is numbered,
//!    except that a commit which expects no stream needs no reading: version 1 is unique. A hint refuses nobody who
//!    knows of a later version: the stream is read again first.
//! 7. Every answer is given after its reason is durable: `Appended` after the majority's acknowledgement,
//!    `Conflict` after a look for the command's own id, so that a repeat is never told of a conflict.
//! 8. A confirmation is answered behind everything of its stream that was called before it. It rests on something that
//!    happened after its call: a commit of the same stream that landed right before or right behind it in its own
//!    batch, or a linearizable read that finds the slot behind the head empty.
//!
//! # Failures
//!
//! | what the insert came to | what is read | what follows |
//! |---|---|---|
//! | acknowledged | – | all landed |
//! | lost at *i*, without a write concern error | – | those before *i* landed; *i* is settled by the rows below |
//! | … our document stands at its position | the log from there | an earlier attempt landed: that far it is done; the rest is sent again as it is |
//! | … another's commit of the same command stands there | the log from there | *i* is a repeat, its stream's later members fail, the rest is numbered anew |
//! | … another document stands there | the log from there | the position is lost: heads are brought up to date, all from *i* on are checked and numbered anew; who lost their version fail, with their stream's later members |
//! | … nothing stands there, the command stands elsewhere | by command | as for another's commit of the same command |
//! | … nothing stands there, the stream goes on otherwise | the stream's last | the version is lost: checked and numbered anew |
//! | … nothing explains it | all of the above | unknown |
//! | time-out, network, failover, write concern error, any other refusal | – | unknown: wait, send the identical documents again from the first undecided position |
//! | a read fails while a fate is open | – | wait, read again |
//! | a read fails before anything is numbered | – | wait, read again until the limit; then `Store`, nothing was written |
//! | unknown for longer than the limit | – | all of the group, and what has queued as long, are answered `Store`; settling goes on, nothing is numbered before it ends |
//! | closed, and unknown for longer than the limit | – | the committer ends, all that waits is answered `Store`; a later one finds what landed |
//! | the committer panics | – | the same |
//! | the process dies | – | what landed is whole; the caller's retry of the identical commit tells |

mod batch;
mod confirm;
#[cfg(test)]
mod harness;
mod lost;
#[cfg(test)]
mod memory;
#[cfg(test)]
mod properties;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{ExpectedVersion, Partition, Position, StreamName, Version};
use foldhash::fast::FixedState;
use futures_util::future::join;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use crate::engine::Engine;
use crate::error::StoreFailure;
use crate::heads::{Head, Heads};
use crate::queue::{Job, Queue};
use crate::tail::Tail;

use batch::Batch;
use confirm::Asked;

/// How a committer goes about it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// The most commits in one insert, and the most bytes.
    pub(crate) group: usize,
    pub(crate) group_bytes: usize,
    /// How long an outcome may stay unknown before callers are told so.
    pub(crate) give_up: Duration,
    pub(crate) cached_heads: usize,
}

/// Point reads at a time.
const READS: usize = 8;
/// Others' commits that are followed one by one; past as many, all heads are forgotten.
const FOLLOWED: usize = 2_000;
const BACKOFF: Duration = Duration::from_millis(5);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Why a committer ends before its work is done: it was closed, and the limit has passed.
struct Abandoned;

pub(crate) struct Committer<E> {
    engine: E,
    partition: Partition,
    /// In every document that is written here, and in no other.
    writer: i64,
    queue: Arc<Queue>,
    tail: Arc<Tail>,
    limits: Limits,
    /// The last position known to exist.
    head: Option<Position>,
    heads: Heads,
}

impl<E: Engine> Committer<E> {
    pub(crate) fn new(
        engine: E,
        partition: Partition,
        writer: i64,
        queue: Arc<Queue>,
        tail: Arc<Tail>,
        limits: Limits,
    ) -> Self {
        Self {
            engine,
            partition,
            writer,
            queue,
            tail,
            limits,
            head: None,
            heads: Heads::new(limits.cached_heads),
        }
    }

    /// Commits what is queued until the queue is closed and empty.
    pub(crate) async fn run(mut self) {
        while let Some(jobs) = self
            .queue
            .take(self.limits.group, self.limits.group_bytes)
            .await
        {
            if let Err(Abandoned) = self.group(jobs).await {
                tracing::error!(partition = %self.partition, "closed with an unknown outcome");
                break;
            }
        }
    }

    async fn group(&mut self, jobs: Vec<Job>) -> Result<(), Abandoned> {
        let until = self.engine.now() + self.limits.give_up;
        if let Err(failure) = self.prepare(&jobs, until).await {
            jobs.into_iter().for_each(|job| job.fail(&failure));
            return Ok(());
        }
        let mut batch = Batch::new(until);
        let alone = self.plan(jobs, &mut batch);
        // Both at once: a stream that is only asked for has no commit in the insert.
        let (engine, partition) = (self.engine.clone(), self.partition);
        let confirmed = confirm::answer(&engine, partition, alone);
        let (settled, confirmed) = join(self.settle(&mut batch), confirmed).await;
        settled?;
        self.learn_heads(confirmed);
        let (proven, open): (Vec<_>, Vec<_>) = batch
            .take_asked()
            .into_iter()
            .partition(|asked| asked.is_proven(&batch));
        for asked in proven {
            let head = asked.proven_head(&batch);
            asked.answer(partition, head);
        }
        let open = open
            .into_iter()
            .map(|asked| {
                let start = self.known(asked.stream());
                asked.beginning_at(start)
            })
            .collect();
        let confirmed = confirm::answer(&engine, partition, open).await;
        self.learn_heads(confirmed);
        self.answer_lost(batch).await;
        Ok(())
    }

    /// Learns where the log and the jobs' streams end, before anything is numbered.
    async fn prepare(&mut self, jobs: &[Job], until: Duration) -> Result<(), StoreFailure> {
        let mut backoff = BACKOFF;
        loop {
            match self.learn_all(jobs).await {
                Ok(()) => return Ok(()),
                Err(failure) if self.engine.now() >= until => return Err(failure),
                Err(failure) => {
                    tracing::warn!(partition = %self.partition, error = %failure, "could not read the log");
                    self.engine.sleep(backoff).await;
                    backoff = (backoff * 2).min(BACKOFF_MAX);
                }
            }
        }
    }

    async fn learn_all(&mut self, jobs: &[Job]) -> Result<(), StoreFailure> {
        let streams = jobs.iter().map(|job| (job.stream(), job.expected()));
        self.learn(streams).await?;
        let outdated = self.outdated(jobs);
        self.read_heads(outdated).await
    }

    /// The streams of which a caller knows a later version than is known here: others have appended to them.
    fn outdated(&mut self, jobs: &[Job]) -> Vec<StreamName> {
        let mut ends: HashMap<&StreamName, Head, FixedState> = HashMap::default();
        let mut outdated = Vec::new();
        for job in jobs {
            let Job::Append(append) = job else {
                continue;
            };
            let end = ends.get(&append.stream).copied();
            let end = end.unwrap_or_else(|| self.known(&append.stream));
            if append.expected.accepts(end.version, end.last) {
                let after = Head {
                    version: end.version.plus(append.events),
                    at: end.at,
                    last: Some(append.command),
                };
                ends.insert(&append.stream, after);
            } else if expected_version(append.expected).is_some_and(|version| version > end.version)
            {
                outdated.push(append.stream.clone());
            }
        }
        outdated
    }

    /// Reads the log's head, and those of `streams` that are not known and need to be.
    async fn learn(
        &mut self,
        streams: impl Iterator<Item = (&StreamName, ExpectedVersion)>,
    ) -> Result<(), StoreFailure> {
        let mut missing: Vec<StreamName> = Vec::new();
        for (stream, expected) in streams {
            if !expects_nothing(expected) && self.heads.get(stream).is_none() {
                missing.push(stream.clone());
            }
        }
        if self.head.is_none() {
            self.reached(self.engine.head(Position::START).await?);
        }
        self.read_heads(missing).await
    }

    async fn read_heads(&mut self, mut streams: Vec<StreamName>) -> Result<(), StoreFailure> {
        streams.sort_unstable();
        streams.dedup();
        let engine = &self.engine;
        let found: Vec<_> = stream::iter(streams)
            .map(|stream| async move {
                let last = engine.last_of(stream.clone()).await?;
                Ok::<_, StoreFailure>((stream, last))
            })
            .buffer_unordered(READS)
            .try_collect()
            .await?;
        for (stream, last) in found {
            let head = last.as_ref().map_or(Head::EMPTY, Head::of);
            self.heads.learn(&stream, head);
        }
        Ok(())
    }

    /// Gives each commit its place, or refuses it; and notes between which commits of its stream each question stands.
    ///
    /// Gives back the questions for streams without a commit here.
    fn plan(&mut self, jobs: Vec<Job>, batch: &mut Batch) -> Vec<Asked> {
        let mut asked: Vec<Asked> = Vec::new();
        for job in jobs {
            match job {
                Job::Append(append) => {
                    let head = batch.end_of(&append.stream);
                    let head = head.unwrap_or_else(|| self.known(&append.stream));
                    let next = batch.next_after(self.head.unwrap_or_default());
                    batch.plan(append, head, next);
                }
                Job::Confirm(confirm) => {
                    let start = self.known(&confirm.stream);
                    let behind = batch.last_member_of(&confirm.stream);
                    asked.push(Asked::new(confirm, start, behind));
                }
            }
        }
        for asked in &mut asked {
            asked.find_successor(batch);
        }
        let (alone, beside) = asked.into_iter().partition(Asked::is_alone);
        batch.ask(beside);
        alone
    }

    /// The head of a stream as far as it is known.
    fn known(&mut self, stream: &StreamName) -> Head {
        self.heads.get(stream).unwrap_or(Head::EMPTY)
    }

    fn reached(&mut self, position: Position) {
        if self.head.is_none_or(|head| head < position) {
            self.head = Some(position);
        }
        self.tail.reached(position);
    }

    fn learn_heads(&mut self, heads: Vec<(StreamName, Head)>) {
        for (stream, head) in heads {
            self.heads.learn(&stream, head);
        }
    }
}

/// However it ends, also by a panic: nobody waits for what nobody does any more.
impl<E> Drop for Committer<E> {
    fn drop(&mut self) {
        self.queue.close();
        for job in self.queue.take_all() {
            job.fail(&StoreFailure::closed());
        }
        self.tail.close();
    }
}

/// Whether version 1 is what such a commit needs: the index tells, no reading does.
fn expects_nothing(expected: ExpectedVersion) -> bool {
    matches!(
        expected,
        ExpectedVersion::NoStream | ExpectedVersion::Exact(Version::EMPTY)
    )
}

/// The version that a caller knows of.
fn expected_version(expected: ExpectedVersion) -> Option<Version> {
    match expected {
        ExpectedVersion::Exact(version) | ExpectedVersion::After { version, .. } => Some(version),
        ExpectedVersion::Any | ExpectedVersion::NoStream => None,
    }
}
