//! What this store promises beyond the contracts.

use std::time::Duration;

use bytes::Bytes;
use cqrs_core::{
    AppendError, AppendToLog, Encoding, EventType, ExpectedVersion, InvalidCommit, LogPosition,
    Partition, Position, ReadError, ReadLog, Snapshot, SnapshotStore, TailLog, Version,
};
use cqrs_mongo::MongoStore;
use mongodb::bson::doc;
use uuid::Uuid;

use crate::kit::{collection, commit, open, options, stream};

fn numbered(number: u128, version: u64) -> cqrs_core::Commit {
    let expected = ExpectedVersion::Exact(Version::new(version));
    commit(Uuid::from_u128(number), &stream(1), expected, &["{}"])
}

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn a_repeat_after_a_restart_gets_the_first_answer() {
    let options = options(1);
    let store = MongoStore::open(options.clone()).await.unwrap();
    let first = store.append(numbered(1, 0)).await.unwrap();
    store.append(numbered(2, 1)).await.unwrap();
    store.close().await;
    let store = MongoStore::open(options).await.unwrap();
    let again = store.append(numbered(1, 0)).await.unwrap();
    assert_eq!(
        (again.at, again.version, again.repeated),
        (first.at, first.version, true)
    );
    let third = store.append(numbered(3, 2)).await.unwrap();
    assert_eq!((third.at.position.get(), third.repeated), (3, false));
}

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn a_closed_store_has_committed_what_waited_and_takes_no_more() {
    let options = options(1);
    let store = MongoStore::open(options.clone()).await.unwrap();
    let waiting: Vec<_> = (0..50)
        .map(|n| store.append(numbered(n + 1, n as u64)))
        .collect();
    let wait = tokio::spawn({
        let store = store.clone();
        async move {
            store
                .wait_past(Partition::new(0), Position::new(1_000))
                .await
        }
    });
    store.close().await;
    for (append, n) in waiting.into_iter().zip(1..) {
        assert_eq!(append.await.unwrap().at.position.get(), n);
    }
    let refused = store.append(numbered(99, 50)).await;
    assert!(
        matches!(refused, Err(AppendError::Store { .. })),
        "{refused:?}"
    );
    let waited = wait.await.unwrap();
    assert!(matches!(waited, Err(ReadError::Store { .. })), "{waited:?}");
}

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn what_another_process_appends_wakes_and_is_seen() {
    let options = options(1);
    let one = MongoStore::open(options.clone()).await.unwrap();
    let other = MongoStore::open(options).await.unwrap();
    let partition = Partition::new(0);
    for n in 0..5_u64 {
        let waiting = tokio::spawn({
            let other = other.clone();
            async move { other.wait_past(partition, Position::new(n)).await }
        });
        one.append(numbered(u128::from(n) + 1, n)).await.unwrap();
        let woken = tokio::time::timeout(Duration::from_secs(10), waiting).await;
        woken.unwrap().unwrap().unwrap();
        assert_eq!(other.head(partition).await.unwrap().get(), n + 1);
    }
    // Its cached head is old by now, and what it confirms is not.
    let exactly = |version| ExpectedVersion::Exact(Version::new(version));
    other.confirm(&stream(1), exactly(5)).await.unwrap();
    one.append(numbered(6, 5)).await.unwrap();
    let stale = other.confirm(&stream(1), exactly(5)).await;
    assert!(matches!(stale, Err(AppendError::Conflict { actual, .. }) if actual.get() == 6));
    let stale = other.append(numbered(7, 5)).await;
    assert!(matches!(stale, Err(AppendError::Conflict { actual, .. }) if actual.get() == 6));
    assert_eq!(
        other
            .append(numbered(7, 6))
            .await
            .unwrap()
            .at
            .position
            .get(),
        7
    );
}

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn a_missing_commit_is_corruption_and_not_the_end() {
    let options = options(1);
    let store = MongoStore::open(options.clone()).await.unwrap();
    for n in 0..3 {
        store.append(numbered(n + 1, n as u64)).await.unwrap();
    }
    let log = collection(&options, "log_0").await;
    log.delete_one(doc! { "_id": 2_i64 }).await.unwrap();
    let read = store
        .read_partition(Partition::new(0), Position::START, 10)
        .await;
    assert!(
        matches!(&read, Err(ReadError::Corrupt { at, .. }) if at.position.get() == 3),
        "{read:?}"
    );
    let read = store.read_stream(&stream(1), Version::EMPTY, 10).await;
    assert!(matches!(read, Err(ReadError::Corrupt { .. })), "{read:?}");
    let nonsense = doc! { "$set": { "s": "no stream name" } };
    log.update_one(doc! { "_id": 1_i64 }, nonsense)
        .await
        .unwrap();
    let read = store
        .read_partition(Partition::new(0), Position::START, 1)
        .await;
    assert!(matches!(read, Err(ReadError::Corrupt { .. })), "{read:?}");
}

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn a_document_that_no_server_takes_is_refused_before_it_is_numbered() {
    let store = open(1).await;
    let mut large = numbered(1, 0);
    let event = large.events[0].clone();
    large.events = (0..1_000)
        .map(|_| {
            let mut event = event.clone();
            event.event_type = EventType::new("x".repeat(20_000), 1);
            event
        })
        .collect();
    let refused = store.append(large).await;
    let too_large = matches!(
        refused,
        Err(AppendError::Invalid(InvalidCommit::TooLarge { .. }))
    );
    assert!(too_large, "{refused:?}");
    assert_eq!(
        store
            .append(numbered(1, 0))
            .await
            .unwrap()
            .at
            .position
            .get(),
        1
    );
}

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn a_snapshot_larger_than_a_document_comes_back_and_leaves_no_pieces() {
    let options = options(1);
    let store = MongoStore::open(options.clone()).await.unwrap();
    let snapshot = |version: u64, len: u32| Snapshot {
        stream: stream(1),
        version: Version::new(version),
        at: LogPosition::new(Partition::new(0), Position::new(version)),
        schema: EventType::new("thing", 1),
        encoding: Encoding::Json,
        payload: Bytes::from((0..len).map(|n| (n % 251) as u8).collect::<Vec<_>>()),
    };
    let chunks = collection(&options, "snapshot_chunks").await;
    let count = || async { chunks.count_documents(doc! {}).await.unwrap() };
    let large = snapshot(6, 17_000_000);
    store.save(large.clone()).await.unwrap();
    assert!(store.load(&stream(1)).await.unwrap() == Some(large.clone()));
    assert_eq!(count().await, 3);
    // An older one does not replace it, nor does it leave anything behind.
    store.save(snapshot(4, 9_000_000)).await.unwrap();
    assert!(store.load(&stream(1)).await.unwrap() == Some(large));
    assert_eq!(count().await, 3);
    store.save(snapshot(7, 10)).await.unwrap();
    assert_eq!(store.load(&stream(1)).await.unwrap(), Some(snapshot(7, 10)));
    assert_eq!(count().await, 0);
}
