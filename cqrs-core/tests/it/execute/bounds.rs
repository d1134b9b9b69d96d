//! Queues, caches and panics: what goes wrong stays where it is.

use std::panic::AssertUnwindSafe;

use cqrs_core::{Codec, DispatchError, Executor, ExecutorOptions, MemoryStore};
use futures_util::future::{FutureExt, join_all};

use super::gated::Gated;
use super::{Tally, add, executor, sum};

#[tokio::test]
async fn the_queue_of_a_stream_is_bounded() {
    let log = Gated::new(true);
    let options = ExecutorOptions {
        stream_queue: 3,
        ..ExecutorOptions::default()
    };
    let tally: Executor<Tally, _> = Executor::new(log.clone(), Codec::new(), options);
    add(&tally, "a", 1).await.unwrap();
    log.close();
    let mut queued: Vec<_> = (0..3).map(|_| Box::pin(add(&tally, "a", 1))).collect();
    for command in &mut queued {
        assert!(command.as_mut().now_or_never().is_none());
    }
    assert!(matches!(
        add(&tally, "a", 1).await,
        Err(DispatchError::Overloaded)
    ));
    log.open();
    assert!(join_all(queued).await.iter().all(Result::is_ok));
    assert_eq!(sum(&log.store, "a").await, 4);
}

#[tokio::test]
async fn the_cache_is_bounded_by_weight() {
    let options = ExecutorOptions {
        cache_bytes: 10_000,
        shards: 1,
        ..ExecutorOptions::default()
    };
    let tally: Executor<Tally, _> = Executor::new(MemoryStore::new(1), Codec::new(), options);
    let ids: Vec<&'static str> = (0..50)
        .map(|n| &*Box::leak(n.to_string().into_boxed_str()))
        .collect();
    for id in &ids {
        add(&tally, id, 1).await.unwrap();
        assert!(tally.stats().cached_bytes <= 10_000);
    }
    assert!(tally.stats().cached_bytes > 5_000, "it is used");
    assert_eq!(add(&tally, ids[0], 1).await.unwrap().version, 2);
}

#[tokio::test]
async fn a_stream_that_weighs_more_than_the_cache_is_decided_all_the_same() {
    let store = MemoryStore::new(1);
    let options = ExecutorOptions {
        cache_bytes: 1,
        shards: 1,
        ..ExecutorOptions::default()
    };
    for version in 1..=3 {
        // Each loads what the one before has left.
        let tally: Executor<Tally, _> = Executor::new(store.clone(), Codec::new(), options);
        assert_eq!(add(&tally, "a", 1).await.unwrap().version, version);
        assert_eq!(add(&tally, "b", 1).await.unwrap().version, version);
    }
}

#[tokio::test]
async fn a_panic_in_a_fold_evicts_the_stream_and_nothing_else() {
    let tally = executor(MemoryStore::new(1));
    add(&tally, "a", 600).await.unwrap();
    let beast = AssertUnwindSafe(add(&tally, "a", 66)).catch_unwind().await;
    assert!(beast.is_err());
    // The event landed, so the stream cannot be folded any more; others can.
    let again = AssertUnwindSafe(add(&tally, "a", 1)).catch_unwind().await;
    assert!(again.is_err());
    add(&tally, "b", 1).await.unwrap();
}
