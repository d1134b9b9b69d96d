//! One step of a command under the lock of its stream's shard.

use tokio::sync::futures::OwnedNotified;

use crate::aggregate::{Aggregate, Decide};
use crate::envelope::Envelope;
use crate::ledger::Reservations;
use crate::log::{AppendError, Appended, Commit, CommitHeader, EventData, EventLog};
use crate::message::{Command, DispatchError};
use crate::mutants::mutant;
use crate::position::LogPosition;
use crate::stream::StreamName;
use crate::version::{ExpectedVersion, Version};

use super::Inner;
use super::cache::{Found, InFlight, Loading, Ready};
use super::load::corrupt;

/// What is to be done next for a command; the lock is free again.
pub(super) enum Step<'c, A: Aggregate, E, F, G, H> {
    /// Fold the stream, then come back.
    Load(Loading<'c, A>),
    /// Somebody else folds it; wait, then come back.
    Wait(OwnedNotified),
    /// Events may follow once the log lets them; wait, then come back.
    Admit(H),
    /// Nothing more can be done.
    Failed(DispatchError<E>),
    /// A commit was handed to the log.
    Append {
        landing: F,
        in_flight: InFlight<'c, A>,
        header: CommitHeader,
        events: Vec<A::Event>,
        version: Version,
    },
    /// A decision without events; the log confirms what it was taken on.
    Confirm {
        head: G,
        in_flight: InFlight<'c, A>,
        verdict: Verdict<E>,
        version: Version,
    },
}

/// What a step may take for granted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Going {
    /// A stream that is not cached is empty.
    pub(super) assume_empty: bool,
    /// The log lets the command's events follow.
    pub(super) admitted: bool,
}

/// A decision without events.
pub(super) enum Verdict<E> {
    Refused(DispatchError<E>),
    Nothing,
}

type Appending = Result<Appended, AppendError>;
type Admitting = Result<(), AppendError>;
type Confirming = Result<LogPosition, AppendError>;

impl<A: Aggregate, L: EventLog> Inner<A, L> {
    pub(super) fn step<'c, C: Command>(
        &'c self,
        stream: &'c StreamName,
        command: &C,
        envelope: &Envelope,
        how: Going,
    ) -> Step<
        'c,
        A,
        C::Error,
        impl Future<Output = Appending> + Send + use<'c, A, L, C>,
        impl Future<Output = Confirming> + Send + use<'c, A, L, C>,
        impl Future<Output = Admitting> + Send + use<'c, A, L, C>,
    >
    where
        A: Decide<C>,
    {
        // Declared first, so dropped last: its drop takes the lock that a panic in `evolve` still holds here.
        let in_flight;
        let place = self.cache.shard(stream);
        let mut shard = place.lock();
        let limit = self.cache.stream_queue;
        let mut found = shard.find(stream, limit);
        if matches!(found, Found::Broken) {
            shard.remove(stream);
            found = Found::Absent;
        }
        if how.assume_empty && matches!(found, Found::Absent) {
            shard.assume_empty(stream);
            found = shard.find(stream, limit);
        }
        let (ready, epoch) = match found {
            Found::Ready(ready, epoch) => (ready, epoch),
            Found::Loading(notified) => return Step::Wait(notified),
            Found::Absent | Found::Broken => {
                return Step::Load(Loading::begin(&self.cache, &mut shard, stream));
            }
            Found::Full => return Step::Failed(DispatchError::Overloaded),
        };
        let expected = ready.expected();
        let (version, verdict) = match self.decide(ready, command, envelope) {
            Ok(decision) if !decision.events.is_empty() => {
                if !how.admitted {
                    let reserving = !decision.reservations.is_empty();
                    let command = envelope.command_id;
                    if let Some(admission) = self.log.admit(stream, command, reserving) {
                        if ready.is_unread() {
                            shard.remove(stream);
                        }
                        return Step::Admit(admission);
                    }
                }
                let version = ready.version.plus(decision.events.len());
                let header = CommitHeader::from(envelope);
                let bytes = decision.stored.iter().map(|e| e.payload.len()).sum();
                let commit = Commit {
                    stream: stream.clone(),
                    expected: match mutant("append at any version") {
                        true => ExpectedVersion::Any,
                        false => ready.expected(),
                    },
                    header: header.clone(),
                    events: decision.stored,
                    reservations: decision.reservations,
                };
                let events = decision.events;
                in_flight = InFlight::begin(place, ready, stream, epoch, events.len(), bytes);
                let landing = self.log.append(commit);
                ready.state = ready
                    .state
                    .take()
                    .map(|state| events.iter().fold(state, A::evolve));
                ready.version = version;
                ready.last = Some(envelope.command_id);
                let change = ready.weigh(stream);
                shard.weighed(stream, change, self.cache.shard_bytes);
                return Step::Append {
                    landing,
                    in_flight,
                    header,
                    events,
                    version,
                };
            }
            Ok(_) => (ready.version, Verdict::Nothing),
            Err(refusal) => (ready.version, Verdict::Refused(refusal)),
        };
        in_flight = InFlight::begin(place, ready, stream, epoch, 0, 0);
        Step::Confirm {
            head: self.log.confirm(stream, expected),
            in_flight,
            verdict,
            version,
        }
    }

    fn decide<C: Command>(
        &self,
        ready: &Ready<A>,
        command: &C,
        envelope: &Envelope,
    ) -> Result<Decision<A::Event>, DispatchError<C::Error>>
    where
        A: Decide<C>,
    {
        let actual = ready.version;
        if let Some(expected) = envelope.precondition
            && !expected.accepts(actual)
        {
            return Err(DispatchError::VersionMismatch { expected, actual });
        }
        let Some(state) = &ready.state else {
            // Unreachable: `find` has just removed such an entry.
            return Err(DispatchError::Overloaded);
        };
        let events = state.decide(command, envelope)?;
        let mut stored = Vec::with_capacity(events.len());
        for event in &events {
            stored.push(self.codec.encode(event).map_err(corrupt)?);
        }
        Ok(Decision {
            stored,
            reservations: state.reservations(&events),
            events,
        })
    }
}

struct Decision<E> {
    events: Vec<E>,
    stored: Vec<EventData>,
    reservations: Reservations,
}
