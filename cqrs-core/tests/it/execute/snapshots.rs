//! Snapshots: taken when the tail is long, used when they fit.

use std::pin::pin;

use bytes::Bytes;
use cqrs_core::{
    Codec, Encoding, EventType, Executor, ExecutorOptions, MemoryStore, Snapshot, SnapshotStore,
    Version,
};
use futures_util::future::FutureExt;

use super::{Tally, add, rival, stream};

#[tokio::test]
async fn snapshots_are_taken_when_the_tail_is_long_and_used_when_they_fit() {
    let store = MemoryStore::new(1);
    let open = || {
        let options = ExecutorOptions::default();
        Executor::<Tally, _>::with_snapshots(store.clone(), Codec::new(), options, store.clone())
    };
    let tally = open();
    for _ in 0..300 {
        add(&tally, "a", 1).await.unwrap();
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut run = pin!(tally.run_snapshots(async { drop(stopped.await) }));
    assert!(run.as_mut().now_or_never().is_none());
    drop(stop);
    run.await;
    let snapshot = store.load(&stream("a")).await.unwrap().unwrap();
    assert_eq!(&snapshot.payload[..], b"300");
    assert_eq!(snapshot.version, Version::new(300));

    // What the snapshot says is believed as long as it fits its stream …
    let trusted = Snapshot {
        payload: Bytes::from_static(b"1000000"),
        version: Version::new(300),
        schema: EventType::new("tally", 1),
        encoding: Encoding::Json,
        ..snapshot.clone()
    };
    let other = MemoryStore::new(1);
    for _ in 0..300 {
        rival(&other, "a", 1).await;
    }
    other.save(trusted).await.unwrap();
    let from_snapshot: Executor<Tally, _> = Executor::with_snapshots(
        other.clone(),
        Codec::new(),
        ExecutorOptions::default(),
        other.clone(),
    );
    assert!(add(&from_snapshot, "a", 1).await.is_err());

    // … and discarded when it is beyond its end, or of another schema.
    for broken in [
        Snapshot {
            version: Version::new(9_999),
            payload: Bytes::from_static(b"1000000"),
            ..snapshot.clone()
        },
        Snapshot {
            schema: EventType::new("tally", 2),
            payload: Bytes::from_static(b"1000000"),
            ..snapshot.clone()
        },
        Snapshot {
            payload: Bytes::from_static(b"nonsense"),
            ..snapshot
        },
    ] {
        let other = MemoryStore::new(1);
        rival(&other, "a", 1).await;
        other.save(broken).await.unwrap();
        let tally: Executor<Tally, _> = Executor::with_snapshots(
            other.clone(),
            Codec::new(),
            ExecutorOptions::default(),
            other.clone(),
        );
        assert_eq!(add(&tally, "a", 1).await.unwrap().version, 2);
    }
}
