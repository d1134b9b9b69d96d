//! Events as CloudEvents 1.0, binary mode. Renaming a header breaks every consumer.
//!
//! | header | what |
//! |---|---|
//! | `ce_specversion` | `1.0` |
//! | `ce_id` | partition-position-index; unique in the source |
//! | `ce_source` | the store |
//! | `ce_type` | the event's stable name |
//! | `ce_dataschema` | `urn:event:NAME:VERSION`, the schema version being the last part |
//! | `ce_time` | RFC 3339: when the command was first received; not there where RFC 3339 has no such year |
//! | `millis` | only where `ce_time` is not there: the same, in milliseconds since 1970 |
//! | `ce_subject` | the stream, which is the record's key too |
//! | `content-type` | of the payload |
//! | `traceparent`, `tracestate` | W3C trace context, where there is one |
//! | `position`, `index`, `count` | the place in the partition: the commit, the event in it from 0, how many it has |
//! | `version` | the stream's version after the event |
//! | `command`, `actor`, `correlation`, `causation` | who, and because of what |
//! | `encoding` | how the payload is written |
//!
//! Consumers pass over the types that they do not know. One comes from no aggregate: `cqrs.answered`, the answer of a command that had
//! no effect ([`cqrs_core::LoggedAnswer`]).
//!
//! The value is the payload as it is stored. The record's own timestamp is the broker's, when it took the record.
//!
//! # Reference
//!
//! CloudEvents 1.0.2, Kafka protocol binding.

use std::str::FromStr;

use bytes::Bytes;
use cqrs_core::{
    Actor, BusRecord, CommandId, CommitHeader, Encoding, EventData, EventId, EventType,
    LogPosition, Partition, Position, RecordedEvent, StreamName, Timestamp, TraceContext, Version,
};
use rdkafka::Message;
use rdkafka::message::{Header, Headers, OwnedHeaders};
use uuid::Uuid;

/// A record that is none of the log's events: something else was written to the topic.
#[derive(Debug, thiserror::Error)]
#[error("header `{header}` of the record at offset {offset} is missing or malformed")]
pub struct RecordError {
    /// Which header, or `key`.
    pub header: &'static str,
    /// Where.
    pub offset: i64,
}

fn content_type(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "application/json",
        _ => "application/octet-stream",
    }
}

/// A moment as RFC 3339; `None` outside of the years 0 to 9999, the last day of which does not count.
fn rfc3339(time: Timestamp) -> Option<String> {
    let time = jiff::Timestamp::from_millisecond(time.as_millis()).ok()?;
    let text = time.to_string();
    text.starts_with(|c: char| c.is_ascii_digit())
        .then_some(text)
}

/// The headers of `event`, whose commit has `count` events.
pub(crate) fn headers(source: &str, event: &RecordedEvent<'_>, count: usize) -> OwnedHeaders {
    let header = &event.commit.header;
    let kind = &event.data.event_type;
    let schema = format!("urn:event:{}:{}", kind.name(), kind.version());
    let mut headers = OwnedHeaders::new_with_capacity(19);
    let mut add = |key: &str, value: &str| {
        let all = std::mem::take(&mut headers);
        headers = all.insert(Header {
            key,
            value: Some(value),
        });
    };
    let mut uuid = Uuid::encode_buffer();
    add("ce_specversion", "1.0");
    add("ce_id", &event.id.to_string());
    add("ce_source", source);
    add("ce_type", kind.name());
    add("ce_dataschema", &schema);
    match rfc3339(header.time) {
        Some(time) => add("ce_time", &time),
        // Optional in CloudEvents. An event that is in the log is published, whatever it says.
        None => add("millis", &header.time.as_millis().to_string()),
    }
    add("ce_subject", event.commit.stream.as_str());
    add("content-type", content_type(event.data.encoding));
    if let Some(trace) = &header.trace {
        add("traceparent", trace.traceparent());
        if let Some(state) = trace.tracestate() {
            add("tracestate", state);
        }
    }
    add("position", &event.id.at.position.to_string());
    add("index", &event.id.index.to_string());
    add("count", &count.to_string());
    add("version", &event.version.get().to_string());
    add(
        "command",
        header
            .command_id
            .as_uuid()
            .hyphenated()
            .encode_lower(&mut uuid),
    );
    add("actor", header.actor.as_str());
    add(
        "correlation",
        header.correlation_id.hyphenated().encode_lower(&mut uuid),
    );
    add(
        "causation",
        header.causation_id.hyphenated().encode_lower(&mut uuid),
    );
    add("encoding", event.data.encoding.as_str());
    headers
}

/// Reads a record back.
pub(crate) fn read<M: Message>(message: &M) -> Result<BusRecord, RecordError> {
    let offset = message.offset();
    let refused = |header| RecordError { header, offset };
    let fields = Fields::of(message);
    let text = |header: &'static str| fields.text(header).ok_or_else(|| refused(header));
    fn number<N: FromStr>(text: &str) -> Option<N> {
        text.parse().ok()
    }
    let uuid = |header: &'static str| {
        let parsed = Uuid::try_parse(text(header)?);
        parsed.map_err(|_| refused(header))
    };
    let partition = u16::try_from(message.partition()).map(Partition::new);
    let partition = partition.map_err(|_| refused("ce_id"))?;
    let position = number(text("position")?).ok_or_else(|| refused("position"))?;
    let id = EventId {
        at: LogPosition::new(partition, Position::new(position)),
        index: number(text("index")?).ok_or_else(|| refused("index"))?,
    };
    if text("ce_id")? != id.to_string() {
        return Err(refused("ce_id"));
    }
    let count = number(text("count")?).filter(|count| id.index < *count);
    let stream = text("ce_subject")?;
    if message.key() != Some(stream.as_bytes()) {
        return Err(refused("key"));
    }
    let schema = text("ce_dataschema")?.rsplit_once(':');
    let schema = schema.and_then(|(_, version)| number(version));
    let time = match fields.text("millis") {
        Some(millis) => number(millis).ok_or_else(|| refused("millis"))?,
        None => {
            let time: Option<jiff::Timestamp> = number(text("ce_time")?);
            time.ok_or_else(|| refused("ce_time"))?.as_millisecond()
        }
    };
    let header = CommitHeader {
        command_id: CommandId::new(uuid("command")?),
        request: None,
        actor: Actor::parse(text("actor")?).map_err(|_| refused("actor"))?,
        time: Timestamp::from_millis(time),
        correlation_id: uuid("correlation")?,
        causation_id: uuid("causation")?,
        trace: fields
            .text("traceparent")
            .and_then(|parent| TraceContext::parse(parent, fields.text("tracestate"))),
    };
    let data = EventData {
        event_type: EventType::new(
            text("ce_type")?.to_owned(),
            schema.ok_or_else(|| refused("ce_dataschema"))?,
        ),
        encoding: Encoding::parse(text("encoding")?).ok_or_else(|| refused("encoding"))?,
        payload: Bytes::copy_from_slice(message.payload().unwrap_or_default()),
    };
    Ok(BusRecord {
        id,
        count: count.ok_or_else(|| refused("count"))?,
        offset: u64::try_from(offset).map_err(|_| refused("offset"))?,
        stream: StreamName::parse(stream).map_err(|_| refused("ce_subject"))?,
        version: Version::new(number(text("version")?).ok_or_else(|| refused("version"))?),
        header,
        data,
    })
}

/// A record's headers by name.
struct Fields<'a>(Vec<(&'a str, Option<&'a [u8]>)>);

impl<'a> Fields<'a> {
    fn of<M: Message>(message: &'a M) -> Self {
        let headers = message.headers();
        let pairs = headers.map(|headers| headers.iter().map(|h| (h.key, h.value)).collect());
        Self(pairs.unwrap_or_default())
    }

    fn text(&self, name: &str) -> Option<&'a str> {
        let found = self.0.iter().find(|(key, _)| *key == name);
        std::str::from_utf8(found?.1?).ok()
    }
}

#[cfg(test)]
mod tests {
    use cqrs_core::{RecordedCommit, Reservations};
    use rdkafka::Timestamp as KafkaTime;
    use rdkafka::message::OwnedMessage;

    use super::*;

    fn commit() -> RecordedCommit {
        let event = |name: &'static str, version, payload: &'static str| EventData {
            event_type: EventType::new(name, version),
            encoding: Encoding::Json,
            payload: payload.into(),
        };
        RecordedCommit {
            at: LogPosition::new(Partition::new(3), Position::new(41)),
            stream: StreamName::parse("post-7f").unwrap(),
            version: Version::new(12),
            header: CommitHeader {
                command_id: CommandId::new(Uuid::from_u128(1)),
                request: None,
                actor: Actor::parse("ada é").unwrap(),
                time: Timestamp::from_millis(1_700_000_000_123),
                correlation_id: Uuid::from_u128(2),
                causation_id: Uuid::from_u128(3),
                trace: TraceContext::parse(
                    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                    Some("vendor=1"),
                ),
            },
            events: vec![
                event("post-created", 2, "{\"a\":1}"),
                event("post:odd", 10, "{}"),
            ],
            reservations: Reservations::none(),
        }
    }

    fn message(event: &RecordedEvent<'_>, headers: OwnedHeaders) -> OwnedMessage {
        OwnedMessage::new(
            Some(event.data.payload.to_vec()),
            Some(event.commit.stream.as_str().as_bytes().to_vec()),
            "events".into(),
            KafkaTime::CreateTime(0),
            3,
            99,
            Some(headers),
        )
    }

    #[test]
    fn a_record_reads_back_every_field() {
        let commit = commit();
        for (index, event) in commit.recorded_events().enumerate() {
            let headers = headers("urn:store:1", &event, 2);
            let read = read(&message(&event, headers)).unwrap();
            let due = BusRecord {
                id: event.id,
                count: 2,
                offset: 99,
                stream: commit.stream.clone(),
                version: Version::new(11 + index as u64),
                header: commit.header.clone(),
                data: event.data.clone(),
            };
            assert_eq!(read, due);
        }
    }

    #[test]
    fn an_event_of_any_time_reads_back() {
        let year_0 = -62_167_219_200_000;
        // A day before the year 10000, so that every time zone has it.
        let last = jiff::Timestamp::MAX.as_second() * 1_000;
        for (millis, said) in [
            (i64::MIN, false),
            (year_0 - 1, false),
            (year_0, true),
            (last, true),
            (last + 1_000, false),
            (i64::MAX, false),
        ] {
            let mut commit = commit();
            commit.header.time = Timestamp::from_millis(millis);
            let event = commit.recorded_events().next().unwrap();
            let headers = headers("urn:store:1", &event, 2);
            let has_time = headers.iter().any(|header| header.key == "ce_time");
            assert_eq!(has_time, said, "{millis}");
            let read = read(&message(&event, headers)).unwrap();
            assert_eq!(read.header, commit.header);
        }
    }

    #[test]
    fn the_headers_are_those_of_a_cloud_event() {
        let commit = commit();
        let event = commit.recorded_events().next().unwrap();
        let headers = headers("urn:store:1", &event, 2);
        let mut written: Vec<_> = headers
            .iter()
            .map(|h| format!("{}={}", h.key, String::from_utf8_lossy(h.value.unwrap())))
            .collect();
        written.sort_unstable();
        let due = [
            "actor=ada é",
            "causation=00000000-0000-0000-0000-000000000003",
            "ce_dataschema=urn:event:post-created:2",
            "ce_id=3-41-0",
            "ce_source=urn:store:1",
            "ce_specversion=1.0",
            "ce_subject=post-7f",
            "ce_time=2023-11-14T22:13:20.123Z",
            "ce_type=post-created",
            "command=00000000-0000-0000-0000-000000000001",
            "content-type=application/json",
            "correlation=00000000-0000-0000-0000-000000000002",
            "count=2",
            "encoding=json",
            "index=0",
            "position=41",
            "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "tracestate=vendor=1",
            "version=11",
        ];
        assert_eq!(written, due);
    }

    #[test]
    fn what_is_no_event_is_refused_with_the_header_that_tells() {
        let commit = commit();
        let event = commit.recorded_events().next().unwrap();
        let good = headers("urn:store:1", &event, 2);
        for header in good.iter().map(|h| h.key) {
            let optional = ["traceparent", "tracestate", "content-type", "ce_source"];
            if optional.contains(&header) || header == "ce_specversion" {
                continue;
            }
            let mut rest = OwnedHeaders::new();
            for kept in good.iter().filter(|kept| kept.key != header) {
                rest = rest.insert(Header {
                    key: kept.key,
                    value: kept.value,
                });
            }
            let refused = read(&message(&event, rest)).unwrap_err();
            assert_eq!(refused.header, header);
        }
        let elsewhere = message(&event, good).set_partition(2);
        assert_eq!(read(&elsewhere).unwrap_err().header, "ce_id");
    }
}
