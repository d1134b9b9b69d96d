//! The rows of the failure table, one by one.

use cqrs_core::{AppendError, Appended, ExpectedVersion};
use tokio::time::timeout;

use super::harness::{Answer, GIVE_UP, Harness, after, command, exactly, rival, stream};
use super::memory::{Fault, MemoryEngine};

/// Position, version, and whether it is a repeat.
async fn landed(answer: Answer<Appended>) -> (u64, u64, bool) {
    let appended = answer.await.unwrap().unwrap();
    let (at, version) = (appended.at.position.get(), appended.version.get());
    (at, version, appended.repeated)
}

async fn conflicted(answer: Answer<Appended>) -> u64 {
    match answer.await.unwrap() {
        Err(AppendError::Conflict { actual, .. }) => actual.get(),
        other => panic!("expected a conflict, got {other:?}"),
    }
}

fn streams_of(engine: &MemoryEngine) -> Vec<String> {
    let state = engine.state();
    let log = state.log.values();
    log.map(|stub| format!("{}:{}", stub.stream.id(), stub.first))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn an_attempt_is_repeated_until_its_outcome_is_known() {
    for faults in [
        vec![Fault::Before],
        vec![Fault::After],
        vec![Fault::Partly(1)],
        vec![Fault::Late],
        vec![
            Fault::Partly(2),
            Fault::Before,
            Fault::Partly(1),
            Fault::After,
        ],
    ] {
        let engine = MemoryEngine::script(faults.clone());
        let committer = Harness::start(&engine, 1);
        let first = committer.append(1, &stream(1), exactly(0));
        let second = committer.append(2, &stream(1), after(1, 1));
        let third = committer.append(3, &stream(2), exactly(0));
        assert_eq!(landed(first).await, (1, 1, false), "{faults:?}");
        assert_eq!(landed(second).await, (2, 2, false), "{faults:?}");
        assert_eq!(landed(third).await, (3, 1, false), "{faults:?}");
        committer.end().await;
        // However late the attempts that were given up arrive.
        while engine.state().arrive() {}
        assert_eq!(streams_of(&engine), ["1:1", "1:2", "2:1"], "{faults:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_loses_a_position_is_numbered_anew() {
    let engine = MemoryEngine::script([]);
    let committer = Harness::start(&engine, 1);
    assert_eq!(
        landed(committer.append(1, &stream(1), exactly(0))).await.0,
        1
    );
    rival(&engine, 100, &stream(9));
    rival(&engine, 101, &stream(9));
    let first = committer.append(2, &stream(1), exactly(1));
    let second = committer.append(3, &stream(2), exactly(0));
    assert_eq!(landed(first).await, (4, 2, false));
    assert_eq!(landed(second).await, (5, 1, false));
    committer.end().await;
}

#[tokio::test(start_paused = true)]
async fn who_loses_its_version_takes_its_streams_later_commits_with_it() {
    let engine = MemoryEngine::script([]);
    let committer = Harness::start(&engine, 1);
    assert_eq!(
        landed(committer.append(1, &stream(1), exactly(0))).await.0,
        1
    );
    rival(&engine, 100, &stream(1));
    let lost = committer.append(2, &stream(1), exactly(1));
    // Decided on a state that never came to be, although the numbers fit.
    let later = committer.append(3, &stream(1), exactly(2));
    let other = committer.append(4, &stream(2), exactly(0));
    // In the queue, not in the batch: the batch holds eight.
    let filler: Vec<_> = (0..8)
        .map(|n| committer.append(10 + n, &stream(10 + n), exactly(0)))
        .collect();
    let queued = committer.append(5, &stream(1), ExpectedVersion::Any);
    assert_eq!(conflicted(lost).await, 2);
    assert_eq!(conflicted(later).await, 2);
    assert_eq!(conflicted(queued).await, 2);
    assert_eq!(landed(other).await, (3, 1, false));
    for answer in filler {
        assert_eq!(landed(answer).await.1, 1);
    }
    // Decided again.
    let again = committer.append(6, &stream(1), exactly(2));
    assert_eq!(landed(again).await.1, 3);
    committer.end().await;
}

#[tokio::test(start_paused = true)]
async fn until_it_is_answered_who_lost_its_version_takes_later_ones_with_it() {
    let engine = MemoryEngine::script([]);
    let committer = Harness::start(&engine, 1);
    assert_eq!(
        landed(committer.append(1, &stream(1), exactly(0))).await.0,
        1
    );
    rival(&engine, 100, &stream(1));
    let reads = engine.state().reads;
    let lost = committer.append(2, &stream(1), exactly(1));
    // It is read what stands at its position. Then it is looked for by its command, which takes a while.
    while engine.state().reads == reads {
        tokio::task::yield_now().await;
    }
    engine.state().failing_reads = 3;
    while engine.state().failing_reads == 3 {
        tokio::task::yield_now().await;
    }
    let later = committer.append(3, &stream(1), exactly(2));
    let other = committer.append(4, &stream(2), exactly(0));
    assert_eq!(conflicted(lost).await, 2);
    assert_eq!(conflicted(later).await, 2);
    assert_eq!(landed(other).await, (3, 1, false));
    let again = committer.append(5, &stream(1), exactly(2));
    assert_eq!(landed(again).await.1, 3);
    committer.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_others_appended_and_the_caller_has_read_is_no_conflict() {
    let engine = MemoryEngine::script([]);
    let committer = Harness::start(&engine, 1);
    assert_eq!(
        landed(committer.append(1, &stream(1), exactly(0))).await.0,
        1
    );
    // Nobody appends anything else here, so that nothing is met that would tell of it.
    rival(&engine, 100, &stream(1));
    let next = committer.append(2, &stream(1), exactly(2));
    assert_eq!(landed(next).await, (3, 3, false));
    rival(&engine, 101, &stream(1));
    let next = committer.append(3, &stream(1), after(4, 101));
    let behind = committer.append(4, &stream(1), after(5, 3));
    assert_eq!(landed(next).await, (5, 5, false));
    assert_eq!(landed(behind).await, (6, 6, false));
    // A version that is not there yet stays a conflict.
    assert!(matches!(
        committer.append(7, &stream(1), exactly(99)).await.unwrap(),
        Err(AppendError::Conflict { .. })
    ));
    committer.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_thought_empty_is_a_conflict() {
    let engine = MemoryEngine::script([]);
    rival(&engine, 100, &stream(1));
    let committer = Harness::start(&engine, 1);
    let lost = committer.append(1, &stream(1), ExpectedVersion::NoStream);
    let other = committer.append(2, &stream(2), exactly(0));
    assert_eq!(conflicted(lost).await, 1);
    assert_eq!(landed(other).await, (2, 1, false));
    committer.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_repeat_fails_what_follows_in_its_stream_and_moves_the_others_up() {
    let engine = MemoryEngine::script([]);
    rival(&engine, 1, &stream(1));
    let committer = Harness::start(&engine, 1);
    let repeat = committer.append(1, &stream(1), ExpectedVersion::Any);
    let later = committer.append(2, &stream(1), ExpectedVersion::Any);
    let other = committer.append(3, &stream(2), exactly(0));
    // In the queue, not in the batch: the batch holds eight.
    let filler: Vec<_> = (0..5)
        .map(|n| committer.append(10 + n, &stream(10 + n), exactly(0)))
        .collect();
    let queued = committer.append(4, &stream(1), ExpectedVersion::Any);
    assert_eq!(landed(repeat).await, (1, 1, true));
    assert_eq!(conflicted(later).await, 1);
    assert_eq!(conflicted(queued).await, 1);
    assert_eq!(landed(other).await, (2, 1, false));
    for answer in filler {
        assert_eq!(landed(answer).await.1, 1);
    }
    committer.end().await;
}

#[tokio::test(start_paused = true)]
async fn the_same_command_from_elsewhere_at_the_same_position_is_a_repeat() {
    // Lost without a trace; meanwhile another process appends the same command there.
    let engine = MemoryEngine::script([Fault::Before]);
    let committer = Harness::start(&engine, 1);
    let repeat = committer.append(1, &stream(1), exactly(0));
    let later = committer.append(2, &stream(1), after(1, 1));
    while engine.state().inserts == 0 {
        tokio::task::yield_now().await;
    }
    rival(&engine, 1, &stream(1));
    assert_eq!(landed(repeat).await, (1, 1, true));
    assert_eq!(conflicted(later).await, 1);
    committer.end().await;
    assert_eq!(streams_of(&engine), ["1:1"]);
}

#[tokio::test(start_paused = true)]
async fn past_the_limit_callers_are_told_and_nothing_is_numbered_before_it_is_settled() {
    let engine = MemoryEngine::script([Fault::Late; 40]);
    let committer = Harness::start(&engine, 1);
    let unknown = committer.append(1, &stream(1), exactly(0));
    let answer = unknown.await.unwrap();
    assert!(
        matches!(answer, Err(AppendError::Store { .. })),
        "{answer:?}"
    );
    let waiting = committer.append(2, &stream(2), exactly(0));
    let waited = tokio::time::Instant::now();
    let answer = waiting.await.unwrap();
    assert!(
        matches!(answer, Err(AppendError::Store { .. })),
        "{answer:?}"
    );
    assert!(waited.elapsed() >= GIVE_UP);
    assert!(engine.state().log.is_empty());
    // The server comes back: one of the attempts arrives, and only then is the next one numbered.
    engine.state().script.clear();
    let next = committer.append(3, &stream(2), exactly(0));
    assert_eq!(landed(next).await, (2, 1, false));
    // The retry is the identical call.
    assert_eq!(
        landed(committer.append(1, &stream(1), exactly(0))).await,
        (1, 1, true)
    );
    committer.end().await;
    while engine.state().arrive() {}
    assert_eq!(streams_of(&engine), ["1:1", "2:1"]);
}

#[tokio::test(start_paused = true)]
async fn before_anything_is_numbered_a_failure_leaves_nothing() {
    let engine = MemoryEngine::script([]);
    engine.state().failing_reads = 1_000;
    let committer = Harness::start(&engine, 1);
    let answer = committer.append(1, &stream(1), exactly(7)).await.unwrap();
    assert!(
        matches!(answer, Err(AppendError::Store { .. })),
        "{answer:?}"
    );
    engine.state().failing_reads = 2;
    assert_eq!(
        landed(committer.append(1, &stream(1), exactly(0))).await,
        (1, 1, false)
    );
    committer.end().await;
}

#[tokio::test(start_paused = true)]
async fn many_confirmations_of_one_head_share_one_read() {
    let engine = MemoryEngine::script([]);
    rival(&engine, 100, &stream(1));
    let committer = Harness::start(&engine, 1);
    let confirmed: Vec<_> = (0..6)
        .map(|_| committer.confirm(&stream(1), exactly(1)))
        .collect();
    for answer in confirmed {
        assert_eq!(answer.await.unwrap().unwrap().position.get(), 1);
    }
    assert_eq!(engine.state().confirmations, 1);
    committer.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_keeps_its_place_among_its_streams_commits() {
    let engine = MemoryEngine::script([]);
    let committer = Harness::start(&engine, 1);
    let before = committer.confirm(&stream(1), exactly(0));
    let first = committer.append(1, &stream(1), exactly(0));
    let between = committer.confirm(&stream(1), after(1, 1));
    let second = committer.append(2, &stream(1), after(1, 1));
    let wrong = committer.confirm(&stream(1), exactly(1));
    assert_eq!(before.await.unwrap().unwrap().position.get(), 0);
    assert_eq!(landed(first).await.0, 1);
    assert_eq!(between.await.unwrap().unwrap().position.get(), 1);
    assert_eq!(landed(second).await.0, 2);
    assert!(matches!(
        wrong.await.unwrap(),
        Err(AppendError::Conflict { .. })
    ));
    // What landed after the question proves the answer: nothing was read for it.
    assert_eq!(engine.state().confirmations, 0);
    committer.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_confirmation_sees_what_others_appended() {
    let engine = MemoryEngine::script([]);
    let committer = Harness::start(&engine, 1);
    assert_eq!(
        landed(committer.append(1, &stream(1), exactly(0))).await.0,
        1
    );
    rival(&engine, 100, &stream(1));
    let stale = committer.confirm(&stream(1), exactly(1)).await.unwrap();
    assert!(matches!(stale, Err(AppendError::Conflict { actual, .. }) if actual.get() == 2));
    let fresh = committer.confirm(&stream(1), after(2, 100)).await.unwrap();
    assert_eq!(fresh.unwrap().position.get(), 2);
    committer.end().await;
}

#[tokio::test(start_paused = true)]
async fn past_its_bounds_the_queue_takes_no_more() {
    let engine = MemoryEngine::script([]);
    let committer = Harness::start(&engine, 1);
    // Nothing is awaited, so the committer does not run.
    let taken = (0..200).take_while(|n| {
        let any = ExpectedVersion::Any;
        committer.try_append(*n, &stream(1), any, 1).is_ok()
    });
    assert_eq!(taken.count(), 100);
    let other = committer.try_append(999, &stream(2), exactly(0), 1);
    assert_eq!(landed(other.unwrap()).await.1, 1);
    committer.end().await;
    assert_eq!(engine.state().log.len(), 101);
    assert!(
        engine
            .state()
            .log
            .values()
            .any(|stub| stub.command == command(0))
    );
}

/// What an answer came to, where it came soon after the limit.
async fn failed_in_time<T: std::fmt::Debug>(answer: Answer<T>) {
    let answer = timeout(GIVE_UP * 10, answer).await;
    let answer = answer.expect("nobody is told").unwrap();
    assert!(
        matches!(answer, Err(AppendError::Store { .. })),
        "{answer:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn past_the_limit_those_are_told_too_who_have_no_part_in_the_insert() {
    let engine = MemoryEngine::script([Fault::Late; 400]);
    let committer = Harness::start(&engine, 1);
    let unknown = committer.append(1, &stream(1), exactly(0));
    // Known to be refused, but not whether its command stands in the log.
    let refused = committer.append(2, &stream(2), exactly(7));
    // Proven by the insert, if it lands.
    let beside = committer.confirm(&stream(1), after(1, 1));
    // Has nothing to do with the insert.
    let alone = committer.confirm(&stream(3), exactly(0));
    let confirmed = timeout(GIVE_UP, alone).await.expect("it need not wait");
    assert_eq!(confirmed.unwrap().unwrap().position.get(), 0);
    failed_in_time(unknown).await;
    failed_in_time(refused).await;
    failed_in_time(beside).await;
    engine.state().script.clear();
    let next = committer.append(3, &stream(4), exactly(0));
    assert_eq!(landed(next).await, (2, 1, false));
    committer.end().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_is_told_when_a_closed_committer_gives_up() {
    let engine = MemoryEngine::script([Fault::Late; 400]);
    let committer = Harness::start(&engine, 1);
    failed_in_time(committer.append(1, &stream(1), exactly(0))).await;
    // Called a moment before the end: it has not waited as long as the limit.
    let waiting = committer.append(2, &stream(2), exactly(0));
    let asking = committer.confirm(&stream(2), exactly(0));
    let queue = std::sync::Arc::clone(&committer.queue);
    committer.end().await;
    failed_in_time(waiting).await;
    failed_in_time(asking).await;
    assert_eq!(queue.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_committer_that_panics_leaves_nobody_waiting() {
    let engine = MemoryEngine::script([Fault::Panic]);
    let committer = Harness::start(&engine, 1);
    let first = committer.append(1, &stream(1), exactly(0));
    let filler: Vec<_> = (0..20)
        .map(|n| committer.append(10 + n, &stream(10 + n), exactly(0)))
        .collect();
    timeout(GIVE_UP, first).await.unwrap().unwrap_err();
    for answer in filler {
        // Those of its group are let go, those behind it are told.
        let answer = timeout(GIVE_UP, answer).await.expect("nobody is told");
        assert!(
            matches!(answer, Err(_) | Ok(Err(AppendError::Store { .. }))),
            "{answer:?}"
        );
    }
    let refused = committer.try_append(2, &stream(1), exactly(0), 1);
    assert!(refused.is_err());
}
