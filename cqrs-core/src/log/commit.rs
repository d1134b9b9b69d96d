//! What one command appends, and what the log gives back of it.

use std::fmt;

use bytes::Bytes;
use uuid::Uuid;

use crate::codec::{Encoding, EventType};
use crate::envelope::{Actor, CommandId, Envelope, RequestHash, TraceContext};
use crate::ledger::Reservations;
use crate::log::InvalidCommit;
use crate::position::LogPosition;
use crate::stream::StreamName;
use crate::time::Timestamp;
use crate::version::{ExpectedVersion, Version};

/// One event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventData {
    /// Stable name and schema version.
    pub event_type: EventType,
    /// How the payload is written.
    pub encoding: Encoding,
    /// The event itself.
    pub payload: Bytes,
}

/// Who caused a commit, when, and under which id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitHeader {
    /// The command; unique in the log.
    pub command_id: CommandId,
    /// What repeats of the command are compared by; `None` where it cannot repeat.
    pub request: Option<RequestHash>,
    /// Whoever asked.
    pub actor: Actor,
    /// When the command was first received.
    pub time: Timestamp,
    /// The whole conversation.
    pub correlation_id: Uuid,
    /// The direct cause.
    pub causation_id: Uuid,
    /// The trace that it belongs to.
    pub trace: Option<TraceContext>,
}

impl From<&Envelope> for CommitHeader {
    fn from(envelope: &Envelope) -> Self {
        Self {
            command_id: envelope.command_id,
            request: envelope.identity.request(),
            actor: envelope.actor.clone(),
            time: envelope.time,
            correlation_id: envelope.correlation_id,
            causation_id: envelope.causation_id,
            trace: envelope.trace.clone(),
        }
    }
}

/// The events of one command, to be appended to one stream, all or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit {
    /// The stream.
    pub stream: StreamName,
    /// The version that the events were decided on.
    pub expected: ExpectedVersion,
    /// Who, when, why.
    pub header: CommitHeader,
    /// The events, in order.
    pub events: Vec<EventData>,
    /// Values that the stream takes for itself, or lets go.
    pub reservations: Reservations,
}

impl Commit {
    /// The most events in one commit.
    pub const MAX_EVENTS: usize = 1_000;
    /// The most bytes of payload in one commit.
    pub const MAX_BYTES: usize = 4 << 20;

    /// The bytes of payload.
    #[must_use]
    pub fn payload_len(&self) -> usize {
        self.events.iter().map(|e| e.payload.len()).sum()
    }

    /// Checks what every log demands of a commit, whatever is stored.
    ///
    /// # Errors
    ///
    /// [`InvalidCommit`]: no events, too many, or too large.
    pub fn check(&self) -> Result<(), InvalidCommit> {
        let (events, bytes) = (self.events.len(), self.payload_len());
        if events == 0 {
            Err(InvalidCommit::Empty)
        } else if events > Self::MAX_EVENTS {
            Err(InvalidCommit::TooManyEvents { events })
        } else if bytes > Self::MAX_BYTES {
            Err(InvalidCommit::TooLarge { bytes })
        } else {
            Ok(())
        }
    }
}

/// A commit as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedCommit {
    /// Where it stands.
    pub at: LogPosition,
    /// The stream.
    pub stream: StreamName,
    /// The stream's version after it.
    pub version: Version,
    /// Who, when, why.
    pub header: CommitHeader,
    /// The events, in order.
    pub events: Vec<EventData>,
    /// Values that the stream took for itself, or let go.
    pub reservations: Reservations,
}

impl RecordedCommit {
    /// The stream's version before it.
    #[must_use]
    pub fn version_before(&self) -> Version {
        Version::new(self.version.get().saturating_sub(self.events.len() as u64))
    }

    /// Its events, each with its own place.
    pub fn recorded_events(&self) -> impl ExactSizeIterator<Item = RecordedEvent<'_>> {
        let before = self.version_before();
        self.events
            .iter()
            .enumerate()
            .map(move |(index, data)| RecordedEvent {
                id: EventId {
                    at: self.at,
                    index: u32::try_from(index).unwrap_or(u32::MAX),
                },
                version: before.plus(index + 1),
                data,
                commit: self,
            })
    }
}

/// The id of an event, unique in its store: `partition-position-index`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventId {
    /// The commit that holds it.
    pub at: LogPosition,
    /// Its number in the commit, from 0.
    pub index: u32,
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.at, self.index)
    }
}

/// One event of a [`RecordedCommit`].
#[derive(Debug, Clone, Copy)]
pub struct RecordedEvent<'a> {
    /// Its id.
    pub id: EventId,
    /// The stream's version after it.
    pub version: Version,
    /// What is stored.
    pub data: &'a EventData,
    /// The commit that holds it.
    pub commit: &'a RecordedCommit,
}
