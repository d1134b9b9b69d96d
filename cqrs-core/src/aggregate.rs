//! Aggregates: state folded from events, and pure decisions on it.

use std::fmt;

use crate::codec::EventType;
use crate::envelope::Envelope;
use crate::event::Event;
use crate::ledger::Reservations;
use crate::log::CommitHeader;
use crate::message::Command;
use crate::position::LogPosition;
use crate::stream::StreamName;
use crate::version::Version;

/// A consistency boundary: one stream of events and the state folded from them.
///
/// The state is never stored as such, so it needs neither `Serialize` nor `Clone`.
pub trait Aggregate: Default + Send + Sync + 'static {
    /// What stands before the id in the stream's name: 1 to 64 of `a-z 0-9 _`.
    const CATEGORY: &'static str;
    /// What tells aggregates of this kind apart; 1 to 200 printable ASCII characters when displayed.
    type Id: fmt::Display;
    /// What can happen to it.
    type Event: Event;

    /// The state after `event`. Total: history is never refused.
    #[must_use]
    fn evolve(self, event: &Self::Event) -> Self;

    /// The unique values that `events`, decided on this state, take for the stream or let go.
    fn reservations(&self, events: &[Self::Event]) -> Reservations {
        let _ = events;
        Reservations::none()
    }

    /// About how many bytes the state occupies; caches are bounded by it. Must be cheap.
    fn weight(&self) -> usize {
        size_of::<Self>()
    }
}

/// A command that an aggregate decides.
///
/// Pure: no clock, no randomness, no I/O. Time and ids come with the envelope.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not decide `{C}`",
    note = "implement `Decide<{C}>` for the aggregate"
)]
pub trait Decide<C: Command>: Aggregate {
    /// Whether the command usually begins its stream.
    ///
    /// Then an empty stream is assumed and nothing is read first; where the
    /// stream exists after all, that is found when the decision is made durable, and it is made again.
    const BEGINS: bool = false;

    /// The aggregate that the command is for.
    fn target(command: &C, envelope: &Envelope) -> Self::Id;

    /// What follows from `command`. No event means that there is nothing to do.
    ///
    /// # Errors
    ///
    /// The command's own: nothing happens.
    fn decide(&self, command: &C, envelope: &Envelope) -> Result<Vec<Self::Event>, C::Error>;

    /// The reply, made from nothing but the arguments: a repeat makes it again from the log.
    fn reply(command: &C, decided: &Decided<'_, Self::Event>) -> C::Reply;
}

/// How a command that was not refused ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Its events were appended now.
    Committed,
    /// There was nothing to do.
    Nothing,
    /// Its events had been appended by an earlier attempt.
    Repeated,
}

/// What a reply is made from. Everything in it is durable.
#[derive(Debug)]
pub struct Decided<'a, E> {
    /// How it ended.
    pub outcome: Outcome,
    /// The stream.
    pub stream: &'a StreamName,
    /// Its version after the command's commit; without events, the version decided on.
    pub version: Version,
    /// Where that version's last commit stands; position 0 where the stream is empty.
    pub at: LogPosition,
    /// Who and when, as stored: of the first attempt, where this is a repeat.
    pub header: &'a CommitHeader,
    /// The command's events.
    pub events: &'a [E],
}

/// An aggregate whose folded state can be kept, in a wire type of its own.
pub trait Snapshotted: Aggregate {
    /// What is stored: a wire type, apart from the state, so that the state stays free to change.
    type Wire: serde::Serialize + serde::de::DeserializeOwned;

    /// Stable name and schema version of the wire type. Raise the version when its shape or the fold changes:
    /// stored ones are then discarded.
    fn schema() -> EventType;

    /// The state as it is stored.
    fn to_wire(&self) -> Self::Wire;

    /// The state again.
    ///
    /// # Errors
    ///
    /// Why the stored state is not valid; it is discarded and folded anew.
    fn from_wire(wire: Self::Wire) -> Result<Self, crate::BoxError>;
}
