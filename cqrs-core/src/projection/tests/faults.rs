//! Stores that are away, lose answers or are written by others, and crashes.

use std::fmt::Debug;
use std::future::{pending, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Duration;

use ::tracing::field::{Field, Visit};
use ::tracing::span::{Attributes, Id, Record};
use ::tracing::{Event, Level, Metadata, Subscriber, subscriber};
use futures_util::FutureExt;

use super::{Pages, Paused, Seen, ZERO, at, rows, seen};
use crate::follow::{RunnerError, RunnerOptions};
use crate::position::Partition;
use crate::projection::{
    ApplyError, Batch, Checkpoint, Parked, ParkedStreams, Projection, ProjectionRunner,
};
use crate::stream::StreamName;
use crate::testing::{Fault, Faults, Faulty, SeededRandom};
use crate::time::{Random, Timer};

/// Polls `run` so many times and then drops it; its end, if it came to one.
async fn crash_after<T>(polls: u64, run: impl Future<Output = T>) -> Option<T> {
    let mut run = pin!(run);
    let mut left = polls;
    poll_fn(|cx| match run.as_mut().poll(cx) {
        Poll::Ready(end) => Poll::Ready(Some(end)),
        Poll::Pending if left == 0 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_waited_for_and_never_parked_for() {
    let log = Pages::default();
    log.append("a-1", &[("noted", "ok")]);
    let away = Faults::script([Fault::Before; 40]);
    let store = Faulty::new(seen(&Arc::default()), away);
    let runner = ProjectionRunner::new(log, store, Paused, RunnerOptions::default());
    runner.catch_up(pending()).await.unwrap();
    assert_eq!(runner.progress().parked_count(), 0);
    assert_eq!(runner.progress().counts().retries, 40);
    let expected = rows([("a-1", &[1])]);
    runner
        .projection()
        .inner()
        .read(|seen| assert_eq!(*seen, expected));
}

#[tokio::test(start_paused = true)]
async fn a_runner_behind_another_one_loads_the_checkpoint_and_goes_on() {
    let log = Pages::default();
    let store = Arc::new(seen(&Arc::default()));
    let options = RunnerOptions::default();
    let first = ProjectionRunner::new(log.clone(), Arc::clone(&store), Paused, options);
    let ahead = RunnerOptions {
        read_ahead: true,
        ..options
    };
    let second = ProjectionRunner::new(log.clone(), Arc::clone(&store), Paused, ahead);
    let progress = [first.progress(), second.progress()];
    let stop = async {
        for position in 1..=20 {
            log.append("a-1", &[("noted", "ok")]);
            progress[0].reached(at(position)).await;
            progress[1].reached(at(position)).await;
        }
    }
    .shared();
    let (a, b) = tokio::join!(first.run(stop.clone()), second.run(stop.clone()));
    a.and(b).unwrap();
    let all: Vec<u64> = (1..=20).collect();
    store.read(|seen| assert_eq!(*seen, rows([("a-1", &all)])));
}

#[tokio::test(start_paused = true)]
async fn a_corrupt_log_ends_the_run_visibly() {
    let log = Pages::default();
    log.corrupt.store(true, Ordering::Relaxed);
    let runner =
        ProjectionRunner::new(log, seen(&Arc::default()), Paused, RunnerOptions::default());
    let ended = runner.run(pending()).await;
    assert!(matches!(ended, Err(RunnerError::Log { .. })));
    assert!(runner.progress().is_stopped(ZERO));
}

/// Failures, lost answers and crashes before and after the write, all drawn from a seed.
#[tokio::test(start_paused = true)]
async fn every_event_is_applied_once_whatever_fails() {
    for seed in 0..200u64 {
        let (log, broken) = (Pages::default(), Arc::new(AtomicBool::new(true)));
        for n in 0..30 {
            let payload = if (n + seed) % 13 == 0 { "bad" } else { "ok" };
            let stream = ["a-1", "a-2", "a-3", "a-4"][((n * 7 + seed) % 4) as usize];
            log.append(
                stream,
                &[("noted", payload), ("other", "ok"), ("noted", "ok")],
            );
        }
        let store = Arc::new(seen(&broken));
        let options = RunnerOptions {
            max_events: 9,
            read_ahead: seed % 2 == 1,
            ..RunnerOptions::default()
        };
        let crashes = SeededRandom::new(seed);
        for life in 0.. {
            assert!(life < 1_000, "seed {seed} never ends");
            if life > 5 {
                broken.store(false, Ordering::Relaxed);
            }
            let faults = Faults::seeded(seed * 1_000 + life, 30);
            let polls = if life > 5 {
                u64::MAX
            } else {
                crashes.next_u64() % 60
            };
            let store = Faulty::new(Arc::clone(&store), faults);
            let runner = ProjectionRunner::new(log.clone(), store, Paused, options);
            let ended = crash_after(polls, runner.catch_up(pending())).await;
            if ended.is_some_and(|run| run.is_ok()) && life > 5 {
                break;
            }
        }
        let mut expected = Seen::new();
        for commit in log.commits.lock().unwrap().iter() {
            let noted = commit
                .recorded_events()
                .filter(|e| e.data.event_type.name() == "noted");
            let versions = expected.entry(commit.stream.to_string()).or_default();
            versions.extend(noted.map(|e| e.version.get()));
        }
        store.read(|seen| assert_eq!(*seen, expected, "seed {seed}"));
    }
}

/// Counts the warnings with this message.
#[derive(Clone)]
struct Warnings(&'static str, Arc<AtomicU64>);

impl Visit for Warnings {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "message" && format!("{value:?}") == self.0 {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, event: &Event<'_>) {
        event.record(&mut self.clone());
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

/// A store whose every call takes so long.
struct Slow<P>(P, Duration);

impl<P: Projection> Projection for Slow<P> {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn handles(&self, event_type: &str) -> bool {
        self.0.handles(event_type)
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Checkpoint, ApplyError> {
        self.0.checkpoint(partition).await
    }

    async fn apply(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        Paused.sleep(self.1).await;
        self.0.apply(batch).await
    }
}

impl<P: ParkedStreams> ParkedStreams for Slow<P> {
    async fn parked(&self, partition: Partition) -> Result<Vec<Parked>, ApplyError> {
        self.0.parked(partition).await
    }

    async fn release(&self, partition: Partition, stream: &StreamName) -> Result<(), ApplyError> {
        self.0.release(partition, stream).await
    }
}

#[tokio::test(start_paused = true)]
async fn no_stall_is_silent() {
    let log = Pages::default();
    log.append("a-1", &[("noted", "ok")]);
    let told = Warnings("the same step still runs", Arc::default());
    let guard = subscriber::set_default(told.clone());
    // Told of after 5, 15, 35 and 75 seconds.
    let slow = Slow(seen(&Arc::default()), Duration::from_secs(100));
    let runner = ProjectionRunner::new(log.clone(), slow, Paused, RunnerOptions::default());
    runner.catch_up(pending()).await.unwrap();
    assert_eq!(told.1.load(Ordering::Relaxed), 4);
    drop(guard);

    let told = Warnings("waiting", Arc::default());
    let _guard = subscriber::set_default(told.clone());
    let away = Faults::script([Fault::Before; 40]);
    let store = Faulty::new(seen(&Arc::default()), away);
    let runner = ProjectionRunner::new(log, store, Paused, RunnerOptions::default());
    runner.catch_up(pending()).await.unwrap();
    // Of 40 failures the first, second, fourth … thirty-second.
    assert_eq!(told.1.load(Ordering::Relaxed), 6);
}
