//! What the reference keeps, seen through the traits.

use bytes::Bytes;
use uuid::Uuid;

use crate::codec::{Encoding, EventType};
use crate::envelope::{Actor, CommandId, Envelope, RequestHash};
use crate::ledger::{Claimed, Ledger, Reservations, ReservedValue, Settlement};
use crate::log::{
    AppendError, AppendToLog, Commit, CommitHeader, EventData, InvalidCommit, ReadError, ReadLog,
};
use crate::memory::MemoryStore;
use crate::position::{Partition, Position};
use crate::stream::StreamName;
use crate::time::Timestamp;
use crate::version::{ExpectedVersion, Version};

const TIME: Timestamp = Timestamp::from_millis(0);

fn stream(name: &str) -> StreamName {
    StreamName::parse(name).unwrap()
}

fn commit(name: &str, id: u128, expected: ExpectedVersion, events: usize) -> Commit {
    let command = CommandId::new(Uuid::from_u128(id));
    let actor = Actor::parse("Zoë").unwrap();
    let envelope = Envelope::new(command, actor, Timestamp::from_millis(1));
    let event = EventData {
        event_type: EventType::new("happened", 1),
        encoding: Encoding::Json,
        payload: Bytes::from_static(b"{}"),
    };
    Commit {
        stream: stream(name),
        expected,
        header: CommitHeader::from(&envelope),
        events: vec![event; events],
        reservations: Reservations::none(),
    }
}

fn exactly(version: u64) -> ExpectedVersion {
    ExpectedVersion::Exact(Version::new(version))
}

#[tokio::test]
async fn an_empty_commit_is_refused() {
    let store = MemoryStore::new(1);
    let refused = store
        .append(commit("a-1", 1, ExpectedVersion::Any, 0))
        .await;
    assert!(matches!(
        refused,
        Err(AppendError::Invalid(InvalidCommit::Empty))
    ));
}

#[tokio::test]
async fn a_stale_expected_version_is_refused_at_and_past_version_ten() {
    let store = MemoryStore::new(1);
    for version in 0..120 {
        let next = commit("a-1", u128::from(version) + 1, exactly(version), 1);
        let appended = store.append(next).await.unwrap();
        assert_eq!(appended.at.position, Position::new(version + 1));
        let stale = commit("a-1", u128::from(version) + 1000, exactly(version), 1);
        let Err(AppendError::Conflict { actual, .. }) = store.append(stale).await else {
            panic!("version {version} was taken twice");
        };
        assert_eq!(actual, Version::new(version + 1));
    }
}

#[tokio::test]
async fn a_repeated_command_gets_its_first_place_whatever_it_expects() {
    let store = MemoryStore::new(1);
    let first = commit("a-1", 1, ExpectedVersion::NoStream, 2);
    let landed = store.append(first.clone()).await.unwrap();
    store.append(commit("a-1", 2, exactly(2), 1)).await.unwrap();
    let again = store.append(first.clone()).await.unwrap();
    assert_eq!((again.at, again.version), (landed.at, landed.version));
    assert!(again.repeated);

    let mut other = first;
    other.header.request = Some(RequestHash::new([1; 32]));
    let refused = store.append(other).await;
    assert!(matches!(refused, Err(AppendError::KeyReused)));
}

#[tokio::test]
async fn calls_land_in_their_order_even_where_no_future_is_polled_before() {
    let store = MemoryStore::new(1);
    let first = store.append(commit("a-1", 1, exactly(0), 1));
    let second = store.append(commit("a-1", 2, exactly(1), 1));
    assert_eq!(second.await.unwrap().version, Version::new(2));
    assert_eq!(first.await.unwrap().version, Version::new(1));
    drop(store.append(commit("a-1", 3, exactly(2), 1)));
    store.append(commit("a-1", 4, exactly(3), 1)).await.unwrap();
}

#[tokio::test]
async fn a_decision_on_a_lost_commit_is_lost_though_a_rival_took_its_version() {
    let store = MemoryStore::new(1);
    store.append(commit("a-1", 1, exactly(0), 1)).await.unwrap();
    let lost = store.append(commit("a-1", 2, exactly(0), 1));
    let after = ExpectedVersion::After {
        version: Version::new(1),
        command: CommandId::new(Uuid::from_u128(2)),
    };
    let successor = store.append(commit("a-1", 3, after, 1));
    assert!(matches!(lost.await, Err(AppendError::Conflict { .. })));
    assert!(matches!(successor.await, Err(AppendError::Conflict { .. })));
}

#[tokio::test]
async fn streams_are_read_in_whole_commits() {
    let store = MemoryStore::new(1);
    let name = stream("a-1");
    for (id, version) in [(1, 0), (2, 3), (3, 6)] {
        let next = commit("a-1", id, exactly(version), 3);
        store.append(next).await.unwrap();
    }
    let page = store.read_stream(&name, Version::EMPTY, 7).await.unwrap();
    assert_eq!(page.len(), 2);
    assert_eq!(page[0].header.actor.as_str(), "Zoë");
    let one = store.read_stream(&name, Version::new(3), 1).await.unwrap();
    assert_eq!(one[0].version, Version::new(6));
    let inside = store.read_stream(&name, Version::new(4), 9).await;
    assert!(matches!(inside, Err(ReadError::Corrupt { .. })));
    let elsewhere = store
        .read_partition(Partition::new(1), Position::START, 9)
        .await;
    assert!(matches!(elsewhere, Err(ReadError::NoSuchPartition { .. })));
}

#[tokio::test]
async fn a_reserved_value_has_one_owner_until_it_is_released() {
    let store = MemoryStore::new(1);
    let ada = ReservedValue::new("handle", "ada");
    let with = |name: &str, id, reserve: &[&ReservedValue], release: &[&ReservedValue]| {
        let mut commit = commit(name, id, ExpectedVersion::Any, 1);
        commit.reservations.reserve = reserve.iter().map(|v| (*v).clone()).collect();
        commit.reservations.release = release.iter().map(|v| (*v).clone()).collect();
        commit
    };
    store.append(with("a-1", 1, &[&ada], &[])).await.unwrap();
    let refused = store.append(with("a-2", 2, &[&ada], &[])).await;
    assert!(matches!(refused, Err(AppendError::Reserved { .. })));
    store.append(with("a-2", 3, &[], &[&ada])).await.unwrap();
    assert_eq!(store.owner(&ada).await.unwrap(), Some(stream("a-1")));
    store.append(with("a-1", 4, &[], &[&ada])).await.unwrap();
    store.append(with("a-2", 5, &[&ada], &[])).await.unwrap();
    assert_eq!(store.owner(&ada).await.unwrap(), Some(stream("a-2")));
}

#[tokio::test]
async fn a_claim_is_alone_and_its_answer_is_given_again() {
    let store = MemoryStore::new(1);
    let (id, request) = (
        CommandId::new(Uuid::from_u128(1)),
        RequestHash::new([1; 32]),
    );
    let Claimed::Granted { claim, .. } = store.claim(id, request, TIME).await.unwrap() else {
        panic!("a new command was not granted");
    };
    assert!(matches!(
        store.claim(id, request, TIME).await.unwrap(),
        Claimed::Running
    ));
    drop(claim);
    let Claimed::Granted { claim, .. } = store.claim(id, request, TIME).await.unwrap() else {
        panic!("a dropped claim was kept");
    };
    let answer = Bytes::from_static(b"no");
    let settled = store.settle(
        claim,
        Settlement::Answered {
            answer: answer.clone(),
            stream: None,
        },
    );
    settled.await.unwrap();
    let Claimed::Answered(again) = store.claim(id, request, TIME).await.unwrap() else {
        panic!("the answer was forgotten");
    };
    assert_eq!(again, answer);
    let other = RequestHash::new([2; 32]);
    let reused = store.claim(id, other, TIME).await.unwrap();
    assert!(matches!(reused, Claimed::KeyReused));
}
