//! Answers that stand in the log, where no append of their command can come after them any more.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::BoxError;
use crate::codec::{Encoding, EventType};
use crate::envelope::{Actor, CommandId};
use crate::ledger::Reservations;
use crate::log::{Commit, CommitHeader, EventData, RecordedCommit};
use crate::stream::StreamName;
use crate::version::ExpectedVersion;

use super::Entry;

/// A command's answer that a [`Coordinator`](super::Coordinator) wrote into the log: the command had no effect and never will.
///
/// It stands in a stream of its own, `cqrs_answer-<command id>-<number>`, in the partition of the stream that the command was
/// decided on, as one event of the type [`EVENT_TYPE`](Self::EVENT_TYPE), under the command's id. It says nothing of any aggregate: what follows the log passes over it, as over every type
/// that it does not name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedAnswer {
    /// The answer, as the ledger keeps it.
    pub answer: Bytes,
}

/// What is stored. Renaming breaks stored data.
#[derive(Serialize, Deserialize)]
struct Stored {
    answer: Written,
}

/// An answer is whatever the ledger was given: JSON, as a rule.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Written {
    Text(String),
    Bytes(Vec<u8>),
}

impl LoggedAnswer {
    /// The category of the streams; no aggregate may have it.
    pub const CATEGORY: &'static str = "cqrs_answer";
    /// The stored event type.
    pub const EVENT_TYPE: &'static str = "cqrs.answered";

    /// The answer that `commit` is; `None` where it is events of an aggregate.
    ///
    /// What is damaged is given as it stands, for whoever reads the answer to refuse.
    #[must_use]
    pub fn of(commit: &RecordedCommit) -> Option<Self> {
        if commit.stream.category() != Self::CATEGORY {
            return None;
        }
        let payload = &commit.events.first()?.payload;
        let answer = match serde_json::from_slice::<Stored>(payload) {
            Ok(stored) => match stored.answer {
                Written::Text(text) => text.into(),
                Written::Bytes(bytes) => bytes.into(),
            },
            Err(_) => payload.clone(),
        };
        Some(Self { answer })
    }

    /// What is appended for `command`.
    ///
    /// It stands beside `target`, the stream that the command was decided on: a log may keep the ids of commands apart by
    /// partition.
    pub(super) fn commit(
        entry: &Entry,
        target: &StreamName,
        partitions: u16,
        answer: &Bytes,
    ) -> Result<Commit, BoxError> {
        let (command, partition) = (entry.command, target.partition(partitions));
        let answer = match std::str::from_utf8(answer) {
            Ok(text) => Written::Text(text.to_owned()),
            Err(_) => Written::Bytes(answer.to_vec()),
        };
        let id = command.as_uuid();
        Ok(Commit {
            stream: stream(command, |stream| stream.partition(partitions) == partition)?,
            expected: ExpectedVersion::NoStream,
            header: CommitHeader {
                command_id: command,
                request: entry.request,
                actor: Actor::parse("cqrs")?,
                time: entry.time,
                correlation_id: id,
                causation_id: id,
                trace: None,
            },
            events: vec![EventData {
                event_type: EventType::new(Self::EVENT_TYPE, 1),
                encoding: Encoding::Json,
                payload: serde_json::to_vec(&Stored { answer })?.into(),
            }],
            reservations: Reservations::none(),
        })
    }
}

/// The first of the streams of `command`'s answer that `fits`.
fn stream(command: CommandId, fits: impl Fn(&StreamName) -> bool) -> Result<StreamName, BoxError> {
    // With all the partitions that there can be, one of so many has not fitted with a chance of one in a million.
    for nth in 0..1_000_000 {
        let stream = StreamName::new(LoggedAnswer::CATEGORY, &format_args!("{command}-{nth}"))?;
        if fits(&stream) {
            return Ok(stream);
        }
    }
    Err("no stream for the answer hashes to the command's partition".into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::envelope::RequestHash;
    use crate::position::{LogPosition, Partition, Position};
    use crate::time::Timestamp;
    use crate::version::Version;

    fn recorded(commit: Commit) -> RecordedCommit {
        RecordedCommit {
            at: LogPosition::new(Partition::new(0), Position::new(1)),
            stream: commit.stream,
            version: Version::new(1),
            header: commit.header,
            events: commit.events,
            reservations: commit.reservations,
        }
    }

    fn entry() -> Entry {
        Entry {
            command: CommandId::new(uuid::Uuid::from_u128(7)),
            request: Some(RequestHash::new([1; 32])),
            time: Timestamp::from_millis(5),
            attempt: Some(2),
        }
    }

    #[test]
    fn an_answer_of_any_bytes_is_given_back() {
        let target = StreamName::new("post", &1).unwrap();
        for answer in [
            &b"{\"reply\":\"\\u0007 caf\xc3\xa9\"}"[..],
            b"\xff\x00",
            b"",
        ] {
            let answer = Bytes::copy_from_slice(answer);
            let commit = LoggedAnswer::commit(&entry(), &target, 1, &answer).unwrap();
            commit.check().unwrap();
            let recorded = recorded(commit);
            let command = entry().command;
            assert_eq!(recorded.stream.as_str(), format!("cqrs_answer-{command}-0"));
            assert_eq!(LoggedAnswer::of(&recorded), Some(LoggedAnswer { answer }));
        }
    }

    #[test]
    fn it_stands_in_the_partition_of_what_was_decided_on() {
        for partitions in [1, 4, 64, 1_024] {
            for id in 0..20 {
                let target = StreamName::new("post", &id).unwrap();
                let commit = LoggedAnswer::commit(&entry(), &target, partitions, &Bytes::new());
                let there = commit.unwrap().stream.partition(partitions);
                assert_eq!(there, target.partition(partitions), "of {partitions}");
            }
        }
    }

    #[test]
    fn what_is_damaged_is_given_as_it_stands_and_events_are_no_answers() {
        let target = StreamName::new("post", &1).unwrap();
        let mut commit = LoggedAnswer::commit(&entry(), &target, 1, &Bytes::new()).unwrap();
        commit.events[0].payload = Bytes::from_static(b"[");
        let mut recorded = recorded(commit);
        let answer = Bytes::from_static(b"[");
        assert_eq!(LoggedAnswer::of(&recorded), Some(LoggedAnswer { answer }));
        recorded.stream = target;
        assert_eq!(LoggedAnswer::of(&recorded), None);
    }
}
