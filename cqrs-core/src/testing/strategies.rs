//! proptest strategies for what stores hold.

use bytes::Bytes;
use proptest::prelude::*;
use uuid::Uuid;

use crate::codec::{Encoding, EventType};
use crate::envelope::{Actor, CommandId, RequestHash};
use crate::ledger::Reservations;
use crate::log::{Commit, CommitHeader, EventData};
use crate::stream::StreamName;
use crate::time::Timestamp;
use crate::version::{ExpectedVersion, Version};

/// Every valid stream name.
pub fn stream_name() -> impl Strategy<Value = StreamName> {
    "[a-z0-9_]{1,64}-[!-~]{1,200}"
        .prop_filter_map("parse refuses it", |name| StreamName::parse(&name).ok())
}

/// Every valid actor, non-ASCII ones too.
pub fn actor() -> impl Strategy<Value = Actor> {
    "[^\u{0}]{1,40}".prop_filter_map("parse refuses it", |name| Actor::parse(&name).ok())
}

/// Events of any name, version and payload.
pub fn event_data() -> impl Strategy<Value = EventData> {
    let payload = proptest::collection::vec(any::<u8>(), 0..200);
    ("[a-z-]{1,30}", 1..100_u32, payload).prop_map(|(name, version, payload)| EventData {
        event_type: EventType::new(name, version),
        encoding: Encoding::Json,
        payload: Bytes::from(payload),
    })
}

/// Headers with a command id that is hardly ever drawn twice.
pub fn header() -> impl Strategy<Value = CommitHeader> {
    let ids = (any::<u128>(), any::<u128>(), any::<u128>());
    (ids, any::<Option<[u8; 32]>>(), actor(), any::<i64>()).prop_map(
        |((command, correlation, causation), request, actor, millis)| CommitHeader {
            command_id: CommandId::new(Uuid::from_u128(command)),
            request: request.map(RequestHash::new),
            actor,
            time: Timestamp::from_millis(millis),
            correlation_id: Uuid::from_u128(correlation),
            causation_id: Uuid::from_u128(causation),
            trace: None,
        },
    )
}

/// Commits of one to eight events to `stream`, decided on `expected`.
pub fn commit(stream: StreamName, expected: Version) -> impl Strategy<Value = Commit> {
    let events = proptest::collection::vec(event_data(), 1..8);
    (header(), events).prop_map(move |(header, events)| Commit {
        stream: stream.clone(),
        expected: ExpectedVersion::Exact(expected),
        header,
        events,
        reservations: Reservations::none(),
    })
}
