//! What every store promises, one function a promise, run unchanged by every adapter.
//!
//! Each function takes a store of its own, empty. A failed promise panics with what was found.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "a suite fails by panicking"
)]

mod brokers;
pub mod bus;
pub mod checkpoint;
pub mod groups;
pub mod intents;
pub mod ledger;
pub mod log;
mod notebook;
pub mod parking;
pub mod projection;
pub mod relay_marks;
pub mod replays;
pub mod reservations;
pub mod snapshot;
mod suites;
pub mod two_stores;
mod versions;

pub use brokers::Brokers;
pub use intents::{claims, fold, values};
pub use notebook::{Illegible, Note, Notebook, NotebookStore, Notes};

pub use two_stores::{TwoStores, alone, crowds, races, stops, takeovers};
pub use versions::NotebookVersions;

use bytes::Bytes;
use uuid::Uuid;

use crate::codec::{Encoding, EventType};
use crate::envelope::{Actor, CommandId};
use crate::ledger::Reservations;
use crate::log::{AppendToLog, Appended, Commit, CommitHeader, EventData};
use crate::stream::StreamName;
use crate::time::Timestamp;
use crate::version::{ExpectedVersion, Version};

pub(crate) fn stream(id: impl std::fmt::Display) -> StreamName {
    StreamName::new("contract", &id).unwrap()
}

/// One event per payload, under the command id `number`.
pub(crate) fn commit(
    number: u64,
    stream: &StreamName,
    expected: ExpectedVersion,
    payloads: &[&str],
) -> Commit {
    let id = Uuid::from_u64_pair(0xc0de, number);
    let event = |payload: &&str| EventData {
        event_type: EventType::new("contract-tested", 1),
        encoding: Encoding::Json,
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    };
    Commit {
        stream: stream.clone(),
        expected,
        header: CommitHeader {
            command_id: CommandId::new(id),
            request: None,
            actor: Actor::parse("ada").unwrap(),
            time: Timestamp::from_millis(1_700_000_000_000),
            correlation_id: id,
            causation_id: id,
            trace: None,
        },
        events: payloads.iter().map(event).collect(),
        reservations: Reservations::none(),
    }
}

pub(crate) fn exactly(version: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(Version::new(version))
}

/// Appends `count` commits of one event each to an empty stream, under the ids from `first` on.
async fn fill(log: &impl AppendToLog, stream: &StreamName, first: u64, count: u64) -> Appended {
    let mut last = None;
    for n in 0..count {
        let commit = commit(first + n, stream, exactly(n), &["{}"]);
        last = Some(log.append(commit).await.unwrap());
    }
    last.unwrap()
}
