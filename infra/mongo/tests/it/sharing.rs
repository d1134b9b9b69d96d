//! Several stores on one database: what one does, the others see.

use std::time::Duration;

use cqrs_core::{
    AppendToLog, CheckpointStore, ExpectedVersion, Partition, Position, ReadLog, TailLog,
};
use cqrs_mongo::{MongoOptions, MongoStore, Tailing};
use uuid::Uuid;

use crate::kit::{commit, options, stream};

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn who_has_moved_a_book_on_does_not_overlook_another_who_has_since() {
    let options = options(1);
    let first = MongoStore::open(options.clone()).await.unwrap();
    let second = MongoStore::open(options).await.unwrap();
    let partition = Partition::new(0);
    let to = |store: &MongoStore, from, to| {
        let (store, from, to) = (store.clone(), Position::new(from), Position::new(to));
        async move { store.advance("books", partition, from, to).await.unwrap() }
    };
    assert!(to(&first, 0, 1).await && to(&first, 1, 2).await);
    assert!(to(&second, 2, 3).await && to(&second, 3, 2).await);
    // Where it believes to stand it does, but not by its own move.
    assert!(!to(&first, 2, 9).await);
    assert!(to(&first, 2, 4).await);
    let stands = second.load("books", partition).await.unwrap();
    assert_eq!(stands, Position::new(4));
}

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn what_another_process_appends_is_seen_closely_and_loosely() {
    let options = options(2);
    let writer = MongoStore::open(options.clone()).await.unwrap();
    for (tailing, number) in [(Tailing::Close, 0), (Tailing::Loose, 100)] {
        let reader = MongoOptions {
            tailing,
            ..options.clone()
        };
        let reader = MongoStore::open(reader).await.unwrap();
        for n in 1..=6 {
            let stream = stream(format!("{tailing:?}-{n}"));
            let expected = ExpectedVersion::NoStream;
            let head = reader.head(stream.partition(2)).await.unwrap();
            let wait = reader.wait_past(stream.partition(2), head);
            let append = writer.append(commit(
                Uuid::from_u128(number + n),
                &stream,
                expected,
                &["{}"],
            ));
            let both = async { tokio::join!(wait, append) };
            let (waited, appended) = tokio::time::timeout(Duration::from_secs(20), both)
                .await
                .expect("the wait ends");
            waited.unwrap();
            let at = appended.unwrap().at;
            let read = reader.read_partition(at.partition, head, 9).await.unwrap();
            assert_eq!(read.last().map(|commit| commit.at), Some(at));
        }
        reader.close().await;
    }
}
