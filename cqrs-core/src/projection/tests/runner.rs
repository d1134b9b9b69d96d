//! What the runner does along the way: parking, releases, skips, rebuilds.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::{Pages, Paused, ZERO, at, rows, seen};
use crate::follow::RunnerOptions;
use crate::log::UpTo;
use crate::position::Position;
use crate::projection::{ParkedStreams, Projection, ProjectionRunner};
use crate::time::Timer;

#[tokio::test(start_paused = true)]
async fn a_poisonous_event_parks_its_stream_only_and_is_released_in_order() {
    let (log, broken) = (Pages::default(), Arc::new(AtomicBool::new(true)));
    log.append("a-1", &[("noted", "ok"), ("noted", "bad"), ("noted", "ok")]);
    log.append("a-2", &[("noted", "ok")]);
    log.append("a-1", &[("noted", "ok")]);
    let options = RunnerOptions::default();
    let runner = ProjectionRunner::new(log.clone(), seen(&broken), Paused, options);
    runner.catch_up(pending()).await.unwrap();
    log.append("a-1", &[("noted", "ok")]);
    log.append("a-2", &[("noted", "ok")]);
    runner.catch_up(pending()).await.unwrap();

    let expected = rows([("a-1", &[1]), ("a-2", &[1, 2])]);
    runner.projection().read(|seen| assert_eq!(*seen, expected));
    let parked = runner.projection().parked(ZERO).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!(parked[0].first.to_string(), "0-1-1");
    assert_eq!(
        (parked[0].reason.as_str(), parked[0].waiting),
        ("it is bad", 4)
    );
    let progress = runner.progress();
    assert_eq!((progress.parked_count(), progress.counts().retries), (1, 2));
    assert_eq!(progress.position(ZERO), Position::new(5));

    let refused = runner.release_parked(ZERO).await.unwrap().refused;
    assert_eq!(refused.len(), 1);
    broken.store(false, Ordering::Relaxed);
    let released = runner.release_parked(ZERO).await.unwrap().released;
    assert_eq!(released.len(), 1);
    let expected = rows([("a-1", &[1, 2, 3, 4, 5]), ("a-2", &[1, 2])]);
    runner.projection().read(|seen| assert_eq!(*seen, expected));
    assert_eq!(progress.parked_count(), 0);
}

/// In slices as few as the gathering allows, and none later than it.
#[tokio::test(start_paused = true)]
async fn events_gather_where_nobody_is_in_a_hurry() {
    let (log, broken) = (Pages::default(), Arc::new(AtomicBool::new(false)));
    let options = RunnerOptions {
        gathering: Duration::from_millis(50),
        ..RunnerOptions::default()
    };
    let runner = ProjectionRunner::new(log.clone(), seen(&broken), Paused, options);
    let progress = runner.progress();
    let script = async {
        Paused.sleep(Duration::from_millis(1)).await;
        for _ in 0..4 {
            log.append("a-1", &[("noted", "ok")]);
            Paused.sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(
            progress.position(ZERO),
            Position::START,
            "40 ms after the first"
        );
        Paused.sleep(Duration::from_millis(11)).await;
        assert_eq!(
            progress.position(ZERO),
            Position::new(4),
            "51 ms after the first"
        );
    };
    runner.run(script).await.unwrap();
    let due = rows([("a-1", &[1, 2, 3, 4])]);
    runner.projection().read(|seen| assert_eq!(*seen, due));
}

/// A database that loses its tail in a crash takes rows and checkpoint back together, and tells nobody.
#[tokio::test(start_paused = true)]
async fn what_was_taken_back_is_applied_again_though_nothing_new_comes() {
    let (log, broken) = (Pages::default(), Arc::new(AtomicBool::new(false)));
    let model = seen(&broken);
    let before = model.backup();
    log.append("a-1", &[("noted", "ok")]);
    let options = RunnerOptions::default();
    let runner = ProjectionRunner::new(log, model, Paused, options);
    let due = rows([("a-1", &[1])]);
    let watched = async {
        runner.progress().reached(at(1)).await;
        runner.projection().read(|seen| assert_eq!(*seen, due));
        runner.projection().restore(before);
        Paused
            .sleep(options.look_again + options.look_again / 2)
            .await;
        runner.projection().read(|seen| assert_eq!(*seen, due));
    };
    runner.run(watched).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn two_poisonous_streams_of_one_slice_are_both_parked() {
    let (log, broken) = (Pages::default(), Arc::new(AtomicBool::new(true)));
    log.append("a-1", &[("noted", "bad")]);
    log.append("a-2", &[("noted", "ok"), ("noted", "bad")]);
    log.append("a-3", &[("noted", "ok")]);
    let runner = ProjectionRunner::new(log, seen(&broken), Paused, RunnerOptions::default());
    runner.catch_up(pending()).await.unwrap();
    let expected = rows([("a-2", &[1]), ("a-3", &[1])]);
    runner.projection().read(|seen| assert_eq!(*seen, expected));
    assert_eq!(runner.progress().parked_count(), 2);
    // What is parked is tried again whenever a runner starts.
    broken.store(false, Ordering::Relaxed);
    runner.catch_up(pending()).await.unwrap();
    let expected = rows([("a-1", &[1]), ("a-2", &[1, 2]), ("a-3", &[1])]);
    runner.projection().read(|seen| assert_eq!(*seen, expected));
}

#[tokio::test(start_paused = true)]
async fn what_is_not_handled_moves_the_checkpoint() {
    let log = Pages::default();
    let runner = ProjectionRunner::new(
        log.clone(),
        seen(&Arc::default()),
        Paused,
        RunnerOptions::default(),
    );
    let progress = runner.progress();
    let reached = async {
        log.append("a-1", &[("other", "ok")]);
        progress.reached(at(1)).await;
        log.append("a-1", &[("noted", "ok")]);
        progress.reached(at(2)).await;
    };
    runner.run(reached).await.unwrap();
    let expected = rows([("a-1", &[2])]);
    runner.projection().read(|seen| assert_eq!(*seen, expected));
}

#[tokio::test(start_paused = true)]
async fn a_rebuild_starts_from_the_beginning_even_while_the_runner_waits() {
    let log = Pages::default();
    log.append("a-1", &[("noted", "ok")]);
    let runner =
        ProjectionRunner::new(log, seen(&Arc::default()), Paused, RunnerOptions::default());
    let progress = runner.progress();
    let rebuilt = async {
        progress.reached(at(1)).await;
        runner.projection().rebuild();
        runner.reload();
        while progress.counts().batches < 2 {
            tokio::task::yield_now().await;
        }
    };
    runner.run(rebuilt).await.unwrap();
    let expected = rows([("a-1", &[1])]);
    runner.projection().read(|seen| assert_eq!(*seen, expected));
    let checkpoint = runner.projection().checkpoint(ZERO).await.unwrap();
    assert_eq!(
        (checkpoint.position, checkpoint.epoch),
        (Position::new(1), 1)
    );
}

#[test]
fn a_run_can_be_sent_to_another_thread() {
    fn sendable(future: impl Future + Send) {
        drop(future);
    }
    let log = Pages::default();
    let store = seen(&Arc::default());
    let runner = ProjectionRunner::new(log, store, Paused, RunnerOptions::default());
    sendable(runner.run(pending()));
}

#[tokio::test(start_paused = true)]
async fn a_log_that_ends_before_its_end_is_applied_up_to_there() {
    let (log, broken) = (Pages::default(), Arc::new(AtomicBool::new(false)));
    for _ in 0..5 {
        log.append("a-1", &[("noted", "ok")]);
    }
    for (until, max_events) in [(0, 100), (2, 100), (3, 1), (5, 2), (9, 100)] {
        let source = UpTo::new(&Arc::new(log.clone()), &[Position::new(until)]);
        let options = RunnerOptions {
            max_events,
            ..RunnerOptions::default()
        };
        let runner = ProjectionRunner::new(source, seen(&broken), Paused, options);
        runner.catch_up(pending()).await.unwrap();
        let applied = until.min(5);
        assert_eq!(runner.progress().position(ZERO), Position::new(applied));
        let versions: Vec<_> = (1..=applied).collect();
        runner.projection().read(|seen| {
            assert_eq!(seen.get("a-1").cloned().unwrap_or_default(), versions);
        });
    }
}
