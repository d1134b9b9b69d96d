//! Promises of the snapshot store.

use bytes::Bytes;

use crate::codec::{Encoding, EventType};
use crate::position::{LogPosition, Partition, Position};
use crate::snapshot::{Snapshot, SnapshotStore};
use crate::version::Version;

use super::stream;

fn snapshot(version: u64, schema: u32, payload: impl Into<Bytes>) -> Snapshot {
    Snapshot {
        stream: stream(1),
        version: Version::new(version),
        at: LogPosition::new(Partition::new(0), Position::new(version)),
        schema: EventType::new("state", schema),
        encoding: Encoding::Json,
        payload: payload.into(),
    }
}

/// Nothing is there.
pub async fn has_none_at_first(store: impl SnapshotStore) {
    assert_eq!(store.load(&stream(1)).await.unwrap(), None);
}

/// An older one does not replace it; streams do not mix.
pub async fn keeps_the_newest(store: impl SnapshotStore) {
    for version in [5, 9, 7] {
        let payload = version.to_string().into_bytes();
        store.save(snapshot(version, 1, payload)).await.unwrap();
    }
    let kept = store.load(&stream(1)).await.unwrap();
    assert_eq!(kept, Some(snapshot(9, 1, "9")));
    assert_eq!(store.load(&stream(2)).await.unwrap(), None);
}

/// Even at a lower version: whoever wrote it could not use the other.
pub async fn another_schema_replaces(store: impl SnapshotStore) {
    store.save(snapshot(9, 1, "old")).await.unwrap();
    store.save(snapshot(5, 2, "new")).await.unwrap();
    let kept = store.load(&stream(1)).await.unwrap();
    assert_eq!(kept, Some(snapshot(5, 2, "new")));
}

/// Five megabytes, unchanged.
pub async fn keeps_a_large_one(store: impl SnapshotStore) {
    let payload: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    let large = snapshot(1, 1, payload);
    store.save(large.clone()).await.unwrap();
    assert_eq!(store.load(&stream(1)).await.unwrap(), Some(large));
}
