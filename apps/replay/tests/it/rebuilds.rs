//! Rebuilds beside traffic: to their end, killed, cancelled, two at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use cqrs_core::{LogPosition, Position};
use cqrs_mongo::MongoStore;
use cqrs_postgres::{ModelState, PgReader};
use social_read_model::SocialReadModel;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::kit::{Installation, append, history, liked, post, until};

/// Likes posts for ever, by actors that are new each time.
fn writer(
    log: &MongoStore,
    over: &Arc<AtomicBool>,
    last: &Arc<std::sync::Mutex<Vec<LogPosition>>>,
) -> JoinHandle<u64> {
    let (log, over, last) = (log.clone(), Arc::clone(over), Arc::clone(last));
    tokio::spawn(async move {
        let mut written = 0;
        while !over.load(Ordering::Acquire) {
            let appended = append(
                &log,
                post(1 + u128::from(written % 20)),
                vec![liked(1_000 + written)],
            );
            let at = appended.await.at;
            last.lock().unwrap()[usize::from(at.partition.index())] = at;
            written += 1;
        }
        written
    })
}

/// Reads the live version for ever: it never goes back, in a rebuilt version neither. How many versions it saw.
fn reader(installation: &Installation, over: &Arc<AtomicBool>) -> JoinHandle<usize> {
    let (models, over) = (installation.models.clone(), Arc::clone(over));
    let partitions = usize::from(installation.partitions);
    tokio::spawn(async move {
        let reader = PgReader::new(models, SocialReadModel::NAME, 1);
        let (mut seen, mut schemas) = (vec![Position::START; partitions], Vec::new());
        let mut likes = 0;
        while !over.load(Ordering::Acquire) {
            // The tokens of what was seen before: behind them would be an error.
            let read = reader.begin(&[]).await.unwrap();
            let now: Vec<_> = read.checkpoints().iter().map(|at| at.position).collect();
            assert!(now.iter().zip(&seen).all(|(now, seen)| now >= seen));
            let sql = "SELECT coalesce(sum(like_count), 0)::int8, (SELECT count(*) FROM {schema}.social_like)
                FROM {schema}.social_post";
            let row = read.query_opt(sql, &[]).await.unwrap().unwrap();
            let (counted, rows): (i64, i64) = (row.get(0), row.get(1));
            assert_eq!(counted, rows, "a counter is what it counts");
            assert!(counted >= likes, "nobody takes a like back");
            likes = counted;
            if schemas.last() != Some(read.schema()) {
                schemas.push(read.schema().clone());
            }
            seen = now;
        }
        schemas.len()
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
async fn a_rebuild_beside_writers_and_readers_ends_in_promotion_and_can_be_taken_back() {
    let installation = Installation::new(4);
    let log = installation.log().await;
    history(&log, 100, 9).await;
    installation.live(&log).await;
    let over = Arc::new(AtomicBool::new(false));
    let heads = installation.heads(&log).await;
    let last = Arc::new(std::sync::Mutex::new(heads));
    let projector = installation.projector(&log, &over);
    let writer = writer(&log, &over, &last);
    let reader = reader(&installation, &over);

    let told = installation.run(&["rebuild"]).await.expect(0);
    assert!(told.contains("0 differ"), "{told}");
    assert!(told.contains("version 2 is live"), "{told}");
    assert_eq!(installation.live_version().await, 2);
    let status = installation.run(&["status"]).await.expect(0);
    let states: Vec<_> = status.lines().skip(2).collect();
    assert!(states[0].contains(" ready "), "{status}");
    assert!(states[1].contains(" live "), "{status}");

    installation.run(&["rollback"]).await.expect(0);
    assert_eq!(installation.live_version().await, 1);
    installation.run(&["rollback"]).await.expect(0);
    assert_eq!(installation.live_version().await, 2);
    let verified = installation.run(&["verify", "1"]).await.expect(0);
    assert!(verified.contains(" 0 differ"), "{verified}");
    installation.run(&["retire", "1"]).await.expect(0);
    installation.run(&["retire", "2"]).await.expect(1);
    installation.run(&["rollback"]).await.expect(1);

    over.store(true, Ordering::Release);
    assert!(writer.await.unwrap() > 0);
    assert!(reader.await.unwrap() >= 4, "it saw the versions change");
    projector.await.unwrap();
    // What was written last is read in the version that took over.
    let tokens = last.lock().unwrap().clone();
    let reader = PgReader::new(installation.models.clone(), SocialReadModel::NAME, 1);
    installation.live(&log).await;
    reader.begin(&tokens).await.unwrap();
    let verified = installation.run(&["verify"]).await.expect(0);
    assert!(verified.contains(" 0 differ"), "{verified}");
}

/// Starts a rebuild, and holds it where version 2 is made and nothing of it is written: what opens the gate again.
async fn gated(installation: &Installation) -> (Child, impl AsyncFnOnce()) {
    let gate = installation.models.pool().get().await.unwrap();
    let key = format!("hashtext('{}_control'), 2", installation.prefix);
    let close = format!("SELECT pg_advisory_lock({key})");
    gate.batch_execute(&close).await.unwrap();
    let rebuild = installation.start(&["rebuild"]);
    until(async || {
        let versions = installation.models.versions(SocialReadModel::NAME).await;
        versions.unwrap().len() == 2
    })
    .await;
    let open = async move || {
        let open = format!("SELECT pg_advisory_unlock({key})");
        gate.batch_execute(&open).await.unwrap();
    };
    (rebuild, open)
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
async fn a_rebuild_that_is_killed_halfway_goes_on_where_it_was() {
    let installation = Installation::new(4);
    let log = installation.log().await;
    history(&log, 60, 4).await;
    installation.live(&log).await;
    let heads = installation.heads(&log).await;
    let events: u64 = heads.iter().map(|head| head.position.get()).sum();
    let (mut rebuild, open) = gated(&installation).await;
    // All partitions but the first get through.
    let holder = installation.models.pool().get().await.unwrap();
    let hold = format!(
        "BEGIN; SELECT 1 FROM {}_control.checkpoint WHERE version = 2 AND partition = 0 FOR UPDATE",
        installation.prefix
    );
    holder.batch_execute(&hold).await.unwrap();
    open().await;
    let versions = installation
        .models
        .versions(SocialReadModel::NAME)
        .await
        .unwrap();
    let begun = versions.last().unwrap();
    until(async || installation.models.places(begun).await.unwrap()[1..] == heads[1..]).await;
    rebuild.kill().await.unwrap();
    holder.batch_execute("ROLLBACK").await.unwrap();
    drop(holder);
    let places = installation.models.places(begun).await.unwrap();
    assert_eq!(places[0].position, Position::START);
    assert_eq!(installation.live_version().await, 1);

    let told = installation.run_once_free(&["rebuild"]).await.expect(0);
    let rest = heads[0].position.get();
    assert!(rest < events);
    let by_this_run =
        format!("version 2 has all that the log has: {events} commits, {rest} events by this run");
    assert!(told.contains(&by_this_run), "{told}");
    assert!(told.contains(" 0 differ"), "{told}");
    assert_eq!(installation.live_version().await, 2);
    installation.run(&["verify"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
async fn one_replays_at_a_time_and_a_running_rebuild_can_be_cancelled() {
    let installation = Installation::new(2);
    let log = installation.log().await;
    history(&log, 10, 1).await;
    let live = installation.live(&log).await;
    let (mut rebuild, open) = gated(&installation).await;
    for second in [&["rebuild"][..], &["verify"], &["rollback"]] {
        let told = installation.run(second).await;
        assert_eq!(told.status, Some(4), "{}", told.told);
    }
    let told = installation.run(&["cancel"]).await.expect(0);
    assert!(told.contains("version 2 is cancelled"), "{told}");
    open().await;
    assert_eq!(rebuild.wait().await.unwrap().code(), Some(1));
    let versions = installation
        .models
        .versions(SocialReadModel::NAME)
        .await
        .unwrap();
    assert_eq!(versions[0], live);
    assert_eq!(versions[1].state, ModelState::Retired);
    let told = installation.run(&["cancel"]).await.expect(0);
    assert!(told.contains("nothing to cancel"), "{told}");
    // A number is not used again.
    let told = installation
        .run_once_free(&["rebuild", "--no-promote"])
        .await
        .expect(0);
    assert!(
        told.contains("version 3 is ready and not promoted"),
        "{told}"
    );
    assert_eq!(installation.live_version().await, 1);
    installation.run(&["promote", "3"]).await.expect(0);
    assert_eq!(installation.live_version().await, 3);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
async fn a_signal_ends_a_rebuild_with_3_and_the_next_one_goes_on() {
    let installation = Installation::new(2);
    let log = installation.log().await;
    history(&log, 10, 1).await;
    installation.live(&log).await;
    let (mut rebuild, open) = gated(&installation).await;
    let signal = format!("kill -INT {}", rebuild.id().unwrap());
    let sent = Command::new("sh").arg("-c").arg(signal).status().await;
    assert!(sent.unwrap().success());
    open().await;
    assert_eq!(rebuild.wait().await.unwrap().code(), Some(3));
    assert_eq!(installation.live_version().await, 1);
    let told = installation.run_once_free(&["rebuild"]).await.expect(0);
    assert!(told.contains("version 2 is live"), "{told}");
}
