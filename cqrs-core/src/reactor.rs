//! Reactors: events that cause commands, at least once, each with at most one effect.
//!
//! Invariants:
//!
//! - The checkpoint moves past a commit once all its events were reacted to: none is skipped by a crash.
//! - A reaction's command id is made from the event, the reactor's name and its number, so that a repeated
//!   reaction is a repeated command: it takes effect once.
//! - Events of a partition are reacted to in order, one after another.
//!
//! | what happens | what is done |
//! |---|---|
//! | [`ReactError::Retry`] | the commits before are checkpointed; wait, react to that commit again, for as long as it takes |
//! | [`ReactError::GiveUp`] | the same, up to `attempts` times; then as [`WhenGivenUp`] says: the partition stops (the default), or the event is counted, logged and skipped |
//! | the log or the checkpoint store is away | wait, load the checkpoint, go on from there |
//! | the checkpoint stands elsewhere | another runner is at work: go on from where it stands |
//! | crash between a reaction and the checkpoint | the reaction is repeated under the same command id |

use std::collections::BTreeMap;

use tokio::sync::Mutex;

use crate::BoxError;
use crate::envelope::{Actor, CommandId, Envelope, Identity};
use crate::follow::{self, Backoff, Follower, RunnerError, RunnerOptions, Step, Trouble, chain};
use crate::log::{CommitHeader, CommitSource, EventId, RecordedCommit, RecordedEvent};
use crate::message::DispatchError;
use crate::position::{Partition, Position};
use crate::projection::{CheckpointStore, Progress};
use crate::time::Timer;

/// Reacts to events, most often by sending commands.
///
/// # Delivery
///
/// Each event at least once, in the order of its partition. Send every command in an envelope of
/// [`Reaction::envelope`], then it takes effect once. Other effects (a mail, a call) must bear repetition themselves.
pub trait Reactor: Send + Sync {
    /// The stable name, under which its checkpoints are kept. It is part of its commands' ids: never change it.
    fn name(&self) -> &str;

    /// Whether it reacts to this stored event type; the rest is skipped.
    fn handles(&self, event_type: &str) -> bool;

    /// Reacts to `event`; done when this returns.
    ///
    /// # Errors
    ///
    /// [`ReactError`] says whether trying again can help.
    fn react(
        &self,
        event: &RecordedEvent<'_>,
        reaction: &Reaction<'_>,
    ) -> impl Future<Output = Result<(), ReactError>> + Send;
}

/// Makes the envelopes of what a reactor sends because of one event.
#[derive(Debug, Clone, Copy)]
pub struct Reaction<'a> {
    event: EventId,
    reactor: &'a str,
    header: &'a CommitHeader,
}

impl<'a> Reaction<'a> {
    /// The reaction of `reactor` to `event`.
    #[must_use]
    pub fn new(event: &RecordedEvent<'a>, reactor: &'a str) -> Self {
        Self {
            event: event.id,
            reactor,
            header: &event.commit.header,
        }
    }

    /// The envelope of the `nth` command, done for `actor`: the same whenever the event is reacted to.
    ///
    /// Its time is the event's; it belongs to the event's conversation and trace; its cause is the command that
    /// caused the event. Give each command of one reaction another number, and the same one each time.
    #[must_use]
    pub fn envelope(&self, nth: u32, actor: Actor) -> Envelope {
        let command_id = CommandId::reaction(self.event, self.reactor, nth);
        let mut envelope = Envelope::new(command_id, actor, self.header.time);
        envelope.identity = Identity::Derived;
        envelope.correlation_id = self.header.correlation_id;
        envelope.causation_id = self.header.command_id.as_uuid();
        envelope.trace.clone_from(&self.header.trace);
        envelope
    }
}

/// Why a reaction did not come about.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReactError {
    /// Something is away or busy: try again until it works.
    #[error("the reaction must be tried again")]
    Retry(#[source] BoxError),
    /// Trying again is unlikely to help.
    #[error("the reaction is given up")]
    GiveUp(#[source] BoxError),
}

impl<E: std::error::Error + Send + Sync + 'static> From<DispatchError<E>> for ReactError {
    /// What waiting can mend is tried again, the rest given up. A refusal that the reactor expects is for it to
    /// handle.
    fn from(error: DispatchError<E>) -> Self {
        match error {
            DispatchError::Conflict { .. }
            | DispatchError::InProgress
            | DispatchError::Overloaded
            | DispatchError::Unavailable { .. } => Self::Retry(error.into()),
            _ => Self::GiveUp(error.into()),
        }
    }
}

/// What becomes of an event that was given up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum WhenGivenUp {
    /// The partition stops, visibly, and tries that event again when it is run anew. Nothing is lost.
    #[default]
    Stop,
    /// The event is skipped for good, with an error in the trace and one more in
    /// [`ProgressCounts::given_up`](crate::ProgressCounts::given_up).
    Skip,
}

/// Drives a reactor along a log or a [`BusSource`](crate::BusSource): one future per partition, or one for all.
#[derive(Debug)]
pub struct ReactorRunner<S, K, R, T> {
    source: S,
    checkpoints: K,
    reactor: R,
    timer: T,
    options: RunnerOptions,
    when_given_up: WhenGivenUp,
    progress: Progress,
    lanes: Box<[Mutex<Lane>]>,
}

/// One partition.
#[derive(Debug, Default)]
struct Lane {
    /// Where the checkpoint stands, if that is known.
    position: Option<Position>,
    /// The events past the checkpoint that were given up, and how often.
    failing: BTreeMap<EventId, u32>,
}

impl<S, K, R, T> ReactorRunner<S, K, R, T>
where
    S: CommitSource,
    K: CheckpointStore,
    R: Reactor,
    T: Timer,
{
    /// A runner of `reactor` along `source`, which keeps its place in `checkpoints`.
    #[must_use]
    pub fn new(source: S, checkpoints: K, reactor: R, timer: T, options: RunnerOptions) -> Self {
        let partitions = source.partition_count();
        Self {
            source,
            checkpoints,
            reactor,
            timer,
            options,
            when_given_up: WhenGivenUp::default(),
            progress: Progress::new(partitions),
            lanes: (0..partitions).map(|_| Mutex::default()).collect(),
        }
    }

    /// The same, which deals with events that are given up as `policy` says.
    #[must_use]
    pub fn when_given_up(mut self, policy: WhenGivenUp) -> Self {
        self.when_given_up = policy;
        self
    }

    /// The reactor.
    #[must_use]
    pub fn reactor(&self) -> &R {
        &self.reactor
    }

    follow::run_methods!();
    follow::run_assigned_methods!();

    /// Reacts to the events of `commit`; how many there were.
    async fn react_to(&self, lane: &mut Lane, commit: &RecordedCommit) -> Result<usize, Trouble> {
        let mut reacted = 0;
        for event in commit.recorded_events() {
            let skipped = self.when_given_up == WhenGivenUp::Skip
                && lane.failing.get(&event.id) >= Some(&self.options.attempts);
            if skipped || !self.reactor.handles(event.data.event_type.name()) {
                continue;
            }
            reacted += 1;
            let reaction = Reaction::new(&event, self.reactor.name());
            match self.reactor.react(&event, &reaction).await {
                Ok(()) => {}
                Err(ReactError::Retry(source)) => return Err(Trouble::Away(source)),
                Err(ReactError::GiveUp(source)) => self.give_up(lane, event.id, source)?,
            }
        }
        Ok(reacted)
    }

    /// `Ok` where the event is to be skipped.
    fn give_up(&self, lane: &mut Lane, event: EventId, source: BoxError) -> Result<(), Trouble> {
        let tried = lane.failing.entry(event).or_default();
        *tried = tried.saturating_add(1);
        if *tried < self.options.attempts {
            return Err(Trouble::Away(source));
        }
        match self.when_given_up {
            WhenGivenUp::Stop => {
                lane.failing.clear();
                Err(Trouble::Fatal(RunnerError::GaveUp {
                    reactor: self.reactor.name().to_owned(),
                    event,
                    source,
                }))
            }
            WhenGivenUp::Skip => {
                let error = chain(source.as_ref());
                tracing::error!(reactor = self.reactor.name(), %event, error, "skipped");
                self.progress.gave_up();
                Ok(())
            }
        }
    }
}

impl<S, K, R, T> Follower for ReactorRunner<S, K, R, T>
where
    S: CommitSource,
    K: CheckpointStore,
    R: Reactor,
    T: Timer,
{
    type Source = S;
    type Timer = T;

    fn name(&self) -> &str {
        self.reactor.name()
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

    async fn begin(&self, partition: Partition) -> Result<(), Trouble> {
        if let Some(lane) = self.lanes.get(usize::from(partition.index())) {
            *lane.lock().await = Lane::default();
        }
        Ok(())
    }

    async fn step(&self, partition: Partition) -> Result<Step, Trouble> {
        let Some(lane) = self.lanes.get(usize::from(partition.index())) else {
            return Err(follow::no_such_partition(&self.source, partition));
        };
        let mut lane = lane.lock().await;
        let from = follow::load(&self.checkpoints, self, partition, lane.position.take()).await?;
        let slice = follow::read(&self.source, partition, from, self.options.max_events).await?;
        let (mut to, mut reacted) = (from, 0);
        let mut trouble = None;
        for commit in &slice {
            match self.react_to(&mut lane, commit).await {
                Ok(events) => reacted += events,
                Err(found) => {
                    trouble = Some(found);
                    break;
                }
            }
            to = commit.at.position;
        }
        if to > from {
            lane.failing.retain(|event, _| event.at.position > to);
            lane.position =
                follow::advance(&self.checkpoints, self, partition, from, to, reacted).await?;
        } else {
            lane.position = Some(from);
        }
        match trouble {
            Some(trouble) => Err(trouble),
            None if slice.is_empty() => Ok(Step::AtEnd(from)),
            None if lane.position == Some(to) => Ok(Step::to(&self.source, partition, to)),
            None => Ok(Step::Went),
        }
    }
}
