//! Commits as rows, and back.
//!
//! The events of a commit are one blob: a format byte, then per event a frame of
//! type name, schema version, encoding name and payload, each text and payload
//! behind its length, numbers big-endian. A payload is kept byte for byte.

use bytes::Bytes;
use cqrs_core::{
    Actor, CommandId, CommitHeader, Encoding, EventData, EventType, LogPosition, Partition,
    Position, ReadError, RecordedCommit, RequestHash, Reservations, StreamName, Timestamp,
    TraceContext, Version,
};
use rusqlite::Row;
use uuid::Uuid;

/// The columns of a commit, in the order in which [`read`] takes them.
pub(crate) const COLUMNS: &str = "at, stream, first, count, command, request, actor, time, \
     correlation, causation, traceparent, tracestate, reservations, events";

const FORMAT: u8 = 1;
const POSITION_BITS: u32 = 48;

/// A count as SQLite's integer; none of ours comes near 2^63.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// SQLite's integer as a count; a negative one (only in a corrupt file) as 0.
pub(crate) fn nat(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

/// The row id of a commit.
pub(crate) fn row_id(at: LogPosition) -> i64 {
    let position = at.position.get().min((1 << POSITION_BITS) - 1);
    int((u64::from(at.partition.index()) << POSITION_BITS) | position)
}

/// The place of the commit in row `id`.
pub(crate) fn place(id: i64) -> LogPosition {
    let id = nat(id);
    let partition = u16::try_from(id >> POSITION_BITS).unwrap_or(u16::MAX);
    LogPosition::new(
        Partition::new(partition),
        Position::new(id & ((1 << POSITION_BITS) - 1)),
    )
}

/// Writes the events' blob into `blob`.
pub(crate) fn encode_events(events: &[EventData], blob: &mut Vec<u8>) {
    blob.clear();
    blob.push(FORMAT);
    for event in events {
        frame(blob, event.event_type.name().as_bytes());
        blob.extend_from_slice(&event.event_type.version().to_be_bytes());
        frame(blob, event.encoding.as_str().as_bytes());
        frame(blob, &event.payload);
    }
}

fn frame(blob: &mut Vec<u8>, bytes: &[u8]) {
    // A commit's payload is at most 4 MiB: `Commit::check` came before.
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    blob.extend_from_slice(&len.to_be_bytes());
    blob.extend_from_slice(bytes);
}

fn decode_events(blob: Bytes, count: usize) -> Option<Vec<EventData>> {
    let mut rest = Frames(blob);
    if rest.take(1)?[..] != [FORMAT] {
        return None;
    }
    let mut events = Vec::with_capacity(count.min(1_000));
    while !rest.0.is_empty() {
        let name = rest.text()?;
        let version = rest.number()?;
        let encoding = Encoding::parse(&rest.text()?)?;
        let payload = rest.frame()?;
        events.push(EventData {
            event_type: EventType::new(name, version),
            encoding,
            payload,
        });
    }
    (events.len() == count && count > 0).then_some(events)
}

struct Frames(Bytes);

impl Frames {
    fn take(&mut self, len: usize) -> Option<Bytes> {
        (len <= self.0.len()).then(|| self.0.split_to(len))
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_be_bytes(self.take(4)?[..].try_into().ok()?))
    }

    fn frame(&mut self) -> Option<Bytes> {
        let len = usize::try_from(self.number()?).ok()?;
        self.take(len)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.frame()?.into()).ok()
    }
}

/// Reads a commit from a row of [`COLUMNS`].
pub(crate) fn read(row: &Row<'_>) -> Result<RecordedCommit, ReadError> {
    let id: i64 = row.get(0).map_err(store)?;
    let at = place(id);
    decode(row, at).map_err(|reason| ReadError::Corrupt {
        at,
        reason: reason.to_owned(),
    })
}

fn decode(row: &Row<'_>, at: LogPosition) -> Result<RecordedCommit, &'static str> {
    let text = |column, what: &'static str| {
        row.get_ref(column)
            .ok()
            .and_then(|value| value.as_str_or_null().ok())
            .ok_or(what)
    };
    let blob = |column, what: &'static str| {
        row.get_ref(column)
            .ok()
            .and_then(|value| value.as_blob_or_null().ok())
            .ok_or(what)
    };
    let number = |column, what: &'static str| row.get::<_, i64>(column).ok().map(nat).ok_or(what);
    let uuid = |column, what: &'static str| {
        blob(column, what)?
            .and_then(|bytes| Uuid::from_slice(bytes).ok())
            .ok_or(what)
    };

    let stream = text(1, "no stream")?
        .and_then(|name| StreamName::parse(name).ok())
        .ok_or("its stream's name is none")?;
    let (first, count) = (number(2, "no version")?, number(3, "no count")?);
    if first == 0 {
        return Err("versions begin at 1");
    }
    let events = blob(13, "no events")?
        .map(Bytes::copy_from_slice)
        .zip(usize::try_from(count).ok())
        .and_then(|(blob, count)| decode_events(blob, count))
        .ok_or("its events cannot be read")?;
    let request = match blob(5, "its request hash is none")? {
        None => None,
        Some(bytes) => Some(RequestHash::new(
            bytes.try_into().map_err(|_| "its request hash is none")?,
        )),
    };
    let trace = text(10, "its trace is none")?
        .map(|parent| {
            let state = text(11, "its trace is none")?;
            TraceContext::parse(parent, state).ok_or("its trace is none")
        })
        .transpose()?;
    let reservations = text(12, "its reservations are none")?
        .map_or_else(|| Ok(Reservations::none()), serde_json::from_str)
        .map_err(|_| "its reservations are none")?;
    Ok(RecordedCommit {
        at,
        stream,
        version: Version::new(first - 1 + count),
        header: CommitHeader {
            command_id: CommandId::new(uuid(4, "its command's id is none")?),
            request,
            actor: text(6, "no actor")?
                .and_then(|actor| Actor::parse(actor).ok())
                .ok_or("its actor is none")?,
            time: Timestamp::from_millis(row.get(7).map_err(|_| "no time")?),
            correlation_id: uuid(8, "its correlation id is none")?,
            causation_id: uuid(9, "its causation id is none")?,
            trace,
        },
        events,
        reservations,
    })
}

pub(crate) fn store(source: rusqlite::Error) -> ReadError {
    ReadError::Store {
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_id_holds_partition_and_position() {
        let at = LogPosition::new(Partition::new(1_023), Position::new((1 << 48) - 1));
        assert_eq!(place(row_id(at)), at);
        assert_eq!(
            row_id(LogPosition::new(Partition::new(0), Position::new(7))),
            7
        );
    }

    #[test]
    fn events_come_back_byte_for_byte_and_a_cut_blob_is_refused() {
        let event = |payload: &'static [u8]| EventData {
            event_type: EventType::new("thing-done", 12),
            encoding: Encoding::Json,
            payload: Bytes::from_static(payload),
        };
        let events = vec![event(b"{ }"), event(b""), event(b"\0\xff")];
        let mut blob = Vec::new();
        encode_events(&events, &mut blob);
        let blob = Bytes::from(blob);
        assert_eq!(decode_events(blob.clone(), 3), Some(events));
        assert_eq!(decode_events(blob.clone(), 2), None);
        for len in 0..blob.len() {
            assert_eq!(decode_events(blob.slice(..len), 3), None, "{len}");
        }
    }
}
