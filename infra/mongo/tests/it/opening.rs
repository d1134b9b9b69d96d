//! What is opened, and what is refused.

use cqrs_core::{AppendToLog, ExpectedVersion, Partition, Position};
use cqrs_mongo::{MongoOptions, MongoStore, OpenError};
use mongodb::bson::{Bson, Document, doc};
use uuid::Uuid;

use crate::kit::{collection, commit, options, stream};

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn an_identity_stays_and_is_its_own() {
    let options = options(2);
    let first = MongoStore::open(options.clone()).await.unwrap();
    let again = MongoStore::open(options).await.unwrap();
    assert_eq!(first.store_id(), again.store_id());
    assert_eq!(first.namespace(), again.namespace());
    assert_ne!(first.store_id(), first.namespace());
    let other = crate::kit::open(2).await;
    assert_ne!(first.namespace(), other.namespace());
}

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn how_far_the_log_is_known_is_told_without_asking() {
    let store = crate::kit::open(1).await;
    assert_eq!(store.seen_head(Partition::new(0)), Position::START);
    let commit = commit(
        Uuid::from_u128(1),
        &stream(1),
        ExpectedVersion::NoStream,
        &["{}"],
    );
    let appended = store.append(commit).await.unwrap();
    assert_eq!(store.seen_head(Partition::new(0)), appended.at.position);
}

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn several_that_make_a_store_at_once_make_one() {
    let options = options(1);
    let opened = (0..4).map(|_| tokio::spawn(MongoStore::open(options.clone())));
    let opened: Vec<_> = opened.collect();
    let mut ids = Vec::new();
    for store in opened {
        ids.push(store.await.unwrap().unwrap().namespace());
    }
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
}

/// What opening says once the store document's `field` is `value`.
async fn refused(field: &str, value: impl Into<Bson>) -> OpenError {
    let options = options(2);
    MongoStore::open(options.clone())
        .await
        .unwrap()
        .close()
        .await;
    let store = collection(&options, "store").await;
    let set = doc! { "$set": { field: value.into() } };
    store.update_one(doc! {}, set).await.unwrap();
    MongoStore::open(options).await.unwrap_err()
}

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn a_store_of_another_shape_is_refused() {
    let error = refused("partitions", 3_i64).await;
    assert!(
        matches!(error, OpenError::Partitions { found: 3, asked: 2 }),
        "{error:?}"
    );
    let error = refused("partition_hash", "crc32").await;
    assert!(matches!(&error, OpenError::PartitionHash { found, .. } if found == "crc32"));
    let error = refused("layout", 2_i64).await;
    assert!(
        matches!(error, OpenError::UnknownVersion { found: 2, known: 1 }),
        "{error:?}"
    );
    let error = refused("namespace", "none").await;
    assert!(matches!(error, OpenError::Damaged { .. }), "{error:?}");
}

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn commits_without_a_store_document_are_refused() {
    let options = options(1);
    let store = MongoStore::open(options.clone()).await.unwrap();
    let first = commit(
        Uuid::from_u128(1),
        &stream(1),
        ExpectedVersion::Any,
        &["{}"],
    );
    store.append(first).await.unwrap();
    store.close().await;
    let documents = collection(&options, "store").await;
    documents.delete_many(doc! {}).await.unwrap();
    let error = MongoStore::open(options).await.unwrap_err();
    assert!(matches!(error, OpenError::Foreign { .. }), "{error:?}");
}

#[tokio::test]
#[ignore = "needs MONGODB_URI"]
async fn a_log_without_its_indexes_is_refused_and_missing_ones_are_made() {
    let options = options(1);
    let store = MongoStore::open(options.clone()).await.unwrap();
    let first = commit(
        Uuid::from_u128(1),
        &stream(1),
        ExpectedVersion::Any,
        &["{}"],
    );
    store.append(first).await.unwrap();
    store.close().await;
    let log = collection(&options, "log_0").await;
    log.drop_index("slot").await.unwrap();
    MongoStore::open(options.clone())
        .await
        .unwrap()
        .close()
        .await;
    let names = log.list_index_names().await.unwrap();
    assert!(names.iter().any(|name| name == "slot"), "{names:?}");
    // Two commits at one version: the index cannot be made.
    log.drop_index("slot").await.unwrap();
    let first = log.find_one(doc! {}).await.unwrap().unwrap();
    let mut twice = Document::try_from(first).unwrap();
    twice.insert("_id", 2_i64);
    twice.insert("c", "another");
    log.clone_with_type().insert_one(twice).await.unwrap();
    let error = MongoStore::open(options).await.unwrap_err();
    assert!(
        matches!(error, OpenError::Index { index: "slot", .. }),
        "{error:?}"
    );
}

#[tokio::test]
async fn options_out_of_range_are_named() {
    let options = |change: fn(&mut MongoOptions)| {
        let mut options = MongoOptions::new("mongodb://localhost", "x");
        change(&mut options);
        options
    };
    for (wrong, named) in [
        (options(|o| o.partitions = 0), "partitions"),
        (options(|o| o.partitions = 1_025), "partitions"),
        (options(|o| o.database.clear()), "database"),
        (options(|o| o.pool = 1), "pool"),
        (options(|o| o.group = 0), "group"),
        (options(|o| o.cached_heads = 1), "cached_heads"),
        (
            options(|o| o.uri = "postgres://localhost".to_owned()),
            "uri",
        ),
    ] {
        match MongoStore::open(wrong).await {
            Err(OpenError::Option { name, .. }) => assert_eq!(name, named),
            other => panic!("expected `{named}` to be refused, got {other:?}"),
        }
    }
}
