//! From a document to what it says, in one pass over its members.

use bson::raw::RawElement;
use bson::{RawBsonRef, RawDocument, RawDocumentBuf};
use bytes::Bytes;
use cqrs_core::{
    Actor, CommandId, CommitHeader, Encoding, EventData, EventType, LogPosition, Partition,
    Position, RecordedCommit, RequestHash, Reservations, ReservedValue, StreamName, Timestamp,
    TraceContext,
};

use super::Stub;
use super::members::{array, bytes, members, nat, optional, text, uuid, value};

type Member<'a> = Option<RawElement<'a>>;

/// What a [`Stub`] is made of, in the order in which it is stored.
const STUB: [&str; 7] = ["_id", "v", "w", "n", "s", "c", "q"];
/// All that a commit has, in the same order.
const COMMIT: [&str; 16] = [
    "_id", "v", "w", "n", "s", "c", "q", "a", "t", "o", "u", "p", "y", "r", "f", "e",
];

/// Reads what [`Stub`] holds; `Err` says what is wrong with the document.
pub(crate) fn stub(doc: &RawDocument) -> Result<Stub, &'static str> {
    stub_of(members(doc, STUB)?)
}

fn stub_of([id, v, w, n, s, c, q]: [Member<'_>; 7]) -> Result<Stub, &'static str> {
    let request = optional(q, "its request hash is none")?
        .map(request)
        .transpose()?;
    let (first, events) = (nat(value(v))?, nat(value(n))?);
    if first == 0 || events == 0 {
        return Err("versions begin at 1");
    }
    let position = Position::new(nat(value(id))?);
    let stream = text(value(s)).ok_or("no stream")?;
    Ok(Stub {
        position,
        stream: StreamName::parse(stream).map_err(|_| "its stream's name is none")?,
        first,
        events,
        command: CommandId::new(uuid(value(c))?),
        request,
        writer: match value(w) {
            Some(RawBsonRef::Int64(writer)) => writer,
            _ => return Err("it names no writer"),
        },
    })
}

/// Reads the whole commit; `Err` says what is wrong with the document. The payloads share its bytes.
pub(crate) fn decode(
    doc: RawDocumentBuf,
    partition: Partition,
) -> Result<RecordedCommit, &'static str> {
    let whole = Bytes::from(doc.into_bytes());
    let doc = RawDocument::from_bytes(&whole).map_err(|_| "it is no document")?;
    let [id, v, w, n, s, c, q, a, t, o, u, p, y, r, f, e] = members(doc, COMMIT)?;
    let stub = stub_of([id, v, w, n, s, c, q])?;
    let events = events(e, &whole)?;
    if events.len() as u64 != stub.events {
        return Err("it has another number of events than it says");
    }
    let Some(RawBsonRef::DateTime(time)) = value(t) else {
        return Err("no time");
    };
    Ok(RecordedCommit {
        at: LogPosition::new(partition, stub.position),
        version: stub.version(),
        stream: stub.stream,
        header: CommitHeader {
            command_id: stub.command,
            request: stub.request,
            actor: text(value(a))
                .and_then(|actor| Actor::parse(actor).ok())
                .ok_or("its actor is none")?,
            time: Timestamp::from_millis(time.timestamp_millis()),
            correlation_id: uuid(value(o))?,
            causation_id: uuid(value(u))?,
            trace: trace(p, y)?,
        },
        events,
        reservations: Reservations {
            reserve: values(r)?,
            release: values(f)?,
        },
    })
}

fn request(found: RawBsonRef<'_>) -> Result<RequestHash, &'static str> {
    let digest = bytes(Some(found)).and_then(|digest| digest.try_into().ok());
    digest
        .map(RequestHash::new)
        .ok_or("its request hash is none")
}

fn trace(parent: Member<'_>, state: Member<'_>) -> Result<Option<TraceContext>, &'static str> {
    const WRONG: &str = "its trace is none";
    let written = |member| match optional(member, WRONG)? {
        None => Ok(None),
        Some(found) => text(Some(found)).map(Some).ok_or(WRONG),
    };
    let state = written(state)?;
    written(parent)?
        .map(|parent| TraceContext::parse(parent, state).ok_or(WRONG))
        .transpose()
}

fn values(list: Member<'_>) -> Result<Vec<ReservedValue>, &'static str> {
    let value = |element: RawBsonRef<'_>| {
        let [scope, name] = members(element.as_document()?, ["k", "x"]).ok()?;
        let (scope, name) = (text(value(scope))?, text(value(name))?);
        Some(ReservedValue::new(scope.to_owned(), name))
    };
    let elements = array(list)?.into_iter().flatten();
    elements
        .map(|element| element.ok().and_then(value))
        .map(|value| value.ok_or("a reserved value is none"))
        .collect()
}

fn events(list: Member<'_>, whole: &Bytes) -> Result<Vec<EventData>, &'static str> {
    let elements = array(list)?.ok_or("no events")?.into_iter();
    elements
        .map(|element| match element {
            Ok(RawBsonRef::Document(doc)) => event(doc, whole),
            _ => Err("one of its events cannot be read"),
        })
        .collect()
}

fn event(doc: &RawDocument, whole: &Bytes) -> Result<EventData, &'static str> {
    const WRONG: &str = "one of its events cannot be read";
    let [k, x, f, d] = members(doc, ["k", "x", "f", "d"]).map_err(|_| WRONG)?;
    let name = text(value(k)).ok_or(WRONG)?.to_owned();
    let version = u32::try_from(nat(value(x))?).map_err(|_| WRONG)?;
    let encoding = text(value(f)).ok_or(WRONG)?;
    let payload = bytes(value(d)).ok_or(WRONG)?;
    Ok(EventData {
        event_type: EventType::new(name, version),
        encoding: Encoding::parse(encoding).ok_or("an event's encoding is unknown")?,
        payload: whole.slice_ref(payload),
    })
}
