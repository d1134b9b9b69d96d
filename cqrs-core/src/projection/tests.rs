use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt;

use super::*;
use crate::codec::{Encoding, EventType};
use crate::envelope::{Actor, CommandId, Envelope};
use crate::follow::{RunnerError, RunnerOptions};
use crate::ledger::Reservations;
use crate::log::{CommitHeader, EventData, ReadError, ReadLog, TailLog};
use crate::position::LogPosition;
use crate::time::{Timer, Timestamp};
use crate::version::Version;

/// A log of one partition that the test writes by hand.
#[derive(Clone, Default)]
pub(crate) struct Pages {
    commits: Arc<Mutex<Vec<RecordedCommit>>>,
    more: Arc<tokio::sync::Notify>,
    corrupt: Arc<AtomicBool>,
}

impl Pages {
    pub(crate) fn append(&self, stream: &str, events: &[(&'static str, &'static str)]) {
        let stream = StreamName::parse(stream).unwrap();
        let mut commits = self.commits.lock().unwrap();
        let mine = commits.iter().rev().find(|c| c.stream == stream);
        let version = mine.map_or(Version::EMPTY, |c| c.version);
        let position = Position::new(commits.len() as u64 + 1);
        let id = CommandId::new(uuid::Uuid::from_u128(position.get().into()));
        let actor = Actor::parse("ada").unwrap();
        let events: Vec<_> = events
            .iter()
            .map(|&(name, payload)| EventData {
                event_type: EventType::new(name, 1),
                encoding: Encoding::Json,
                payload: payload.into(),
            })
            .collect();
        commits.push(RecordedCommit {
            at: LogPosition::new(Partition::new(0), position),
            stream,
            version: version.plus(events.len()),
            header: CommitHeader::from(&Envelope::new(id, actor, Timestamp::from_millis(7))),
            events,
            reservations: Reservations::none(),
        });
        drop(commits);
        self.more.notify_waiters();
    }
}

impl ReadLog for Pages {
    async fn read_stream(
        &self,
        _: &StreamName,
        _: Version,
        _: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        Ok(Vec::new())
    }

    async fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        if self.corrupt.load(Ordering::Relaxed) {
            return Err(ReadError::Corrupt {
                at: LogPosition::new(partition, after.next()),
                reason: "torn".into(),
            });
        }
        let commits = self.commits.lock().unwrap();
        let mut events = 0;
        let slice = commits.iter().filter(|c| c.at.position > after);
        let slice = slice.take_while(|c| {
            events += c.events.len();
            events <= max_events || events == c.events.len()
        });
        Ok(slice.cloned().collect())
    }

    async fn find_commit(&self, _: CommandId) -> Result<Option<RecordedCommit>, ReadError> {
        Ok(None)
    }
}

impl TailLog for Pages {
    fn partitions(&self) -> u16 {
        1
    }

    async fn head(&self, _: Partition) -> Result<Position, ReadError> {
        Ok(Position::new(self.commits.lock().unwrap().len() as u64))
    }

    async fn wait_past(&self, _: Partition, after: Position) -> Result<(), ReadError> {
        loop {
            let more = self.more.notified();
            if self.commits.lock().unwrap().len() as u64 > after.get() {
                return Ok(());
            }
            more.await;
        }
    }
}

/// The paused time of the test's runtime.
#[derive(Clone, Copy)]
pub(crate) struct Paused;

impl Timer for Paused {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// The versions that were applied, by stream.
type Seen = BTreeMap<String, Vec<u64>>;

/// Refuses payload `bad` while `broken`.
fn seen(broken: &Arc<AtomicBool>) -> MemoryProjection<Seen> {
    let broken = Arc::clone(broken);
    MemoryProjection::new("seen", ["noted"], Seen::new(), move |seen, event| {
        let stream = event.commit.stream.to_string();
        seen.entry(stream).or_default().push(event.version.get());
        if event.data.payload == "bad" && broken.load(Ordering::Relaxed) {
            return Err("it is bad".into());
        }
        Ok(())
    })
}

fn rows<const N: usize>(rows: [(&str, &[u64]); N]) -> Seen {
    rows.map(|(name, versions)| (name.to_owned(), versions.to_vec()))
        .into()
}

const ZERO: Partition = Partition::new(0);

fn at(position: u64) -> LogPosition {
    LogPosition::new(ZERO, Position::new(position))
}

/// A store that is away at will, loses answers and hangs.
struct Flaky {
    inner: Arc<MemoryProjection<Seen>>,
    away: AtomicU32,
    seed: Option<AtomicU64>,
}

impl Flaky {
    fn away(inner: MemoryProjection<Seen>, calls: u32) -> Self {
        Self {
            inner: Arc::new(inner),
            away: AtomicU32::new(calls),
            seed: None,
        }
    }

    fn draw(&self) -> u64 {
        let Some(seed) = &self.seed else { return 0 };
        // SplitMix64.
        let mut z = seed.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % 8
    }

    fn lost() -> ApplyError {
        ApplyError::Store {
            source: "away".into(),
        }
    }
}

impl Projection for Flaky {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn handles(&self, event_type: &str) -> bool {
        self.inner.handles(event_type)
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Checkpoint, ApplyError> {
        self.inner.checkpoint(partition).await
    }

    async fn apply(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        let away = self.away.load(Ordering::Relaxed);
        if away > 0 {
            self.away.store(away - 1, Ordering::Relaxed);
            return Err(Self::lost());
        }
        match self.draw() {
            1 => Err(Self::lost()),
            2 => {
                self.inner.apply(batch).await?;
                Err(Self::lost())
            }
            3 => {
                self.inner.apply(batch).await?;
                pending().await
            }
            4 => pending().await,
            _ => self.inner.apply(batch).await,
        }
    }
}

impl ParkedStreams for Flaky {
    async fn parked(&self, partition: Partition) -> Result<Vec<Parked>, ApplyError> {
        self.inner.parked(partition).await
    }

    async fn release(&self, partition: Partition, stream: &StreamName) -> Result<(), ApplyError> {
        self.inner.release(partition, stream).await
    }
}

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
async fn a_store_that_is_away_is_waited_for_and_never_parked_for() {
    let log = Pages::default();
    log.append("a-1", &[("noted", "ok")]);
    let store = Flaky::away(seen(&Arc::default()), 40);
    let runner = ProjectionRunner::new(log, store, Paused, RunnerOptions::default());
    runner.catch_up(pending()).await.unwrap();
    assert_eq!(runner.progress().parked_count(), 0);
    assert_eq!(runner.progress().counts().retries, 40);
    let expected = rows([("a-1", &[1])]);
    runner
        .projection()
        .inner
        .read(|seen| assert_eq!(*seen, expected));
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

#[tokio::test(start_paused = true)]
async fn a_runner_behind_another_one_loads_the_checkpoint_and_goes_on() {
    let log = Pages::default();
    let store = Arc::new(seen(&Arc::default()));
    let shared = |away| Flaky {
        inner: Arc::clone(&store),
        away: AtomicU32::new(away),
        seed: None,
    };
    let options = RunnerOptions::default();
    let first = ProjectionRunner::new(log.clone(), shared(0), Paused, options);
    let second = ProjectionRunner::new(log.clone(), shared(0), Paused, options);
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
            ..RunnerOptions::default()
        };
        for life in 0.. {
            assert!(life < 1_000, "seed {seed} never ends");
            if life > 5 {
                broken.store(false, Ordering::Relaxed);
            }
            let flaky = Flaky {
                inner: Arc::clone(&store),
                away: AtomicU32::new(0),
                seed: Some(AtomicU64::new(seed * 1_000 + life)),
            };
            let runner = ProjectionRunner::new(log.clone(), flaky, Paused, options);
            let run = runner.catch_up(pending());
            let ended = tokio::time::timeout(Duration::from_secs(60), run).await;
            if ended.is_ok_and(|run| run.is_ok()) && life > 5 {
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
        commits: &commits,
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
