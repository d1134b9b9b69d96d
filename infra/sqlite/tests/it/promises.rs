//! The promises of the traits, one by one.

use bytes::Bytes;
use cqrs_core::{
    AppendError, AppendToLog, CheckpointStore, Encoding, EventType, InvalidCommit, Ledger,
    Partition, Position, ReadError, ReadLog, RequestHash, ReservedValue, Snapshot, SnapshotStore,
    TailLog, TraceContext, Version,
};

use crate::kit::{append, commit, fixture, stream};

const PARTITION: Partition = Partition::new(0);

#[tokio::test]
async fn a_commit_comes_back_as_it_was_appended() {
    let fixture = fixture();
    let mut sent = commit(&stream(1), 0, &["{ }", "", "[1]"]);
    sent.header.request = Some(RequestHash::new([9; 32]));
    sent.header.trace = TraceContext::parse(
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        Some("a=b"),
    );
    sent.reservations
        .reserve
        .push(ReservedValue::new("handle", "ada"));
    fixture.store.append(sent.clone()).await.unwrap();
    let found = fixture.store.find_commit(sent.header.command_id).await;
    let found = found.unwrap().unwrap();
    assert_eq!(found.header, sent.header);
    assert_eq!(found.events, sent.events);
    assert_eq!(found.reservations, sent.reservations);
    assert_eq!(found.version, Version::new(3));
    let read = fixture.store.read_stream(&sent.stream, Version::EMPTY, 10);
    assert_eq!(read.await.unwrap(), std::slice::from_ref(&found));
    let read = fixture.store.read_partition(PARTITION, Position::START, 10);
    assert_eq!(read.await.unwrap(), [found]);
}

#[tokio::test]
async fn a_repeat_answers_the_first_place_and_another_request_is_refused() {
    let fixture = fixture();
    let mut sent = commit(&stream(1), 0, &["{}"]);
    sent.header.request = Some(RequestHash::new([9; 32]));
    let first = fixture.store.append(sent.clone()).await.unwrap();
    append(&fixture.store, &stream(1), 1, &["{}"]).await;
    for expected in [0, 2] {
        sent.expected = Version::new(expected).into();
        let repeat = fixture.store.append(sent.clone()).await.unwrap();
        assert!(repeat.repeated);
        assert_eq!((repeat.at, repeat.version), (first.at, first.version));
        let mut other = sent.clone();
        other.header.request = Some(RequestHash::new([8; 32]));
        let other = fixture.store.append(other).await;
        assert!(matches!(other, Err(AppendError::KeyReused)), "{other:?}");
    }
    assert_eq!(
        fixture.store.head(PARTITION).await.unwrap(),
        Position::new(2)
    );
}

#[tokio::test]
async fn an_empty_commit_and_a_stale_one_are_refused() {
    let fixture = fixture();
    let empty = fixture.store.append(commit(&stream(1), 0, &[])).await;
    assert!(matches!(
        empty,
        Err(AppendError::Invalid(InvalidCommit::Empty))
    ));
    append(&fixture.store, &stream(1), 0, &["1", "2"]).await;
    for expected in [0, 1, 3] {
        let stale = fixture
            .store
            .append(commit(&stream(1), expected, &["3"]))
            .await;
        let named =
            matches!(&stale, Err(AppendError::Conflict { actual, .. }) if actual.get() == 2);
        assert!(named, "{stale:?}");
    }
    let head = fixture
        .store
        .confirm(&stream(1), Version::new(2).into())
        .await;
    assert_eq!(head.unwrap().position, Position::new(1));
    let head = fixture
        .store
        .confirm(&stream(2), Version::EMPTY.into())
        .await;
    assert_eq!(head.unwrap().position, Position::START);
    assert!(
        fixture
            .store
            .confirm(&stream(1), Version::new(1).into())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn reads_are_whole_commits_and_refuse_the_middle_of_one() {
    let fixture = fixture();
    for version in [0, 2, 4] {
        append(&fixture.store, &stream(1), version, &["a", "b"]).await;
    }
    let name = stream(1);
    let read = async |after, max| {
        let read = fixture.store.read_stream(&name, Version::new(after), max);
        read.await.map(|commits| commits.len())
    };
    assert_eq!(read(0, 1).await.unwrap(), 1);
    assert_eq!(read(0, 4).await.unwrap(), 2);
    assert_eq!(read(0, 5).await.unwrap(), 2);
    assert_eq!(read(6, 5).await.unwrap(), 0);
    for inside in [1, 5] {
        let inside = read(inside, 5).await;
        assert!(
            matches!(inside, Err(ReadError::Corrupt { .. })),
            "{inside:?}"
        );
    }
    let elsewhere = Partition::new(1);
    let read = fixture.store.read_partition(elsewhere, Position::START, 1);
    assert!(matches!(read.await, Err(ReadError::NoSuchPartition { .. })));
}

#[tokio::test]
async fn a_value_has_one_owner_until_it_is_released() {
    let fixture = fixture();
    let store = &fixture.store;
    let (ada, bob) = (stream("ada"), stream("bob"));
    let value = ReservedValue::new("handle", "x");
    let mut take = commit(&ada, 0, &["1"]);
    take.reservations.reserve.push(value.clone());
    store.append(take.clone()).await.unwrap();
    assert!(store.append(take).await.unwrap().repeated);
    let mut rival = commit(&bob, 0, &["2"]);
    rival.reservations.reserve.push(value.clone());
    let refused = store.append(rival.clone()).await;
    assert!(matches!(&refused, Err(AppendError::Reserved { owner, .. }) if *owner == ada));
    let mut thief = commit(&bob, 0, &["3"]);
    thief.reservations.release.push(value.clone());
    store.append(thief).await.unwrap();
    assert_eq!(store.owner(&value).await.unwrap(), Some(ada.clone()));
    let mut release = commit(&ada, 1, &["4"]);
    release.reservations.release.push(value.clone());
    store.append(release).await.unwrap();
    assert_eq!(store.owner(&value).await.unwrap(), None);
    rival.expected = Version::new(1).into();
    store.append(rival).await.unwrap();
    assert_eq!(store.owner(&value).await.unwrap(), Some(bob));
}

#[tokio::test]
async fn a_follower_is_woken_and_told_of_the_end() {
    let fixture = fixture();
    let waiting = fixture.store.clone();
    let waiting = tokio::spawn(async move { waiting.wait_past(PARTITION, Position::START).await });
    append(&fixture.store, &stream(1), 0, &["{}"]).await;
    waiting.await.unwrap().unwrap();
    let waiting = fixture.store.clone();
    let waiting = tokio::spawn(async move { waiting.wait_past(PARTITION, Position::new(1)).await });
    fixture.store.close().await;
    assert!(matches!(
        waiting.await.unwrap(),
        Err(ReadError::Store { .. })
    ));
}

#[tokio::test]
async fn the_newest_snapshot_of_a_schema_stays() {
    let fixture = fixture();
    let at = append(&fixture.store, &stream(1), 0, &["{}"]).await.at;
    let snapshot = |version, schema| Snapshot {
        stream: stream(1),
        version: Version::new(version),
        at,
        schema: EventType::new("thing", schema),
        encoding: Encoding::Json,
        payload: Bytes::from(format!("{version}")),
    };
    let name = stream(1);
    let load = || SnapshotStore::load(&fixture.store, &name);
    assert_eq!(load().await.unwrap(), None);
    for (saved, stays) in [
        ((5, 1), (5, 1)),
        ((4, 1), (5, 1)),
        ((6, 1), (6, 1)),
        ((3, 2), (3, 2)),
    ] {
        fixture
            .store
            .save(snapshot(saved.0, saved.1))
            .await
            .unwrap();
        assert_eq!(load().await.unwrap(), Some(snapshot(stays.0, stays.1)));
    }
}

#[tokio::test]
async fn a_checkpoint_moves_only_from_where_it_stands() {
    let fixture = fixture();
    let store = &fixture.store;
    let move_to = async |from, to| {
        let (from, to) = (Position::new(from), Position::new(to));
        store.advance("relay", PARTITION, from, to).await.unwrap()
    };
    assert!(!move_to(3, 4).await);
    assert!(move_to(0, 4).await);
    assert!(!move_to(0, 9).await);
    assert!(move_to(4, 9).await);
    let at = CheckpointStore::load(store, "relay", PARTITION)
        .await
        .unwrap();
    assert_eq!(at, Position::new(9));
    let other = CheckpointStore::load(store, "other", PARTITION)
        .await
        .unwrap();
    assert_eq!(other, Position::START);
}
