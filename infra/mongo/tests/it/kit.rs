//! Stores in databases of their own, and commits for them.

use bytes::Bytes;
use cqrs_core::{
    Actor, CommandId, Commit, CommitHeader, Encoding, EventData, EventType, ExpectedVersion,
    Reservations, StreamName, Timestamp,
};
use cqrs_mongo::{MongoOptions, MongoStore};
use mongodb::bson::RawDocumentBuf;
use mongodb::{Client, Collection};
use uuid::Uuid;

/// Where the server is.
pub(crate) fn uri() -> String {
    std::env::var("MONGODB_URI").expect("this test needs MONGODB_URI")
}

/// A database that no other test has.
pub(crate) fn options(partitions: u16) -> MongoOptions {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).unwrap();
    let name = format!("cqrs_it_{:016x}", u64::from_le_bytes(bytes));
    MongoOptions {
        partitions,
        ..MongoOptions::new(uri(), name)
    }
}

pub(crate) async fn open(partitions: u16) -> MongoStore {
    MongoStore::open(options(partitions)).await.unwrap()
}

/// A collection behind the store's back.
pub(crate) async fn collection(options: &MongoOptions, name: &str) -> Collection<RawDocumentBuf> {
    let client = Client::with_uri_str(&options.uri).await.unwrap();
    client.database(&options.database).collection(name)
}

pub(crate) fn stream(id: impl std::fmt::Display) -> StreamName {
    StreamName::new("thing", &id).unwrap()
}

/// One event per payload, under the command id `command`.
pub(crate) fn commit(
    command: Uuid,
    stream: &StreamName,
    expected: ExpectedVersion,
    payloads: &[&str],
) -> Commit {
    Commit {
        stream: stream.clone(),
        expected,
        header: CommitHeader {
            command_id: CommandId::new(command),
            request: None,
            actor: Actor::parse("ada").unwrap(),
            time: Timestamp::from_millis(1_700_000_000_000),
            correlation_id: command,
            causation_id: command,
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
