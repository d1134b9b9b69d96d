//! Commits as documents, and back.
//!
//! | field | holds | |
//! |---|---|---|
//! | `_id` | position in the partition: 1, 2, 3 … | int64 |
//! | `v` | the stream's version after the commit's first event | int64 |
//! | `w` | which opening of the store wrote it | int64 |
//! | `n` | number of events | int64 |
//! | `s` | stream | string |
//! | `c` | command id | UUID |
//! | `q` | request hash, where the command has a key | binary |
//! | `a` | actor | string |
//! | `t` | when the command was first received | date |
//! | `o`, `u` | correlation id, causation id | UUID |
//! | `p`, `y` | traceparent, tracestate | string |
//! | `r`, `f` | values reserved, values released: `[{k: scope, x: value}]` | array |
//! | `e` | events: `[{k: type, x: schema version, f: encoding, d: payload}]` | array |
//!
//! Renaming a field breaks stored data. `_id`, `v` and `w` come first, each eight bytes wide at a fixed
//! offset: a commit is written down once, when it is called, and given its place when it has one.

#[cfg(test)]
mod by_name;
mod members;
mod read;

use bson::raw::cstr;
use bson::spec::BinarySubtype;
use bson::{DateTime, RawArrayBuf, RawBinaryRef, RawDocument, RawDocumentBuf};
use cqrs_core::{
    CommandId, Commit, EventData, Position, RequestHash, ReservedValue, StreamName, Version,
};
use uuid::Uuid;

pub(crate) use read::{decode, stub};

/// What is in the document of one commit apart from what it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stub {
    pub(crate) position: Position,
    pub(crate) stream: StreamName,
    /// The stream's version after the first event.
    pub(crate) first: u64,
    pub(crate) events: u64,
    pub(crate) command: CommandId,
    pub(crate) request: Option<RequestHash>,
    pub(crate) writer: i64,
}

impl Stub {
    /// The stream's version after the commit.
    pub(crate) fn version(&self) -> Version {
        Version::new(self.first - 1 + self.events)
    }
}

/// A count as BSON's integer; none of ours comes near 2^63.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

const ID_AT: usize = 4 + 1 + 4;
const VERSION_AT: usize = ID_AT + 8 + 1 + 2;

/// Writes `commit` down, with its place left open for [`place`].
pub(crate) fn encode(commit: &Commit, writer: i64) -> RawDocumentBuf {
    let header = &commit.header;
    let mut doc = RawDocumentBuf::new();
    doc.append(cstr!("_id"), 0_i64);
    doc.append(cstr!("v"), 0_i64);
    doc.append(cstr!("w"), writer);
    doc.append(cstr!("n"), int(commit.events.len() as u64));
    doc.append(cstr!("s"), commit.stream.as_str());
    doc.append(
        cstr!("c"),
        uuid_binary(header.command_id.as_uuid().as_bytes()),
    );
    if let Some(request) = &header.request {
        doc.append(cstr!("q"), binary(request.as_bytes()));
    }
    doc.append(cstr!("a"), header.actor.as_str());
    doc.append(cstr!("t"), DateTime::from_millis(header.time.as_millis()));
    doc.append(cstr!("o"), uuid_binary(header.correlation_id.as_bytes()));
    doc.append(cstr!("u"), uuid_binary(header.causation_id.as_bytes()));
    if let Some(trace) = &header.trace {
        doc.append(cstr!("p"), trace.traceparent());
        if let Some(state) = trace.tracestate() {
            doc.append(cstr!("y"), state);
        }
    }
    for (key, values) in [
        (cstr!("r"), &commit.reservations.reserve),
        (cstr!("f"), &commit.reservations.release),
    ] {
        if !values.is_empty() {
            doc.append(key, values.iter().map(reserved).collect::<RawArrayBuf>());
        }
    }
    doc.append(
        cstr!("e"),
        commit.events.iter().map(event).collect::<RawArrayBuf>(),
    );
    doc
}

fn reserved(value: &ReservedValue) -> RawDocumentBuf {
    let mut doc = RawDocumentBuf::new();
    doc.append(cstr!("k"), value.scope());
    doc.append(cstr!("x"), value.value());
    doc
}

fn event(event: &EventData) -> RawDocumentBuf {
    let mut doc = RawDocumentBuf::new();
    doc.append(cstr!("k"), event.event_type.name());
    doc.append(cstr!("x"), i64::from(event.event_type.version()));
    doc.append(cstr!("f"), event.encoding.as_str());
    doc.append(cstr!("d"), binary(&event.payload));
    doc
}

pub(crate) fn binary(bytes: &[u8]) -> RawBinaryRef<'_> {
    RawBinaryRef {
        subtype: BinarySubtype::Generic,
        bytes,
    }
}

pub(crate) fn uuid_binary(bytes: &[u8; 16]) -> RawBinaryRef<'_> {
    RawBinaryRef {
        subtype: BinarySubtype::Uuid,
        bytes,
    }
}

/// The document of [`encode`] at its place.
pub(crate) fn place(doc: &RawDocumentBuf, position: Position, first: u64) -> RawDocumentBuf {
    let mut bytes = doc.as_bytes().to_vec();
    bytes[ID_AT..ID_AT + 8].copy_from_slice(&int(position.get()).to_le_bytes());
    bytes[VERSION_AT..VERSION_AT + 8].copy_from_slice(&int(first).to_le_bytes());
    // Neither the length nor the terminator moved.
    RawDocumentBuf::from_bytes(bytes).unwrap_or_else(|_| doc.clone())
}

/// The number in the document's `_id`, if it has one: to say where a document stands that cannot be read.
pub(crate) fn position(doc: &RawDocument) -> Position {
    nat(doc, "_id").map_or(Position::START, Position::new)
}

/// The number that `doc` has under `key`.
pub(crate) fn nat(doc: &RawDocument, key: &str) -> Result<u64, &'static str> {
    members::nat(doc.get(key).ok().flatten())
}

/// The id that `doc` has under `key`.
pub(crate) fn uuid(doc: &RawDocument, key: &str) -> Result<Uuid, &'static str> {
    members::uuid(doc.get(key).ok().flatten())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use cqrs_core::{
        Actor, CommitHeader, Encoding, EventType, ExpectedVersion, Partition, Reservations,
        Timestamp, TraceContext,
    };

    use super::*;

    fn commit() -> Commit {
        let event = |payload: &'static [u8]| EventData {
            event_type: EventType::new("thing-done", 12),
            encoding: Encoding::Json,
            payload: Bytes::from_static(payload),
        };
        Commit {
            stream: StreamName::parse("thing-1").unwrap(),
            expected: ExpectedVersion::Any,
            header: CommitHeader {
                command_id: CommandId::new(Uuid::from_u128(1)),
                request: Some(RequestHash::new([7; 32])),
                actor: Actor::parse("ada").unwrap(),
                time: Timestamp::from_millis(-1),
                correlation_id: Uuid::from_u128(2),
                causation_id: Uuid::from_u128(3),
                trace: TraceContext::parse(
                    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                    Some("vendor=state"),
                ),
            },
            events: vec![event(b"{ }"), event(b""), event(b"\0\xff")],
            reservations: Reservations {
                reserve: vec![ReservedValue::new("name", "ada")],
                release: vec![ReservedValue::new("name", "old")],
            },
        }
    }

    #[test]
    fn a_commit_comes_back_from_its_place() {
        let commit = commit();
        let doc = place(&encode(&commit, -9), Position::new(41), 5);
        let stub = stub(&doc).unwrap();
        assert_eq!((stub.position.get(), stub.first, stub.writer), (41, 5, -9));
        let read = decode(doc, Partition::new(3)).unwrap();
        assert_eq!(read.at.to_string(), "3-41");
        assert_eq!(read.version, Version::new(7));
        assert_eq!(read.header, commit.header);
        assert_eq!(read.events, commit.events);
        assert_eq!(read.reservations, commit.reservations);
    }

    /// Golden: stored data is read by these names for ever.
    #[test]
    fn the_fields_are_frozen() {
        let doc = place(&encode(&commit(), 0), Position::new(1), 1);
        let keys: Vec<_> = doc.iter().map(|e| e.unwrap().0.to_string()).collect();
        let frozen = "_id v w n s c q a t o u p y r f e";
        assert_eq!(keys.join(" "), frozen);
        let first = doc.get_array("e").unwrap().get_document(0).unwrap();
        let keys: Vec<_> = first.iter().map(|e| e.unwrap().0.to_string()).collect();
        assert_eq!(keys.join(" "), "k x f d");
    }

    #[test]
    fn a_document_with_a_part_missing_is_refused() {
        let whole = place(&encode(&commit(), 0), Position::new(1), 1);
        for missing in ["_id", "v", "w", "n", "s", "c", "a", "t", "o", "u", "e"] {
            let mut doc = RawDocumentBuf::new();
            for element in whole.iter() {
                let (key, value) = element.unwrap();
                if key.as_str() != missing {
                    doc.append(key, value);
                }
            }
            decode(doc, Partition::new(0)).unwrap_err();
        }
    }
}
