//! Decisions on what is not durable yet: batches, lost predecessors, callers that go away.

use std::pin::pin;
use std::task::Poll;

use cqrs_core::{DispatchError, Outcome};
use futures_util::future::{FutureExt, join, join_all, poll_fn};

use super::gated::Gated;
use super::{TooMuch, add, executor, rival, sum};

#[tokio::test]
async fn a_hot_stream_lands_whole_and_without_a_conflict() {
    let log = Gated::new(false);
    let tally = executor(log.clone());
    let commands = join_all((0..500).map(|_| add(&tally, "hot", 1)));
    let open = async { log.open() };
    let (replies, ()) = join(commands, open).await;
    let mut versions: Vec<u64> = replies
        .iter()
        .map(|r| r.as_ref().unwrap().version)
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=500).collect::<Vec<_>>());
    assert_eq!(tally.stats().conflicts, 0);
    assert_eq!(sum(&log.store, "hot").await, 500);
}

#[tokio::test]
async fn no_answer_is_given_before_it_is_durable_not_even_a_refusal() {
    let log = Gated::new(true);
    let tally = executor(log.clone());
    add(&tally, "a", 999_999).await.unwrap();
    log.close();
    let mut commit = pin!(add(&tally, "a", 1));
    let mut refusal = pin!(add(&tally, "a", 1));
    let mut nothing = pin!(add(&tally, "a", 0));
    poll_fn(|cx| {
        assert!(commit.as_mut().poll(cx).is_pending());
        assert!(refusal.as_mut().poll(cx).is_pending());
        assert!(nothing.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    log.open();
    assert_eq!(commit.await.unwrap().version, 2);
    assert!(matches!(
        refusal.await,
        Err(DispatchError::Refused(TooMuch(1_000_001)))
    ));
    let nothing = nothing.await.unwrap();
    assert_eq!(
        (nothing.outcome, nothing.version, nothing.at.position.get()),
        (Outcome::Nothing, 2, 2)
    );
}

#[tokio::test]
async fn a_lost_predecessor_takes_its_successors_with_it_and_all_can_be_decided_again() {
    let log = Gated::new(true);
    let tally = executor(log.clone());
    add(&tally, "a", 1).await.unwrap();
    rival(&log.store, "a", 10).await;
    log.close();
    let lost = join_all((0..3).map(|_| add(&tally, "a", 1)));
    let (lost, ()) = join(lost, async { log.open() }).await;
    assert!(
        lost.iter()
            .all(|r| matches!(r, Err(DispatchError::Conflict { .. })))
    );
    assert_eq!(add(&tally, "a", 1).await.unwrap().version, 3);
    assert_eq!(sum(&log.store, "a").await, 12);
}

#[tokio::test]
async fn a_refusal_on_a_state_that_never_came_to_be_is_not_given() {
    let log = Gated::new(true);
    let tally = executor(log.clone());
    add(&tally, "a", 1).await.unwrap();
    rival(&log.store, "a", 10).await;
    log.close();
    let both = join(add(&tally, "a", 999_999), add(&tally, "a", 5));
    let ((lost, refusal), ()) = join(both, async { log.open() }).await;
    assert!(matches!(lost, Err(DispatchError::Conflict { .. })));
    assert!(matches!(refusal, Err(DispatchError::Conflict { .. })));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_stream_sound() {
    let log = Gated::new(true);
    let tally = executor(log.clone());
    add(&tally, "a", 1).await.unwrap();
    log.close();
    {
        let mut gone = pin!(add(&tally, "a", 1));
        assert!(gone.as_mut().now_or_never().is_none());
    }
    log.open();
    let next = add(&tally, "a", 1).await.unwrap();
    assert_eq!(next.version, 3);
    assert_eq!(tally.stats().loads, 2, "it was evicted and read again");
}

#[tokio::test]
async fn when_a_loader_goes_away_the_next_one_loads() {
    let log = Gated::new(false);
    let tally = executor(log.clone());
    let mut second = pin!(add(&tally, "a", 1));
    {
        let mut first = pin!(add(&tally, "a", 1));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
    }
    log.open();
    assert_eq!(second.await.unwrap().version, 1);
}
