//! Beginnings, commands that come again, and preconditions.

use cqrs_core::{DispatchError, Handler, Identity, MemoryStore, Precondition, ReplayMark, Version};

use super::{Add, Begin, TooMuch, envelope, executor, rival, sum};

#[tokio::test]
async fn a_beginning_reads_nothing_and_a_wrong_one_is_decided_again() {
    let store = MemoryStore::new(1);
    let tally = executor(store.clone());
    assert_eq!(
        tally
            .handle(Begin("new"), &envelope())
            .await
            .unwrap()
            .version,
        1
    );
    assert_eq!(tally.stats().loads, 0);

    rival(&store, "old", 10).await;
    let refused = tally.handle(Begin("old"), &envelope()).await;
    assert!(matches!(refused, Err(DispatchError::Refused(TooMuch(10)))));
    assert_eq!(sum(&store, "old").await, 10);
}

#[tokio::test]
async fn a_repeat_gets_the_first_reply_and_is_marked() {
    let store = MemoryStore::new(1);
    let first = envelope().with_identity(Identity::Derived);
    let reply = executor(store.clone())
        .handle(Add("a", 600_000), &first)
        .await
        .unwrap();
    assert!(!first.replayed.is_set());
    for tally in [executor(store.clone()), executor(store.clone())] {
        // Decided anew, it would be refused: the sum is too high for a second one.
        let mut again = first.clone();
        again.replayed = ReplayMark::watched();
        let repeated = tally.handle(Add("a", 600_000), &again).await.unwrap();
        assert_eq!(repeated, reply);
        assert!(again.replayed.is_set());
    }
    assert_eq!(sum(&store, "a").await, 600_000);
}

#[tokio::test]
async fn an_id_used_for_another_stream_is_refused() {
    let store = MemoryStore::new(1);
    let tally = executor(store);
    let envelope = envelope().with_identity(Identity::Derived);
    tally.handle(Add("a", 1), &envelope).await.unwrap();
    let other = tally.handle(Add("b", 1), &envelope).await;
    assert!(matches!(other, Err(DispatchError::KeyReused)));
}

#[tokio::test]
async fn a_precondition_is_part_of_the_decision() {
    let tally = executor(MemoryStore::new(1));
    let exactly = |n| envelope().with_precondition(Precondition::Exact(Version::new(n)));
    tally.handle(Add("a", 1), &exactly(0)).await.unwrap();
    let stale = tally.handle(Add("a", 1), &exactly(0)).await;
    assert!(matches!(
        stale,
        Err(DispatchError::VersionMismatch { actual, .. }) if actual == Version::new(1)
    ));
    let absent = envelope().with_precondition(Precondition::Exists);
    let absent = tally.handle(Add("none", 1), &absent).await;
    assert!(matches!(absent, Err(DispatchError::VersionMismatch { .. })));
}
