//! The strictness of the reference.

use std::sync::Arc;

use super::{Pages, ZERO, seen};
use crate::log::ReadLog;
use crate::position::Position;
use crate::projection::{ApplyError, Batch, Checkpoint, EventRef, Projection};

#[tokio::test]
async fn the_memory_store_refuses_a_batch_that_breaks_the_rules() {
    let log = Pages::default();
    log.append("a-1", &[("other", "ok")]);
    let commits = log.read_partition(ZERO, Position::START, 9).await.unwrap();
    let store = seen(&Arc::default());
    let event = EventRef {
        commit: 0,
        event: 0,
    };
    let mut batch = Batch {
        partition: ZERO,
        expected: Checkpoint::default(),
        position: Position::new(1),
        commits: (&commits).into(),
        apply: &[event],
        park: &[],
    };
    assert!(matches!(
        store.apply(&batch).await,
        Err(ApplyError::Store { .. })
    ));
    batch.apply = &[];
    batch.expected.epoch = 1;
    assert!(matches!(store.apply(&batch).await, Err(ApplyError::Stale)));
    batch.expected.epoch = 0;
    store.apply(&batch).await.unwrap();
    assert!(matches!(store.apply(&batch).await, Err(ApplyError::Stale)));
}
