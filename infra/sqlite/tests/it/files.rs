//! One file: whose it is, who has it open, what a copy of it holds.

use std::fs;

use cqrs_core::{AppendToLog, Partition, Position, ReadLog, Version};
use cqrs_sqlite::{BackupError, OpenError, SqliteOptions, SqliteStore, backup_file};
use rusqlite::Connection;

use crate::kit::{append, commit, fixture, open, stream};

#[tokio::test]
async fn a_reopened_store_goes_on_where_it_was() {
    let fixture = fixture();
    let (store_id, namespace) = (fixture.store.store_id(), fixture.store.namespace());
    let stream = stream(1);
    append(&fixture.store, &stream, 0, &["1", "2"]).await;
    fixture.store.close().await;
    let closed = fixture.store.append(commit(&stream, 2, &["3"])).await;
    assert!(closed.is_err(), "a closed store takes nothing");
    drop(fixture.store);

    let store = open(&fixture.folder, 1);
    assert_eq!((store.store_id(), store.namespace()), (store_id, namespace));
    let appended = append(&store, &stream, 2, &["3"]).await;
    assert_eq!(appended.at.position, Position::new(2));
    let commits = store.read_stream(&stream, Version::EMPTY, 100).await;
    assert_eq!(commits.unwrap().len(), 2);
}

#[tokio::test]
async fn dropping_the_last_clone_does_what_waits() {
    let fixture = fixture();
    let stream = stream(1);
    drop(fixture.store.append(commit(&stream, 0, &["1"])));
    drop(fixture.store);
    let store = open(&fixture.folder, 1);
    let commits = store.read_stream(&stream, Version::EMPTY, 100).await;
    assert_eq!(commits.unwrap().len(), 1);
}

#[test]
fn a_foreign_file_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("other.db");
    Connection::open(&database)
        .unwrap()
        .execute_batch("CREATE TABLE t (x)")
        .unwrap();
    let text = folder.path().join("notes.txt");
    fs::write(&text, "not a database").unwrap();
    for path in [database, text] {
        let before = fs::read(&path).unwrap();
        let refused = SqliteStore::open(&path, SqliteOptions::default());
        assert!(
            matches!(refused, Err(OpenError::Foreign { .. })),
            "{refused:?}"
        );
        assert_eq!(fs::read(&path).unwrap(), before);
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[tokio::test]
async fn a_newer_version_is_refused() {
    let fixture = fixture();
    let path = fixture.folder.path().join("store.db");
    fixture.store.close().await;
    drop(fixture.store);
    let connection = Connection::open(&path).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    let refused = SqliteStore::open(&path, SqliteOptions::default());
    let expected = matches!(refused, Err(OpenError::UnknownVersion { found: 99, .. }));
    assert!(expected, "{refused:?}");
}

#[test]
fn a_store_in_use_is_refused_until_it_is_closed() {
    let fixture = fixture();
    let path = fixture.folder.path().join("store.db");
    let refused = SqliteStore::open(&path, SqliteOptions::default());
    assert!(
        matches!(refused, Err(OpenError::InUse { .. })),
        "{refused:?}"
    );
    drop(fixture.store);
    SqliteStore::open(&path, SqliteOptions::default()).unwrap();
}

#[test]
fn another_number_of_partitions_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(&folder, 4));
    let refused = SqliteStore::open(folder.path().join("store.db"), SqliteOptions::default());
    let expected = matches!(refused, Err(OpenError::Partitions { found: 4, asked: 1 }));
    assert!(expected, "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_writes_is_a_store_of_one_moment() {
    let fixture = fixture();
    let writer = {
        let store = fixture.store.clone();
        tokio::spawn(async move {
            for version in 0..500 {
                append(&store, &stream(1), version, &["{}"]).await;
            }
        })
    };
    fixture
        .store
        .append(commit(&stream(2), 0, &["{}"]))
        .await
        .unwrap();
    let copy = tempfile::tempdir().unwrap();
    let to = copy.path().join("store.db");
    fixture.store.backup(&to).await.unwrap();
    let again = fixture.store.backup(&to).await;
    assert!(
        matches!(again, Err(BackupError::Exists { .. })),
        "{again:?}"
    );
    // As another process would, without the lock.
    backup_file(
        &fixture.folder.path().join("store.db"),
        &copy.path().join("b.db"),
    )
    .unwrap();
    writer.await.unwrap();

    let store = open(&copy, 1);
    assert_eq!(store.store_id(), fixture.store.store_id());
    let found = store.read_stream(&stream(2), Version::EMPTY, 10).await;
    assert_eq!(found.unwrap().len(), 1);
    let all = store.read_partition(Partition::default(), Position::START, 1_000);
    let next = all.await.unwrap().len() as u64 + 1;
    let appended = append(&store, &stream(3), 0, &["{}"]).await;
    assert_eq!(appended.at.position, Position::new(next));
}
