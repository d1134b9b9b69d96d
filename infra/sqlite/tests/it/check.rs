//! Whether a store says of itself that it does not work.

use cqrs_core::{AppendError, AppendToLog};
use cqrs_sqlite::{CheckError, SqliteOptions, SqliteStore};
use rusqlite::Connection;

use crate::kit::{append, commit, fixture, stream};

/// Lets the file have so many pages, and no more.
async fn limit(store: &SqliteStore, pages: Option<u32>) {
    let limit = move |connection: &Connection| {
        let now: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        let most = pages.map_or(u32::MAX - 1, |more| now + more);
        connection.query_row(&format!("PRAGMA max_page_count={most}"), [], |_| Ok(()))
    };
    store.write(limit).await.unwrap();
}

#[tokio::test]
async fn a_full_disk_shows_until_there_is_room_again() {
    let fixture = fixture();
    let store = fixture.store.clone();
    store.check().await.unwrap();
    limit(&store, Some(1)).await;
    let large = "x".repeat(100_000);
    let refused = store.append(commit(&stream(1), 0, &[&large])).await;
    assert!(
        matches!(refused, Err(AppendError::Store { .. })),
        "{refused:?}"
    );
    // And again: it is found out anew each time.
    for _ in 0..2 {
        let broken = store.check().await;
        assert!(matches!(broken, Err(CheckError::Store(_))), "{broken:?}");
    }
    limit(&store, None).await;
    store.check().await.unwrap();
    append(&store, &stream(1), 0, &[&large]).await;
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_closed_store_and_a_full_queue_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        queue: 1,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(folder.path().join("store.db"), options).unwrap();
    let (open_gate, gate) = std::sync::mpsc::channel::<()>();
    let (at_gate, arrived) = std::sync::mpsc::channel::<()>();
    let busy = store.write(move |_: &Connection| {
        at_gate.send(()).unwrap();
        gate.recv()
    });
    arrived.recv().unwrap();
    let waiting = store.append(commit(&stream(1), 0, &["{}"]));
    let full = store.check().await;
    assert!(matches!(full, Err(CheckError::Overloaded)), "{full:?}");
    open_gate.send(()).unwrap();
    busy.await.unwrap();
    waiting.await.unwrap();
    store.check().await.unwrap();
    store.close().await;
    let closed = store.check().await;
    assert!(matches!(closed, Err(CheckError::Store(_))), "{closed:?}");
}
