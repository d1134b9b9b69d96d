//! Rebuild, verify, promote, roll back, cancel: beside traffic, interrupted, in another layout.

mod killed;
mod promotion;

use killed::Mortal;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use cqrs_core::{
    Batch, EventRef, ParkedStreams, Position, Projection, ProjectionRunner, ReadLog, RunnerOptions,
    TailLog, Timer,
};
use cqrs_postgres::{
    ModelError, ModelState, ModelVersion, PgProjection, PgReplay, Promotion, ReplayError,
    ReplayPhase,
};
use futures_util::future::pending;

use crate::kit::{Counts, Fixture, LENIENT, PARTITION, STRICT, batch, fixture, fixture_of, stream};

#[derive(Debug, Clone)]
pub(crate) struct TokioTimer;

impl Timer for TokioTimer {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

type Replay<L> = PgReplay<L, Counts, TokioTimer>;

impl Fixture {
    fn replay(&self, model: &Counts) -> Replay<cqrs_core::MemoryStore> {
        let model = Arc::new(model.clone());
        PgReplay::new(self.models.clone(), model, self.log.clone(), TokioTimer)
    }

    fn runner(
        &self,
        projection: PgProjection<Counts>,
    ) -> ProjectionRunner<cqrs_core::MemoryStore, PgProjection<Counts>, TokioTimer> {
        let options = RunnerOptions {
            attempts: 1,
            ..RunnerOptions::default()
        };
        ProjectionRunner::new(self.log.clone(), projection, TokioTimer, options)
    }

    async fn catch_up(&self, version: &ModelVersion, model: &Counts) {
        let runner = self.runner(self.of(version, model));
        runner.catch_up(pending()).await.unwrap();
    }
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_rebuilt_version_is_the_same_and_takes_the_place_and_gives_it_back() {
    let fixture = fixture_of(3);
    for n in 0..200 {
        fixture.append(n % 37, &["{}", "x"]).await;
    }
    let live = fixture.models.open(&STRICT, 3).await.unwrap();
    fixture.catch_up(&live, &STRICT).await;
    let replay = fixture.replay(&STRICT);
    let lock = replay.lock().await.unwrap();
    let rebuilt = replay.rebuild(&lock, pending()).await.unwrap();
    assert_eq!((rebuilt.version, rebuilt.state), (2, ModelState::Ready));
    let state = replay.progress().state();
    assert_eq!((state.phase, state.events), (ReplayPhase::Done, 400));
    assert_eq!(fixture.models.live(&STRICT).await.unwrap(), live);

    let verified = replay.verify(&lock, 2, pending()).await.unwrap();
    assert_eq!((verified.rows, verified.differing), (437, 0));
    assert_eq!(verified.differences, []);

    let how = Promotion::default();
    replay.promote(&lock, 2, &how, pending()).await.unwrap();
    assert_eq!(fixture.models.live(&STRICT).await.unwrap().version, 2);
    assert_eq!(fixture.models.fed(&STRICT).await.unwrap().len(), 2);
    assert_eq!(fixture.total().await, (400, 37));
    replay.promote(&lock, 2, &how, pending()).await.unwrap();

    fixture.append(1, &["{}"]).await;
    replay.promote(&lock, 1, &how, pending()).await.unwrap();
    assert_eq!(fixture.models.live(&STRICT).await.unwrap().version, 1);
    assert_eq!(
        fixture.total().await,
        (401, 37),
        "it was brought up to date first"
    );

    let refused = replay.retire(1).await.unwrap_err();
    let live = Some(ModelState::Live);
    assert!(
        matches!(refused, ReplayError::State { version: 1, state } if state == live),
        "{refused:?}"
    );
    replay.retire(2).await.unwrap();
    replay.retire(2).await.unwrap();
    assert_eq!(fixture.models.fed(&STRICT).await.unwrap().len(), 1);
    let zombie = fixture.of(&rebuilt, &STRICT);
    assert!(zombie.checkpoint(PARTITION).await.is_err());
    assert!(zombie.apply(&batch(0, 1, &[], &[])).await.is_err());
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_verifier_names_the_rows_that_differ() {
    let fixture = fixture();
    for n in 0..50 {
        fixture.append(n, &["{}"]).await;
    }
    let live = fixture.models.open(&STRICT, 1).await.unwrap();
    fixture.catch_up(&live, &STRICT).await;
    let client = fixture.models.pool().get().await.unwrap();
    let schema = live.schema.as_str();
    let spoil = format!(
        "UPDATE {schema}.count SET n = 7 WHERE stream = 'thing-3';
         DELETE FROM {schema}.count WHERE stream = 'thing-4';
         INSERT INTO {schema}.count VALUES ('thing-x', 1, 'x', 1)"
    );
    client.batch_execute(&spoil).await.unwrap();
    drop(client);
    let replay = fixture.replay(&STRICT);
    let lock = replay.lock().await.unwrap();
    replay.rebuild(&lock, pending()).await.unwrap();
    let verified = replay.verify(&lock, 2, pending()).await.unwrap();
    assert_eq!((verified.rows, verified.differing), (100, 3));
    let mut found: Vec<_> = verified
        .differences
        .iter()
        .map(|d| (d.key.as_str(), d.live.is_some(), d.other.is_some()))
        .collect();
    found.sort_unstable();
    let wanted = [
        ("[\"thing-3\"]", true, true),
        ("[\"thing-4\"]", false, true),
        ("[\"thing-x\"]", true, false),
    ];
    assert_eq!(found, wanted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs POSTGRES_URL"]
async fn a_rebuild_to_promotion_beside_writers_and_readers_never_goes_back() {
    let fixture = Arc::new(fixture_of(2));
    for n in 0..500 {
        fixture.append(n % 40, &["{}"]).await;
    }
    let live = fixture.models.open(&STRICT, 2).await.unwrap();
    fixture.catch_up(&live, &STRICT).await;
    let over = Arc::new(AtomicBool::new(false));
    let written = Arc::new(AtomicU64::new(500));
    let writer = tokio::spawn({
        let (fixture, over, written) = (fixture.clone(), over.clone(), written.clone());
        async move {
            while !over.load(Ordering::Acquire) {
                fixture
                    .append(written.load(Ordering::Relaxed) % 40, &["{}"])
                    .await;
                written.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    });
    // A projector that feeds whatever is to be fed.
    let projector = tokio::spawn({
        let (fixture, over) = (fixture.clone(), over.clone());
        async move {
            while !over.load(Ordering::Acquire) {
                for version in fixture.models.fed(&STRICT).await.unwrap() {
                    fixture.catch_up(&version, &STRICT).await;
                }
            }
        }
    });
    let reader = tokio::spawn({
        let (fixture, over) = (fixture.clone(), over.clone());
        async move {
            let (mut seen, mut schemas) = (vec![Position::START; 2], Vec::new());
            while !over.load(Ordering::Acquire) {
                let read = fixture.reader().begin(&[]).await.unwrap();
                let sql = "SELECT sum(n)::int8 FROM {schema}.count";
                let row = read.query_opt(sql, &[]).await.unwrap().unwrap();
                let now: Vec<_> = read.checkpoints().iter().map(|c| c.position).collect();
                assert!(now.iter().zip(&seen).all(|(now, seen)| now >= seen));
                let commits: u64 = now.iter().map(|position| position.get()).sum();
                assert_eq!(u64::try_from(row.get::<_, i64>(0)).unwrap(), commits);
                if schemas.last() != Some(read.schema()) {
                    schemas.push(read.schema().clone());
                }
                seen = now;
            }
            schemas.len()
        }
    });
    let replay = fixture.replay(&STRICT);
    let lock = replay.lock().await.unwrap();
    for (from, to) in [(1, 2), (2, 3)] {
        let rebuilt = replay.rebuild(&lock, pending()).await.unwrap();
        assert_eq!(rebuilt.version, to);
        let verified = replay.verify(&lock, to, pending()).await.unwrap();
        assert_eq!(verified.differences, [], "{verified:?}");
        let how = Promotion::default();
        replay.promote(&lock, to, &how, pending()).await.unwrap();
        replay.promote(&lock, from, &how, pending()).await.unwrap();
        replay.promote(&lock, to, &how, pending()).await.unwrap();
    }
    over.store(true, Ordering::Release);
    writer.await.unwrap();
    projector.await.unwrap();
    assert!(
        reader.await.unwrap() >= 3,
        "the reader saw the versions change"
    );
    let verified = replay.verify(&lock, 1, pending()).await.unwrap();
    assert_eq!(verified.differing, 0, "{verified:?}");
    let total = fixture.total().await.0;
    assert_eq!(
        u64::try_from(total).unwrap(),
        written.load(Ordering::Relaxed)
    );
}

/// The server lets go of a lock once it has noticed that the connection is gone.
async fn eventually_locked<L: ReadLog + TailLog>(
    replay: &Replay<L>,
) -> cqrs_postgres::PgReplayLock {
    loop {
        match replay.lock().await {
            Ok(lock) => return lock,
            Err(ReplayError::Running) => tokio::task::yield_now().await,
            Err(error) => panic!("{error:?}"),
        }
    }
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn one_replays_at_a_time() {
    let fixture = fixture();
    fixture.models.open(&STRICT, 1).await.unwrap();
    let replay = fixture.replay(&STRICT);
    let lock = replay.lock().await.unwrap();
    let second = replay.lock().await.unwrap_err();
    assert!(matches!(second, ReplayError::Running), "{second:?}");
    drop(lock);
    eventually_locked(&replay).await;
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_shutdown_or_a_cancel_ends_a_rebuild_and_leaves_the_live_version() {
    let fixture = fixture();
    for n in 0..30 {
        fixture.append(n, &["{}"]).await;
    }
    let live = fixture.models.open(&STRICT, 1).await.unwrap();
    fixture.catch_up(&live, &STRICT).await;
    let replay = fixture.replay(&STRICT);
    let lock = replay.lock().await.unwrap();
    let ended = replay
        .rebuild(&lock, std::future::ready(()))
        .await
        .unwrap_err();
    assert!(matches!(ended, ReplayError::Interrupted), "{ended:?}");

    let mortal = Mortal::new(&fixture.log, 1);
    let (models, model) = (fixture.models.clone(), Arc::new(STRICT.clone()));
    let waiting = PgReplay::new(models, model, mortal.clone(), TokioTimer);
    let cancel = async {
        mortal.gone.notified().await;
        replay.cancel().await.unwrap()
    };
    let rebuild = waiting.rebuild(&lock, pending());
    let (ended, cancelled) = futures_util::future::join(rebuild, cancel).await;
    let ended = ended.unwrap_err();
    assert!(
        matches!(ended, ReplayError::Cancelled { version: 2 }),
        "{ended:?}"
    );
    assert_eq!(cancelled.iter().map(|v| v.version).collect::<Vec<_>>(), [2]);
    let refused = replay
        .promote(&lock, 2, &Promotion::default(), pending())
        .await
        .unwrap_err();
    assert!(
        matches!(refused, ReplayError::Cancelled { version: 2 }),
        "{refused:?}"
    );
    assert_eq!(fixture.models.live(&STRICT).await.unwrap(), live);
    assert_eq!(fixture.total().await, (30, 30));
    assert!(replay.cancel().await.unwrap().is_empty());
    assert_eq!(replay.rebuild(&lock, pending()).await.unwrap().version, 3);
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_copied_slice_parks_what_is_poisonous() {
    let fixture = fixture();
    fixture.append(1, &["{}"]).await;
    fixture.append(1, &["broken", "{}"]).await;
    fixture.append(2, &["{}"]).await;
    let live = fixture.models.open(&STRICT, 1).await.unwrap();
    let commits = fixture.commits().await;
    let event = |commit, event| EventRef { commit, event };
    let park = [
        (event(1, 0), Some("broken".to_owned())),
        (event(1, 1), None),
    ];
    let apply = [event(0, 0), event(2, 0)];
    let slice = Batch {
        park: &park,
        ..batch(0, 3, &commits, &apply)
    };
    fixture.of(&live, &STRICT).apply(&slice).await.unwrap();
    let replay = fixture.replay(&STRICT);
    let lock = replay.lock().await.unwrap();
    replay.rebuild(&lock, pending()).await.unwrap();
    let verified = replay.verify(&lock, 2, pending()).await.unwrap();
    assert_eq!((verified.rows, verified.differing), (4, 0), "{verified:?}");
    replay
        .promote(&lock, 2, &Promotion::default(), pending())
        .await
        .unwrap();
}
