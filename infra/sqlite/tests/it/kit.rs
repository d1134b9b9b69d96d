//! Stores in folders of their own, and commits for them.

use bytes::Bytes;
use cqrs_core::{
    Actor, AppendToLog, Appended, CommandId, Commit, CommitHeader, Encoding, EventData, EventType,
    ExpectedVersion, Reservations, StreamName, Timestamp, Version,
};
use cqrs_sqlite::{SqliteOptions, SqliteStore};
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) struct Fixture {
    // Dropped first: the folder goes after its store.
    pub(crate) store: SqliteStore,
    pub(crate) folder: TempDir,
}

pub(crate) fn fixture() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, 1);
    Fixture { folder, store }
}

/// A store whose reads all go to its file.
pub(crate) fn from_the_file() -> Fixture {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        recent_bytes: 0,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(folder.path().join("store.db"), options).unwrap();
    Fixture { store, folder }
}

pub(crate) fn open(folder: &TempDir, partitions: u16) -> SqliteStore {
    let options = SqliteOptions {
        partitions,
        ..SqliteOptions::default()
    };
    SqliteStore::open(folder.path().join("store.db"), options).unwrap()
}

pub(crate) fn stream(id: impl std::fmt::Display) -> StreamName {
    StreamName::new("thing", &id).unwrap()
}

/// One event per payload, under a command id made from all that.
pub(crate) fn commit(stream: &StreamName, expected: u64, payloads: &[&str]) -> Commit {
    let name = format!("{stream} {expected} {payloads:?}");
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
    Commit {
        stream: stream.clone(),
        expected: ExpectedVersion::Exact(Version::new(expected)),
        header: CommitHeader {
            command_id: CommandId::new(id),
            request: None,
            actor: Actor::parse("ada").unwrap(),
            time: Timestamp::from_millis(1_700_000_000_000),
            correlation_id: id,
            causation_id: id,
            trace: None,
        },
        events: payloads
            .iter()
            .map(|payload| EventData {
                event_type: EventType::new("thing-done", 1),
                encoding: Encoding::Json,
                payload: Bytes::copy_from_slice(payload.as_bytes()),
            })
            .collect(),
        reservations: Reservations::none(),
    }
}

pub(crate) async fn append(
    store: &SqliteStore,
    stream: &StreamName,
    expected: u64,
    payloads: &[&str],
) -> Appended {
    store
        .append(commit(stream, expected, payloads))
        .await
        .unwrap()
}
