//! A commit as an intent keeps it. Renaming breaks stored data.
//!
//! Four bytes, big-endian: the length of a JSON header; the header; the payloads of the events, one after another.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::codec::{Encoding, EventType};
use crate::envelope::{Actor, CommandId, RequestHash, TraceContext};
use crate::ledger::Reservations;
use crate::log::{Commit, CommitHeader, EventData};
use crate::stream::StreamName;
use crate::time::Timestamp;
use crate::version::{ExpectedVersion, Version};

/// A stored intent could not be read.
#[derive(Debug, thiserror::Error)]
#[error("a stored intent is damaged: {0}")]
pub(super) struct Damaged(String);

#[derive(Serialize, Deserialize)]
struct Header {
    stream: String,
    version: u64,
    command: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    request: Option<[u8; 32]>,
    actor: String,
    time: i64,
    correlation: Uuid,
    causation: Uuid,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_parent: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace_state: Option<String>,
    events: Vec<Event>,
    #[serde(default, skip_serializing_if = "Reservations::is_empty")]
    reservations: Reservations,
}

#[derive(Serialize, Deserialize)]
struct Event {
    name: String,
    version: u32,
    encoding: String,
    bytes: usize,
}

/// Writes `commit`, which was decided on `version`.
pub(super) fn encode(commit: &Commit, version: Version) -> Result<Bytes, serde_json::Error> {
    let header = &commit.header;
    let trace = header.trace.as_ref();
    let header = serde_json::to_vec(&Header {
        stream: commit.stream.as_str().to_owned(),
        version: version.get(),
        command: header.command_id.as_uuid(),
        request: header.request.map(|request| *request.as_bytes()),
        actor: header.actor.as_str().to_owned(),
        time: header.time.as_millis(),
        correlation: header.correlation_id,
        causation: header.causation_id,
        trace_parent: trace.map(|trace| trace.traceparent().to_owned()),
        trace_state: trace.and_then(TraceContext::tracestate).map(str::to_owned),
        events: commit.events.iter().map(Event::of).collect(),
        reservations: commit.reservations.clone(),
    })?;
    let length = u32::try_from(header.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(4 + header.len() + commit.payload_len());
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&header);
    for event in &commit.events {
        bytes.extend_from_slice(&event.payload);
    }
    Ok(bytes.into())
}

impl Event {
    fn of(event: &EventData) -> Self {
        Self {
            name: event.event_type.name().to_owned(),
            version: event.event_type.version(),
            encoding: event.encoding.as_str().to_owned(),
            bytes: event.payload.len(),
        }
    }
}

/// Reads what [`encode`] wrote.
pub(super) fn decode(bytes: &Bytes) -> Result<Commit, Damaged> {
    fn damaged(why: impl std::fmt::Display) -> Damaged {
        Damaged(why.to_string())
    }
    let short = || damaged("it ends early");
    let length = bytes.first_chunk::<4>().ok_or_else(short)?;
    let payloads = 4 + u32::from_be_bytes(*length) as usize;
    let header = bytes.get(4..payloads).ok_or_else(short)?;
    let header: Header = serde_json::from_slice(header).map_err(damaged)?;
    let mut at = payloads;
    let mut events = Vec::with_capacity(header.events.len());
    for event in header.events {
        let end = at.saturating_add(event.bytes);
        if end > bytes.len() {
            return Err(short());
        }
        let encoding = Encoding::parse(&event.encoding);
        events.push(EventData {
            event_type: EventType::new(event.name, event.version),
            encoding: encoding.ok_or_else(|| damaged("its encoding is unknown"))?,
            payload: bytes.slice(at..end),
        });
        at = end;
    }
    let parent = header.trace_parent.as_deref();
    Ok(Commit {
        stream: StreamName::parse(&header.stream).map_err(damaged)?,
        expected: ExpectedVersion::Exact(Version::new(header.version)),
        header: CommitHeader {
            command_id: CommandId::new(header.command),
            request: header.request.map(RequestHash::new),
            actor: Actor::parse(&header.actor).map_err(damaged)?,
            time: Timestamp::from_millis(header.time),
            correlation_id: header.correlation,
            causation_id: header.causation,
            trace: parent.and_then(|p| TraceContext::parse(p, header.trace_state.as_deref())),
        },
        events,
        reservations: header.reservations,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn commit() -> Commit {
        let id = Uuid::from_u128(0x1234);
        let event = |name: &'static str, payload: &'static [u8]| EventData {
            event_type: EventType::new(name, 3),
            encoding: Encoding::Json,
            payload: Bytes::from_static(payload),
        };
        Commit {
            stream: StreamName::new("author", &"ada").unwrap(),
            expected: ExpectedVersion::Exact(Version::new(7)),
            header: CommitHeader {
                command_id: CommandId::new(id),
                request: Some(RequestHash::new([7; 32])),
                actor: Actor::parse("Ада").unwrap(),
                time: Timestamp::from_millis(-1),
                correlation_id: Uuid::from_u128(2),
                causation_id: Uuid::from_u128(3),
                trace: TraceContext::parse(
                    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                    Some("vendor=state"),
                ),
            },
            events: vec![
                event("done", &[0, 255]),
                event("undone", b""),
                event("done", b"{}"),
            ],
            reservations: Reservations {
                reserve: vec![crate::ReservedValue::new("handle", "\u{e9} ")],
                release: vec![crate::ReservedValue::new("handle", "old")],
            },
        }
    }

    #[test]
    fn a_commit_reads_back_as_it_was() {
        let mut commit = commit();
        for bare in [false, true] {
            if bare {
                commit.header.request = None;
                commit.header.trace = None;
                commit.reservations = Reservations::none();
            }
            let bytes = encode(&commit, Version::new(7)).unwrap();
            assert_eq!(decode(&bytes).unwrap(), commit);
        }
    }

    #[test]
    fn the_stored_shape_stays() {
        let mut commit = commit();
        commit.header.request = None;
        commit.events.truncate(1);
        let bytes = encode(&commit, Version::new(7)).unwrap();
        let golden = concat!(
            r#"{"stream":"author-ada","version":7,"command":"00000000-0000-0000-0000-000000001234","#,
            r#""actor":"Ада","time":-1,"correlation":"00000000-0000-0000-0000-000000000002","#,
            r#""causation":"00000000-0000-0000-0000-000000000003","#,
            r#""trace_parent":"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01","#,
            r#""trace_state":"vendor=state","#,
            r#""events":[{"name":"done","version":3,"encoding":"json","bytes":2}],"#,
            r#""reservations":{"reserve":[{"scope":"handle","value":"é "}],"#,
            r#""release":[{"scope":"handle","value":"old"}]}}"#,
        );
        assert_eq!(
            std::str::from_utf8(&bytes[4..bytes.len() - 2]).unwrap(),
            golden
        );
        assert_eq!(bytes[bytes.len() - 2..], [0, 255]);
    }

    #[test]
    fn what_is_cut_off_is_damaged() {
        let bytes = encode(&commit(), Version::new(7)).unwrap();
        for end in [0, 3, 4, 40, bytes.len() - 1] {
            assert!(decode(&bytes.slice(..end)).is_err(), "{end} bytes");
        }
    }
}
