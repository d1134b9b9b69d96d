//! Drives a projection along the log, or along a bus.
//!
//! Invariants:
//!
//! - The checkpoint stands at ends of commits only, and moves with the rows, by compare-and-set: each
//!   event's effect happens once, whatever crashes, repeats or runs twice.
//! - Every event that the projection names is applied or parked, in its stream's order. Once a stream is
//!   parked, its later events queue behind; other streams go on.
//! - What is remembered here (checkpoint, parked streams, the slice read ahead) is a cache: whenever the store disagrees it is
//!   loaded anew. What was read ahead follows on the checkpoint, or is read again.
//! - A slice of which nothing is handled moves the checkpoint all the same: who waits for a position gets there.
//!
//! | what happens | what is done |
//! |---|---|
//! | an event is poisonous | the batch is tried again, up to `attempts` times for that event; then written with that stream's events parked from there on, the reason with the first |
//! | the checkpoint stands elsewhere | load it and the parked streams again, go on from there |
//! | the store is away, or its answer is lost | wait, load the checkpoint, go on from there; never park |
//! | the log is away | wait, read again |
//! | the log is corrupt | that partition ends with [`RunnerError::Log`] |
//! | crash, or the future is dropped, before the write | nothing was written: read again |
//! | crash after the write | the checkpoint stands behind the slice: it is not read again |
//! | the database loses its tail in a crash: rows and checkpoint together | the next write is refused; at the end of the log it looks every [`RunnerOptions::look_again`] |
//! | a rebuild empties the rows | the next write is refused; start from 0. [`ProjectionRunner::reload`] tells one that waits |

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::join;
use tokio::sync::{Mutex, Notify};

use crate::BoxError;
use crate::follow::{self, Backoff, Follower, RunnerError, RunnerOptions, Step, Trouble, chain};
use crate::log::{CommitSource, RecordedCommit};
use crate::mutants::mutant;
use crate::position::{Partition, Position};
use crate::projection::sorted::Sorted;
use crate::projection::{ApplyError, Batch, Checkpoint, ParkedStreams, Progress, Projection};
use crate::stream::StreamName;
use crate::time::Timer;

/// Drives a projection along a log or a [`BusSource`](crate::BusSource): one future per partition, or one for all.
///
/// Running first tries to release what is parked.
#[derive(Debug)]
pub struct ProjectionRunner<S, P, T> {
    source: S,
    projection: P,
    timer: T,
    options: RunnerOptions,
    progress: Progress,
    lanes: Box<[Lane]>,
}

/// One partition.
#[derive(Debug, Default)]
struct Lane {
    /// Held during every write, so that a release does not come in between.
    known: Mutex<Option<Known>>,
    /// Set where what is known must be loaded again.
    outdated: AtomicBool,
    wake: Notify,
}

/// What the store last said.
#[derive(Debug)]
struct Known {
    checkpoint: Checkpoint,
    parked: BTreeSet<StreamName>,
    /// What follows on the checkpoint, as far as it was read.
    ahead: Arc<[RecordedCommit]>,
    /// What was written last, where reading is ahead: let go once the store is at work again, which waits for it else.
    done: Arc<[RecordedCommit]>,
}

/// What [`ProjectionRunner::release_parked`] came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Released {
    /// The streams that are parked no longer.
    pub released: Vec<StreamName>,
    /// The streams whose events still cannot be applied, and why.
    pub refused: Vec<(StreamName, String)>,
}

impl<S, P, T> ProjectionRunner<S, P, T>
where
    S: CommitSource,
    P: Projection + ParkedStreams,
    T: Timer,
{
    /// A runner of `projection` along `source`.
    #[must_use]
    pub fn new(source: S, projection: P, timer: T, options: RunnerOptions) -> Self {
        let partitions = source.partition_count();
        Self {
            source,
            projection,
            timer,
            options,
            progress: Progress::new(partitions),
            lanes: (0..partitions).map(|_| Lane::default()).collect(),
        }
    }

    /// The projection.
    #[must_use]
    pub fn projection(&self) -> &P {
        &self.projection
    }

    follow::run_methods!();
    follow::run_assigned_methods!();

    /// Tells a running runner that the checkpoint was moved by somebody else, as by a rebuild.
    pub fn reload(&self) {
        for lane in &self.lanes {
            lane.outdated.store(true, Ordering::Release);
            lane.wake.notify_one();
        }
    }

    /// Tries to apply what is parked in `partition`. Safe beside a running runner.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Store`]: some may be released; ask again.
    pub async fn release_parked(&self, partition: Partition) -> Result<Released, ApplyError> {
        let mut outcome = Released::default();
        let Some(lane) = self.lane(partition) else {
            return Ok(outcome);
        };
        let mut known = lane.known.lock().await;
        *known = None;
        for parked in self.projection.parked(partition).await? {
            match self.projection.release(partition, &parked.stream).await {
                Ok(()) => outcome.released.push(parked.stream),
                Err(ApplyError::Poison { source, .. }) => {
                    outcome
                        .refused
                        .push((parked.stream, chain(source.as_ref())));
                }
                // Somebody else was faster; the stream's state is the store's to know.
                Err(ApplyError::Stale) => {}
                Err(error @ ApplyError::Store { .. }) => return Err(error),
            }
        }
        *known = Some(self.load(partition).await?);
        if !outcome.released.is_empty() || !outcome.refused.is_empty() {
            tracing::info!(
                projection = self.projection.name(),
                %partition,
                released = outcome.released.len(),
                refused = outcome.refused.len(),
                "tried to release parked streams"
            );
        }
        Ok(outcome)
    }

    fn lane(&self, partition: Partition) -> Option<&Lane> {
        self.lanes.get(usize::from(partition.index()))
    }

    async fn load(&self, partition: Partition) -> Result<Known, ApplyError> {
        let checkpoint = self.projection.checkpoint(partition).await?;
        let parked = self.projection.parked(partition).await?;
        let parked: BTreeSet<_> = parked.into_iter().map(|p| p.stream).collect();
        self.progress
            .stand(partition, checkpoint.position, parked.len());
        Ok(Known {
            checkpoint,
            parked,
            ahead: Arc::default(),
            done: Arc::default(),
        })
    }

    /// What comes after `last`, where it is wanted and can be had; else the next step reads it, and tells why not.
    async fn read_ahead(&self, partition: Partition, last: Position) -> Arc<[RecordedCommit]> {
        if !self.options.read_ahead {
            return Arc::default();
        }
        let ahead = follow::read(&self.source, partition, last, self.options.max_events);
        ahead.await.unwrap_or_default().into()
    }

    /// Writes a slice: applied, or in part parked.
    async fn write(
        &self,
        partition: Partition,
        known: &mut Known,
        slice: &Arc<[RecordedCommit]>,
    ) -> Result<(), ApplyError> {
        let Some(last) = slice.last() else {
            return Ok(());
        };
        let mut sorted = Sorted::new(slice, &known.parked, |name| self.projection.handles(name));
        let mut tries = BTreeMap::<(usize, usize), u32>::new();
        let mut parked = Vec::new();
        loop {
            let batch = Batch {
                partition,
                expected: known.checkpoint,
                position: last.at.position,
                commits: slice.into(),
                apply: &sorted.apply,
                park: &sorted.park,
            };
            match self.projection.apply(&batch).await {
                Ok(()) => break,
                Err(ApplyError::Poison { index, source }) => {
                    let Some(&event) = sorted.apply.get(index) else {
                        // The store named an event that it was not given: nothing here to park.
                        return Err(ApplyError::Store { source });
                    };
                    let tried = tries.entry((event.commit, event.event)).or_default();
                    *tried += 1;
                    if *tried < self.options.attempts {
                        self.progress.retried();
                        self.timer.sleep(self.options.backoff.pause(*tried)).await;
                    } else {
                        let stream = slice[event.commit].stream.clone();
                        let reason = chain(source.as_ref());
                        if mutant("skip what is poisonous") {
                            sorted.apply.remove(index);
                            continue;
                        }
                        tracing::warn!(projection = self.projection.name(), %stream, reason, "parked");
                        sorted.park_from(index, &stream, slice, reason);
                        parked.push(stream);
                    }
                }
                Err(error) => return Err(error),
            }
        }
        known.checkpoint.position = last.at.position;
        known.parked.extend(parked);
        self.progress.done(sorted.apply.len(), sorted.park.len());
        self.progress
            .stand(partition, last.at.position, known.parked.len());
        Ok(())
    }
}

impl<S, P, T> Follower for ProjectionRunner<S, P, T>
where
    S: CommitSource,
    P: Projection + ParkedStreams,
    T: Timer,
{
    type Source = S;
    type Timer = T;

    fn name(&self) -> &str {
        self.projection.name()
    }

    fn source(&self) -> &S {
        &self.source
    }

    fn timer(&self) -> &T {
        &self.timer
    }

    fn backoff(&self) -> Backoff {
        self.options.backoff
    }

    fn progress(&self) -> &Progress {
        &self.progress
    }

    fn wake(&self, partition: Partition) -> Option<&Notify> {
        self.lane(partition).map(|lane| &lane.wake)
    }

    fn gathering(&self) -> Duration {
        self.options.gathering
    }

    fn patience(&self, _: Partition) -> Option<Duration> {
        Some(self.options.look_again).filter(|_| !mutant("trust the checkpoint for ever"))
    }

    async fn tired(&self, partition: Partition, after: Position) -> bool {
        let stands = self.projection.checkpoint(partition).await;
        // A store that is away is asked again the next time.
        let moved = stands.is_ok_and(|stands| stands.position != after);
        if moved && let Some(lane) = self.lane(partition) {
            lane.outdated.store(true, Ordering::Release);
        }
        moved
    }

    async fn begin(&self, partition: Partition) -> Result<(), Trouble> {
        let released = self.release_parked(partition).await;
        released.map(drop).map_err(away)
    }

    async fn step(&self, partition: Partition) -> Result<Step, Trouble> {
        let Some(lane) = self.lane(partition) else {
            return Err(follow::no_such_partition(&self.source, partition));
        };
        let mut slot = lane.known.lock().await;
        // Taken out, so that it is forgotten wherever this ends early.
        let cached = slot.take();
        let outdated = lane.outdated.swap(false, Ordering::AcqRel);
        let mut known = match cached.filter(|_| !outdated) {
            Some(known) => known,
            None => self.load(partition).await.map_err(away)?,
        };
        let after = known.checkpoint.position;
        let done = std::mem::take(&mut known.done);
        let mut slice = std::mem::take(&mut known.ahead);
        if slice.is_empty() {
            let read = follow::read(&self.source, partition, after, self.options.max_events);
            slice = read.await?.into();
        }
        let Some(last) = slice.last() else {
            *slot = Some(known);
            return Ok(Step::AtEnd(after));
        };
        let last = last.at.position;
        let ahead = async {
            drop(done);
            self.read_ahead(partition, last).await
        };
        // Polled in this order: the store is at work before anything else is done.
        let (written, ahead) = join(self.write(partition, &mut known, &slice), ahead).await;
        match written {
            Ok(()) => {
                known.ahead = ahead;
                if self.options.read_ahead {
                    known.done = slice;
                }
                let to = known.checkpoint.position;
                *slot = Some(known);
                return Ok(Step::to(&self.source, partition, to));
            }
            Err(ApplyError::Stale) => {
                self.progress.retried();
                let fresh = self.load(partition).await.map_err(away)?;
                if fresh.checkpoint == known.checkpoint && fresh.parked == known.parked {
                    // Nothing moved, so that trying at once would only spin.
                    return Err(away(ApplyError::Stale));
                }
                *slot = Some(fresh);
            }
            Err(error) => return Err(away(error)),
        }
        Ok(Step::Went)
    }
}

fn away(error: ApplyError) -> Trouble {
    match error {
        ApplyError::Store { source } => Trouble::Away(source),
        other => Trouble::Away(BoxError::from(other)),
    }
}
