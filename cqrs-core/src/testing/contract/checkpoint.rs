//! Promises of the checkpoint store.

use crate::position::{Partition, Position};
use crate::projection::CheckpointStore;

const FIRST: Partition = Partition::new(0);

/// Before anything was done.
pub async fn stands_at_the_start(store: impl CheckpointStore) {
    let at = store.load("reader", FIRST).await.unwrap();
    assert_eq!(at, Position::START);
}

/// Compare-and-set: who is wrong about where it stands moves nothing.
pub async fn moves_only_from_where_it_stands(store: impl CheckpointStore) {
    let [two, five] = [2, 5].map(Position::new);
    let advance = |from, to| store.advance("reader", FIRST, from, to);
    assert!(advance(Position::START, two).await.unwrap());
    assert!(!advance(Position::START, five).await.unwrap());
    assert_eq!(store.load("reader", FIRST).await.unwrap(), two);
    assert!(advance(two, five).await.unwrap());
    assert_eq!(store.load("reader", FIRST).await.unwrap(), five);
}

/// Each has its own.
pub async fn keeps_consumers_and_partitions_apart(store: impl CheckpointStore) {
    let to = Position::new(3);
    assert!(
        store
            .advance("a", FIRST, Position::START, to)
            .await
            .unwrap()
    );
    assert_eq!(store.load("b", FIRST).await.unwrap(), Position::START);
    let other = store.load("a", Partition::new(1)).await.unwrap();
    assert_eq!(other, Position::START);
}
