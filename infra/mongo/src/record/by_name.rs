//! The reader in one pass beside one that looks each member up by its name, on documents of any shape.

use bson::raw::{CString, RawArray, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use cqrs_core::{
    Actor, CommandId, Commit, CommitHeader, Encoding, EventData, EventType, ExpectedVersion,
    LogPosition, Partition, Position, RecordedCommit, RequestHash, Reservations, ReservedValue,
    StreamName, Timestamp, TraceContext,
};
use proptest::prelude::*;
use uuid::Uuid;

use super::{Stub, decode, encode, place};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// The members of a document.
type Members = Vec<(String, RawBson)>;

/// What was done to a document that was right: to one of its members, or to one of those that are in it.
#[derive(Debug, Clone)]
enum Edit {
    Swap(usize, usize),
    Remove(usize),
    Repeat(usize, usize),
    Unknown(usize),
    Put(usize, usize),
    Inside(usize, usize, Box<Edit>),
}

fn edit() -> impl Strategy<Value = Edit> {
    let at = || 0..20_usize;
    let flat = prop_oneof![
        (at(), at()).prop_map(|(a, b)| Edit::Swap(a, b)),
        at().prop_map(Edit::Remove),
        (at(), at()).prop_map(|(a, b)| Edit::Repeat(a, b)),
        at().prop_map(Edit::Unknown),
        (at(), at()).prop_map(|(a, b)| Edit::Put(a, b)),
    ];
    flat.prop_recursive(1, 4, 1, move |inner| {
        (at(), at(), inner).prop_map(|(a, b, edit)| Edit::Inside(a, b, Box::new(edit)))
    })
}

/// Values of every type that is stored, and of some that are not, right and wrong ones.
fn samples() -> Vec<RawBson> {
    vec![
        RawBson::Null,
        RawBson::Int32(1),
        RawBson::Int32(-1),
        RawBson::Int64(2),
        RawBson::Double(1.0),
        RawBson::String(String::new()),
        RawBson::String("json".to_owned()),
        RawBson::String(TRACE.to_owned()),
        RawBsonRef::Binary(super::binary(&[1; 3])).into(),
        RawBsonRef::Binary(super::binary(&[1; 16])).into(),
        RawBsonRef::Binary(super::uuid_binary(&[1; 16])).into(),
        RawBsonRef::Binary(super::binary(&[1; 32])).into(),
        RawBson::DateTime(bson::DateTime::from_millis(5)),
        RawBson::Document(RawDocumentBuf::new()),
        RawBson::Array(RawArrayBuf::new()),
    ]
}

fn apply(edit: &Edit, members: &mut Members) {
    let len = members.len();
    if len == 0 {
        return;
    }
    match edit {
        Edit::Swap(a, b) => members.swap(a % len, b % len),
        Edit::Remove(at) => drop(members.remove(at % len)),
        Edit::Repeat(from, to) => members.insert(to % len, members[from % len].clone()),
        Edit::Unknown(at) => members.insert(at % len, ("zz".to_owned(), RawBson::Int32(1))),
        Edit::Put(at, what) => {
            let samples = samples();
            members[at % len].1 = samples[what % samples.len()].clone();
        }
        Edit::Inside(list, element, edit) => {
            let lists = members.iter_mut().filter_map(|(_, value)| match value {
                RawBson::Array(array) => Some(array),
                _ => None,
            });
            let mut lists: Vec<_> = lists.collect();
            let count = lists.len();
            if count == 0 {
                return;
            }
            let array = &mut *lists[list % count];
            let mut elements: Vec<RawBson> =
                (&**array).into_iter().map(|e| e.unwrap().into()).collect();
            let count = elements.len();
            if count == 0 {
                return;
            }
            if let RawBson::Document(doc) = &mut elements[element % count] {
                let mut inner = taken_apart(doc);
                apply(edit, &mut inner);
                *doc = put_together(&inner);
            }
            *array = elements.into_iter().collect();
        }
    }
}

fn taken_apart(doc: &RawDocument) -> Members {
    doc.iter()
        .map(|member| member.unwrap())
        .map(|(key, value)| (key.as_str().to_owned(), value.into()))
        .collect()
}

fn put_together(members: &Members) -> RawDocumentBuf {
    let mut doc = RawDocumentBuf::new();
    for (key, value) in members {
        doc.append(CString::try_from(key.as_str()).unwrap(), value.clone());
    }
    doc
}

fn commit() -> impl Strategy<Value = Commit> {
    let payload = proptest::collection::vec(any::<u8>(), 0..9);
    let events = proptest::collection::vec((any::<u32>(), payload), 0..4);
    let header = (any::<bool>(), 0..3_u8, any::<i32>(), any::<u128>());
    (events, header, 0..3_usize, 0..3_usize).prop_map(|(events, header, reserve, release)| {
        let (keyed, traced, time, id) = header;
        let reserved = |count| (0..count).map(|n| ReservedValue::new("name", format!("v{n}")));
        Commit {
            stream: StreamName::parse("thing-1").unwrap(),
            expected: ExpectedVersion::Any,
            header: CommitHeader {
                command_id: CommandId::new(Uuid::from_u128(id)),
                request: keyed.then(|| RequestHash::new([7; 32])),
                actor: Actor::parse("ada").unwrap(),
                time: Timestamp::from_millis(time.into()),
                correlation_id: Uuid::from_u128(id ^ 1),
                causation_id: Uuid::from_u128(id ^ 2),
                trace: match traced {
                    0 => None,
                    1 => TraceContext::parse(TRACE, None),
                    _ => TraceContext::parse(TRACE, Some("vendor=state")),
                },
            },
            events: (events.into_iter())
                .map(|(version, payload)| EventData {
                    event_type: EventType::new("thing-done", version),
                    encoding: Encoding::Json,
                    payload: payload.into(),
                })
                .collect(),
            reservations: Reservations {
                reserve: reserved(reserve).collect(),
                release: reserved(release).collect(),
            },
        }
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn one_pass_reads_what_looking_up_each_name_reads(
        commit in commit(),
        place_at in (0..4_u64, 0..3_u64),
        edits in proptest::collection::vec(edit(), 0..4),
    ) {
        let doc = place(&encode(&commit, -9), Position::new(place_at.0), place_at.1);
        let mut members = taken_apart(&doc);
        for edit in &edits {
            apply(edit, &mut members);
        }
        let doc = put_together(&members);
        let partition = Partition::new(3);
        prop_assert_eq!(super::stub(&doc), stub(&doc));
        prop_assert_eq!(decode(doc.clone(), partition), decode_by_name(doc, partition));
    }
}

fn stub(doc: &RawDocument) -> Result<Stub, &'static str> {
    let request = match doc.get("q").map_err(|_| "its request hash is none")? {
        None => None,
        Some(found) => Some(request(found)?),
    };
    let (first, events) = (nat(doc, "v")?, nat(doc, "n")?);
    if first == 0 || events == 0 {
        return Err("versions begin at 1");
    }
    Ok(Stub {
        position: Position::new(nat(doc, "_id")?),
        stream: stream(doc)?,
        first,
        events,
        command: CommandId::new(uuid(doc, "c")?),
        request,
        writer: doc.get_i64("w").map_err(|_| "it names no writer")?,
    })
}

/// What [`super::decode`] was before it took one pass.
fn decode_by_name(
    doc: RawDocumentBuf,
    partition: Partition,
) -> Result<RecordedCommit, &'static str> {
    let bytes = Bytes::from(doc.into_bytes());
    let doc = RawDocument::from_bytes(&bytes).map_err(|_| "it is no document")?;
    let stub = stub(doc)?;
    let events = events(doc, &bytes)?;
    if events.len() as u64 != stub.events {
        return Err("it has another number of events than it says");
    }
    let time = doc.get_datetime("t").map_err(|_| "no time")?;
    Ok(RecordedCommit {
        at: LogPosition::new(partition, stub.position),
        version: stub.version(),
        stream: stub.stream,
        header: CommitHeader {
            command_id: stub.command,
            request: stub.request,
            actor: (doc.get_str("a").ok())
                .and_then(|actor| Actor::parse(actor).ok())
                .ok_or("its actor is none")?,
            time: Timestamp::from_millis(time.timestamp_millis()),
            correlation_id: uuid(doc, "o")?,
            causation_id: uuid(doc, "u")?,
            trace: trace(doc)?,
        },
        events,
        reservations: Reservations {
            reserve: values(doc, "r")?,
            release: values(doc, "f")?,
        },
    })
}

fn nat(doc: &RawDocument, key: &str) -> Result<u64, &'static str> {
    let number = match doc.get(key) {
        Ok(Some(RawBsonRef::Int64(number))) => number,
        Ok(Some(RawBsonRef::Int32(number))) => i64::from(number),
        _ => return Err("a number is missing"),
    };
    u64::try_from(number).map_err(|_| "a number is negative")
}

fn stream(doc: &RawDocument) -> Result<StreamName, &'static str> {
    let name = doc.get_str("s").map_err(|_| "no stream")?;
    StreamName::parse(name).map_err(|_| "its stream's name is none")
}

fn uuid(doc: &RawDocument, key: &str) -> Result<Uuid, &'static str> {
    let found = doc.get_binary(key).map_err(|_| "an id is missing")?;
    Uuid::from_slice(found.bytes).map_err(|_| "an id is none")
}

fn request(found: RawBsonRef<'_>) -> Result<RequestHash, &'static str> {
    let RawBsonRef::Binary(found) = found else {
        return Err("its request hash is none");
    };
    let digest = found
        .bytes
        .try_into()
        .map_err(|_| "its request hash is none")?;
    Ok(RequestHash::new(digest))
}

fn trace(doc: &RawDocument) -> Result<Option<TraceContext>, &'static str> {
    let text = |key| match doc.get(key) {
        Ok(None) => Ok(None),
        Ok(Some(RawBsonRef::String(text))) => Ok(Some(text)),
        _ => Err("its trace is none"),
    };
    let state = text("y")?;
    text("p")?
        .map(|parent| TraceContext::parse(parent, state).ok_or("its trace is none"))
        .transpose()
}

fn array<'a>(doc: &'a RawDocument, key: &str) -> Result<Option<&'a RawArray>, &'static str> {
    match doc.get(key) {
        Ok(None) => Ok(None),
        Ok(Some(RawBsonRef::Array(array))) => Ok(Some(array)),
        _ => Err("a list is none"),
    }
}

fn values(doc: &RawDocument, key: &str) -> Result<Vec<ReservedValue>, &'static str> {
    const WRONG: &str = "a reserved value is none";
    let Some(array) = array(doc, key)? else {
        return Ok(Vec::new());
    };
    array
        .into_iter()
        .map(|element| {
            let Ok(RawBsonRef::Document(value)) = element else {
                return Err(WRONG);
            };
            let scope = value.get_str("k").map_err(|_| WRONG)?.to_owned();
            let value = value.get_str("x").map_err(|_| WRONG)?;
            Ok(ReservedValue::new(scope, value))
        })
        .collect()
}

fn events(doc: &RawDocument, bytes: &Bytes) -> Result<Vec<EventData>, &'static str> {
    const WRONG: &str = "one of its events cannot be read";
    let array = array(doc, "e")?.ok_or("no events")?;
    array
        .into_iter()
        .map(|element| {
            let Ok(RawBsonRef::Document(event)) = element else {
                return Err(WRONG);
            };
            let name = event.get_str("k").map_err(|_| WRONG)?.to_owned();
            let version = u32::try_from(nat(event, "x")?).map_err(|_| WRONG)?;
            let encoding = event.get_str("f").map_err(|_| WRONG)?;
            let payload = event.get_binary("d").map_err(|_| WRONG)?;
            Ok(EventData {
                event_type: EventType::new(name, version),
                encoding: Encoding::parse(encoding).ok_or("an event's encoding is unknown")?,
                payload: bytes.slice_ref(payload.bytes),
            })
        })
        .collect()
}
