//! A store as lines of JSON: what `social export` writes and `replay import` reads.
//!
//! The first line is the [`Header`], each other one a commit, partition by partition in the order of positions.
//! Renaming a member breaks files that were written before.
//!
//! All is carried that a command's answer is made from, and all that later decisions rest on: ids, the namespace of
//! keyed command ids, versions, times, actors, request hashes, reserved values, payloads byte for byte. Refusals are not:
//! they are the ledger's alone.
//!
//! # Positions
//!
//! A store of as many partitions gets every commit at the position that it had. In one of another number streams are spread
//! anew: a stream's order stays, positions become others. What was told before (`position`, `Consistency-Token`)
//! then says nothing any more, and an answer made again under an old key names the present position.

use cqrs_core::{
    Actor, BoxError, CommandId, CommitHeader, Encoding, EventData, EventType, LogPosition,
    PARTITION_HASH, Position, RecordedCommit, RequestHash, Reservations, ReservedValue, StreamName,
    Timestamp, TraceContext, Version,
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Raised when the lines change in a way that older code cannot read.
const VERSION: u32 = 1;
const FORMAT: &str = "social-export";

/// The first line. Keep it to yourself: who has the namespace can find keys from command ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    format: String,
    version: u32,
    /// The store's id.
    pub store_id: Uuid,
    /// The namespace of keyed command ids.
    pub namespace: Uuid,
    partition_hash: String,
    /// How many partitions the log had.
    pub partitions: u16,
    /// How many commits of each follow.
    pub commits: Vec<Position>,
}

/// Why a line cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransferError {
    /// It is no line of an export.
    #[error("not a line of an export")]
    Malformed(#[source] BoxError),
    /// The export was written by other code.
    #[error("the export is `{format}` v{version}, this code reads `social-export` v1")]
    UnknownFormat {
        /// What it says it is.
        format: String,
        /// In which version.
        version: u32,
    },
    /// Its streams are spread by another hash.
    #[error("the export spreads its streams by `{0}`")]
    PartitionHash(String),
}

impl Header {
    /// The header of a log with these heads.
    #[must_use]
    pub fn new(store_id: Uuid, namespace: Uuid, commits: Vec<Position>) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            store_id,
            namespace,
            partition_hash: PARTITION_HASH.to_owned(),
            partitions: u16::try_from(commits.len()).unwrap_or(u16::MAX),
            commits,
        }
    }

    /// Its line, without the end.
    ///
    /// # Errors
    ///
    /// [`TransferError::Malformed`].
    pub fn to_line(&self) -> Result<String, TransferError> {
        serde_json::to_string(self).map_err(malformed)
    }

    /// Reads a line.
    ///
    /// # Errors
    ///
    /// [`TransferError`].
    pub fn parse(line: &str) -> Result<Self, TransferError> {
        let header: Self = serde_json::from_str(line).map_err(malformed)?;
        if header.format != FORMAT || header.version != VERSION {
            let (format, version) = (header.format, header.version);
            return Err(TransferError::UnknownFormat { format, version });
        }
        if header.partition_hash != PARTITION_HASH {
            return Err(TransferError::PartitionHash(header.partition_hash));
        }
        if header.commits.len() != usize::from(header.partitions) {
            return Err(malformed("it counts the commits of other partitions"));
        }
        Ok(header)
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CommitLine {
    at: LogPosition,
    stream: String,
    /// The stream's, after the commit.
    version: Version,
    command: CommandId,
    #[serde(skip_serializing_if = "Option::is_none")]
    request: Option<String>,
    actor: String,
    /// Milliseconds since 1970.
    time: Timestamp,
    correlation: Uuid,
    causation: Uuid,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tracestate: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    reserve: Vec<ReservedValue>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    release: Vec<ReservedValue>,
    events: Vec<EventLine>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct EventLine {
    #[serde(rename = "type")]
    name: String,
    version: u32,
    encoding: String,
    /// As it is stored, byte for byte.
    payload: String,
}

/// The line of a commit, without the end.
///
/// # Errors
///
/// [`TransferError::Malformed`]: a payload is no text.
pub fn commit_line(commit: &RecordedCommit) -> Result<String, TransferError> {
    let header = &commit.header;
    let event = |event: &EventData| {
        Ok::<_, TransferError>(EventLine {
            name: event.event_type.name().to_owned(),
            version: event.event_type.version(),
            encoding: event.encoding.as_str().to_owned(),
            payload: std::str::from_utf8(&event.payload)
                .map_err(malformed)?
                .to_owned(),
        })
    };
    let trace = header.trace.as_ref();
    let line = CommitLine {
        at: commit.at,
        stream: commit.stream.as_str().to_owned(),
        version: commit.version,
        command: header.command_id,
        request: header.request.map(|hash| hex(hash.as_bytes())),
        actor: header.actor.as_str().to_owned(),
        time: header.time,
        correlation: header.correlation_id,
        causation: header.causation_id,
        traceparent: trace.map(|trace| trace.traceparent().to_owned()),
        tracestate: trace.and_then(|trace| trace.tracestate().map(str::to_owned)),
        reserve: commit.reservations.reserve.clone(),
        release: commit.reservations.release.clone(),
        events: commit.events.iter().map(event).collect::<Result<_, _>>()?,
    };
    serde_json::to_string(&line).map_err(malformed)
}

/// Reads the line of a commit.
///
/// # Errors
///
/// [`TransferError::Malformed`].
pub fn parse_commit(line: &str) -> Result<RecordedCommit, TransferError> {
    let line: CommitLine = serde_json::from_str(line).map_err(malformed)?;
    let event = |event: EventLine| {
        let encoding = Encoding::parse(&event.encoding);
        Ok::<_, TransferError>(EventData {
            event_type: EventType::new(event.name, event.version),
            encoding: encoding.ok_or_else(|| malformed("an event's encoding is unknown"))?,
            payload: event.payload.into(),
        })
    };
    let events = line.events.into_iter().map(event);
    let events: Vec<_> = events.collect::<Result<_, _>>()?;
    if events.is_empty() || line.version.get() < events.len() as u64 {
        return Err(malformed("its version does not fit its events"));
    }
    let state = line.tracestate.as_deref();
    let trace = line.traceparent.as_deref();
    let trace = trace.map(|parent| {
        TraceContext::parse(parent, state).ok_or_else(|| malformed("its trace is none"))
    });
    Ok(RecordedCommit {
        at: line.at,
        stream: StreamName::parse(&line.stream).map_err(malformed)?,
        version: line.version,
        header: CommitHeader {
            command_id: line.command,
            request: line.request.as_deref().map(request).transpose()?,
            actor: Actor::parse(&line.actor).map_err(malformed)?,
            time: line.time,
            correlation_id: line.correlation,
            causation_id: line.causation,
            trace: trace.transpose()?,
        },
        events,
        reservations: Reservations {
            reserve: line.reserve,
            release: line.release,
        },
    })
}

fn malformed(source: impl Into<BoxError>) -> TransferError {
    TransferError::Malformed(source.into())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn request(text: &str) -> Result<RequestHash, TransferError> {
    let wrong = || malformed("its request hash is none");
    if text.len() != 64 || !text.is_ascii() {
        return Err(wrong());
    }
    let mut digest = [0; 32];
    for (index, byte) in digest.iter_mut().enumerate() {
        let digits = &text[2 * index..2 * index + 2];
        *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
    }
    Ok(RequestHash::new(digest))
}

#[cfg(test)]
mod tests {
    use cqrs_core::Partition;

    use super::*;

    fn commit() -> RecordedCommit {
        let event = |payload: &str| EventData {
            event_type: EventType::new("thing-done", 12),
            encoding: Encoding::Json,
            payload: payload.to_owned().into(),
        };
        RecordedCommit {
            at: LogPosition::new(Partition::new(3), Position::new(41)),
            stream: StreamName::parse("thing-1").unwrap(),
            version: Version::new(7),
            header: CommitHeader {
                command_id: CommandId::new(Uuid::from_u128(1)),
                request: Some(RequestHash::new([0xa7; 32])),
                actor: Actor::parse("ada").unwrap(),
                time: Timestamp::from_millis(-1),
                correlation_id: Uuid::from_u128(2),
                causation_id: Uuid::from_u128(3),
                trace: TraceContext::parse(
                    "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
                    Some("vendor=state"),
                ),
            },
            events: vec![event("{ \"a\" : 1.0 }"), event("\"é\\u0000\"")],
            reservations: Reservations {
                reserve: vec![ReservedValue::new("name", "ada")],
                release: vec![ReservedValue::new("name", "old")],
            },
        }
    }

    #[test]
    fn a_commit_comes_back_from_its_line() {
        let whole = commit();
        let line = commit_line(&whole).unwrap();
        assert!(!line.contains('\n'));
        assert_eq!(parse_commit(&line).unwrap(), whole);
        let mut bare = whole;
        bare.header.request = None;
        bare.header.trace = None;
        bare.reservations = Reservations::none();
        assert_eq!(parse_commit(&commit_line(&bare).unwrap()).unwrap(), bare);
    }

    /// Golden: files are read by these names for ever.
    #[test]
    fn the_lines_are_frozen() {
        let header = Header::new(
            Uuid::from_u128(1),
            Uuid::from_u128(2),
            vec![Position::new(3)],
        );
        assert_eq!(
            header.to_line().unwrap(),
            "{\"format\":\"social-export\",\"version\":1,\
             \"store_id\":\"00000000-0000-0000-0000-000000000001\",\
             \"namespace\":\"00000000-0000-0000-0000-000000000002\",\
             \"partition_hash\":\"HASH\",\"partitions\":1,\"commits\":[3]}"
                .replace("HASH", PARTITION_HASH)
        );
        let hash = "a7".repeat(32);
        let frozen = format!(
            "{{\"at\":\"3-41\",\"stream\":\"thing-1\",\"version\":7,\
             \"command\":\"00000000-0000-0000-0000-000000000001\",\"request\":\"{hash}\",\
             \"actor\":\"ada\",\"time\":-1,\
             \"correlation\":\"00000000-0000-0000-0000-000000000002\",\
             \"causation\":\"00000000-0000-0000-0000-000000000003\",\
             \"traceparent\":\"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\",\
             \"tracestate\":\"vendor=state\",\
             \"reserve\":[{{\"scope\":\"name\",\"value\":\"ada\"}}],\
             \"release\":[{{\"scope\":\"name\",\"value\":\"old\"}}],\
             \"events\":[{{\"type\":\"thing-done\",\"version\":12,\"encoding\":\"json\",\
             \"payload\":\"{{ \\\"a\\\" : 1.0 }}\"}},\
             {{\"type\":\"thing-done\",\"version\":12,\"encoding\":\"json\",\
             \"payload\":\"\\\"é\\\\u0000\\\"\"}}]}}"
        );
        assert_eq!(commit_line(&commit()).unwrap(), frozen);
    }

    #[test]
    fn what_is_no_line_is_refused() {
        let line = commit_line(&commit()).unwrap();
        for (from, to) in [
            ("\"3-41\"", "\"3\""),
            ("\"thing-1\"", "\"thing\""),
            ("\"version\":7", "\"version\":1"),
            ("\"a7a7", "\"xxa7"),
            ("\"json\"", "\"cbor\""),
            ("\"ada\",\"time\"", "\"\",\"time\""),
        ] {
            let changed = line.replacen(from, to, 1);
            assert_ne!(changed, line, "{from}");
            assert!(parse_commit(&changed).is_err(), "{to}");
        }
        let header = Header::new(Uuid::nil(), Uuid::nil(), vec![Position::new(3)]);
        let header = header.to_line().unwrap();
        for (from, to) in [
            ("social-export", "other"),
            ("\"version\":1", "\"version\":2"),
            (PARTITION_HASH, "md5"),
            ("[3]", "[3,4]"),
        ] {
            assert!(
                Header::parse(&header.replacen(from, to, 1)).is_err(),
                "{to}"
            );
        }
        assert!(Header::parse(&header).is_ok());
    }
}
