//! Promises of whoever keeps the versions of a read model, seen through a [`Replay`](crate::Replay) of them.

use std::future::{pending, ready};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, join, select};

use crate::position::{LogPosition, Partition, Position};
use crate::projection::Projection;
use crate::replay::{
    BuildVersions, ChangeVersions, ModelState, ModelVersions, PromoteVersions, Promotion,
    PromotionTransaction, ReplayError, Standing, VersionChange, Versioned, Writing,
};
use crate::stream::StreamName;
use crate::testing::fixtures::yield_now;

use super::notebook::Notebook;
use super::versions::{
    NotebookVersions, append, fed_live, feed, fill, head, locked, replay, states, version,
};

/// A rebuilt version has what the live one has, takes its place, is fed beside it, and gives it back.
pub async fn takes_the_place_and_gives_it_back(store: impl NotebookVersions) {
    fill(&store, 0..30).await;
    let first = fed_live(&store).await;
    let (places, notes) = store.read().await;
    assert_eq!((places, notes.len()), (head(&store).await, 60));
    let replay = replay(&store);
    let lock = replay.lock().await.unwrap();
    assert!(replay.previous().await.unwrap().is_none());
    let rebuilt = replay.rebuild(&lock, pending()).await.unwrap();
    let second = rebuilt.number();
    assert!(second > first);
    assert_eq!(rebuilt.state(), ModelState::Ready);
    let verified = replay.verify(&lock, second, pending()).await.unwrap();
    let (live, other) = (verified.live.number(), verified.other.number());
    assert_eq!((live, other, verified.differing), (first, second, 0));
    let at = Partition::all(2).zip(head(&store).await);
    let at: Vec<_> = at.map(|(p, at)| LogPosition::new(p, at)).collect();
    assert_eq!(verified.at, at);

    let how = Promotion::default();
    let live = replay.promote(&lock, second, &how, pending()).await;
    let live = live.unwrap();
    assert_eq!((live.number(), live.state()), (second, ModelState::Live));
    assert_eq!(
        states(&store).await,
        [(first, ModelState::Ready), (second, ModelState::Live)]
    );
    assert_eq!(store.read().await.1.len(), 60);
    // It is live already.
    let again = replay.promote(&lock, second, &how, pending()).await;
    assert_eq!(again.unwrap().number(), second);

    fill(&store, 30..35).await;
    let previous = replay.previous().await.unwrap().unwrap();
    assert_eq!(previous.number(), first);
    let back = replay.promote(&lock, first, &how, pending()).await;
    assert_eq!(back.unwrap().number(), first);
    assert_eq!(store.read().await.1.len(), 70, "it was brought up first");
    assert_eq!(replay.previous().await.unwrap().unwrap().number(), second);
}

/// No reader sees a version that has less than one that it has seen.
pub async fn nobody_goes_back_in_time(store: impl NotebookVersions) {
    fill(&store, 0..20).await;
    let first = fed_live(&store).await;
    let replay = replay(&store);
    let lock = replay.lock().await.unwrap();
    let second = replay.rebuild(&lock, pending()).await.unwrap().number();
    let over = std::sync::atomic::AtomicBool::new(false);
    let writing = async {
        let mut n = 20;
        while !over.load(std::sync::atomic::Ordering::SeqCst) {
            append(&store, n, &["a"]).await;
            n += 1;
            // Alone, so that the other one falls behind.
            fed_live(&store).await;
            yield_now().await;
        }
    };
    let reading = async {
        let (mut seen, mut reads) = (vec![Position::START; 2], 0);
        while !over.load(std::sync::atomic::Ordering::SeqCst) {
            let (now, notes) = store.read().await;
            assert!(now.iter().zip(&seen).all(|(now, seen)| now >= seen));
            // All of what it says that it has: 20 commits of two events, then of one.
            assert!(notes.len() as u64 >= now.iter().map(|at| at.get()).sum());
            seen = now;
            reads += 1;
            yield_now().await;
        }
        reads
    };
    let promoting = async {
        let how = Promotion::default();
        for to in [second, first, second, first] {
            let live = replay.promote(&lock, to, &how, pending()).await.unwrap();
            assert_eq!(live.number(), to);
        }
        over.store(true, std::sync::atomic::Ordering::SeqCst);
    };
    let (reads, ((), ())) = join(reading, join(writing, promoting)).await;
    assert!(reads > 0);
}

/// While a promotion holds the live version nobody writes it; dropped, it changes nothing and lets go.
pub async fn a_promotion_holds_the_live_version_still(store: impl NotebookVersions) {
    fill(&store, 0..6).await;
    let first = fed_live(&store).await;
    let replay = replay(&store);
    let lock = replay.lock().await.unwrap();
    let second = replay.rebuild(&lock, pending()).await.unwrap();
    fill(&store, 6..12).await;
    let versions = store.versions();
    let begun = versions.begin_promotion(&second, Duration::from_secs(1));
    let (mut promotion, found) = begun.await.unwrap();
    assert_eq!(found, ModelState::Ready);
    let held = promotion.hold().await.unwrap();
    let live = version(&store, first).await;
    let feeding = feed(&store, &live).boxed();
    let looking = async {
        for _ in 0..20 {
            assert_eq!(store.read().await.0, held, "it stands still");
            yield_now().await;
        }
        // The other is fed meanwhile, until it is looked at.
        let mut standing = promotion.standing().await.unwrap();
        assert_eq!(standing.at, held);
        standing.at.clear();
        assert_eq!(standing, Standing::default());
        let parking = feed(&store, &second).boxed();
        let later = async {
            for _ in 0..20 {
                yield_now().await;
            }
            promotion.standing().await.unwrap().at
        };
        match select(parking, later.boxed()).await {
            Either::Left(_) => panic!("the other was written after it was looked at"),
            Either::Right((at, _)) => assert_eq!(at, held),
        }
    };
    let rest = match select(feeding, looking.boxed()).await {
        Either::Left(_) => panic!("it was written while it was held"),
        Either::Right(((), rest)) => rest,
    };
    drop(promotion);
    rest.await;
    assert_eq!(store.read().await.0, head(&store).await);
    let found = version(&store, first).await.state();
    assert_eq!(found, ModelState::Live);
}

/// A rebuild that is dropped half-way is gone on with where its last slice ended, in the same version.
pub async fn a_killed_rebuild_is_gone_on_with(store: impl NotebookVersions) {
    fill(&store, 0..40).await;
    fed_live(&store).await;
    let killed = replay(&store);
    let lock = killed.lock().await.unwrap();
    let progress = killed.progress();
    let half = async {
        while progress.state().commits < 10 {
            yield_now().await;
        }
    };
    let rebuild = killed.rebuild(&lock, pending()).boxed();
    let ended = select(rebuild, half.boxed()).await;
    assert!(matches!(ended, Either::Right(_)));
    drop(ended);
    drop(lock);
    let begun = store.versions().begun().await.unwrap();
    assert_eq!(begun.len(), 1);
    assert_eq!(begun[0].state(), ModelState::Building);
    let projection = store.versions().projection(&begun[0], Writing::Copying);
    let mut copied = 0;
    for partition in Partition::all(2) {
        let at = projection.checkpoint(partition).await.unwrap();
        copied += at.position.get();
    }
    assert!((10..40).contains(&copied), "{copied}");

    let replay = replay(&store);
    let lock = locked(&store, &replay).await;
    let rebuilt = replay.rebuild(&lock, pending()).await.unwrap();
    assert_eq!(rebuilt.number(), begun[0].number());
    assert_eq!(replay.progress().state().events, (40 - copied) * 2);
    let verified = replay.verify(&lock, rebuilt.number(), pending()).await;
    assert_eq!(verified.unwrap().differing, 0);
}

/// A shutdown ends it between slices, and the next one goes on.
pub async fn a_shutdown_interrupts(store: impl NotebookVersions) {
    fill(&store, 0..5).await;
    fed_live(&store).await;
    let replay = replay(&store);
    let lock = replay.lock().await.unwrap();
    let ended = replay.rebuild(&lock, ready(())).await.unwrap_err();
    assert!(matches!(ended, ReplayError::Interrupted), "{ended:?}");
    let rebuilt = replay.rebuild(&lock, pending()).await.unwrap();
    let how = Promotion::default();
    let ended = replay.promote(&lock, rebuilt.number(), &how, ready(()));
    let ended = ended.await.unwrap_err();
    assert!(matches!(ended, ReplayError::Interrupted), "{ended:?}");
    assert_ne!(
        version(&store, rebuilt.number()).await.state(),
        ModelState::Live
    );
}

/// What is cancelled is written by nobody any more, and never comes back; the live one stays as it is.
pub async fn a_cancel_leaves_the_live_version(store: impl NotebookVersions) {
    fill(&store, 0..9).await;
    let live = fed_live(&store).await;
    let before = store.read().await;
    let replay = replay(&store);
    let lock = replay.lock().await.unwrap();
    let begun = store.versions().begin(2).await.unwrap();
    let cancelled = replay.cancel().await.unwrap();
    assert_eq!(cancelled.len(), 1);
    assert_eq!(cancelled[0].number(), begun.number());
    assert_eq!(
        states(&store).await,
        [
            (live, ModelState::Live),
            (begun.number(), ModelState::Retired)
        ]
    );
    let zombie = store.versions().projection(&begun, Writing::Copying);
    assert!(zombie.checkpoint(Partition::new(0)).await.is_err());
    let (change, found) = store.versions().change(&begun).await.unwrap();
    assert_eq!(found, ModelState::Retired);
    drop(change);
    let how = Promotion::default();
    let refused = replay.promote(&lock, begun.number(), &how, pending()).await;
    let refused = refused.unwrap_err();
    assert!(
        matches!(refused, ReplayError::Cancelled { .. }),
        "{refused:?}"
    );
    assert!(replay.cancel().await.unwrap().is_empty());
    assert_eq!(store.read().await, before);
    let next = replay.rebuild(&lock, pending()).await.unwrap();
    assert!(next.number() > begun.number());
}

/// A rebuild that is cancelled meanwhile says so.
pub async fn a_running_rebuild_is_cancelled(store: impl NotebookVersions) {
    fill(&store, 0..60).await;
    fed_live(&store).await;
    let running = replay(&store);
    let lock = running.lock().await.unwrap();
    let progress = running.progress();
    let cancel = async {
        while progress.state().commits < 5 {
            yield_now().await;
        }
        running.cancel().await.unwrap()
    };
    let rebuild = running.rebuild(&lock, pending());
    let (ended, cancelled) = join(rebuild, cancel).await;
    assert_eq!(cancelled.len(), 1);
    let ended = ended.unwrap_err();
    assert!(matches!(ended, ReplayError::Cancelled { .. }), "{ended:?}");
}

/// What is live is not retired, what was live before is, and what is retired is so for good.
pub async fn what_is_live_is_not_retired(store: impl NotebookVersions) {
    fill(&store, 0..3).await;
    let first = fed_live(&store).await;
    let replay = replay(&store);
    let lock = replay.lock().await.unwrap();
    let refused = replay.retire(first).await.unwrap_err();
    let live = Some(ModelState::Live);
    assert!(
        matches!(refused, ReplayError::State { state, .. } if state == live),
        "{refused:?}"
    );
    let second = replay.rebuild(&lock, pending()).await.unwrap();
    let second = second.number();
    replay
        .promote(&lock, second, &Promotion::default(), pending())
        .await
        .unwrap();
    assert!(replay.cancel().await.unwrap().is_empty());
    replay.retire(first).await.unwrap();
    replay.retire(first).await.unwrap();
    assert!(replay.previous().await.unwrap().is_none());
    let unknown = replay.retire(second + 7).await.unwrap_err();
    assert!(
        matches!(unknown, ReplayError::State { state: None, .. }),
        "{unknown:?}"
    );
    assert_eq!(store.read().await.1.len(), 6);
}

/// A change that is dropped changes nothing, and lets the next one in.
pub async fn a_dropped_change_changes_nothing(store: impl NotebookVersions) {
    let begun = store.versions().begin(2).await.unwrap();
    let (change, found) = store.versions().change(&begun).await.unwrap();
    assert_eq!(found, ModelState::Building);
    drop(change);
    let (change, found) = store.versions().change(&begun).await.unwrap();
    assert_eq!(found, ModelState::Building);
    let ready = change.make_ready().await.unwrap();
    assert_eq!(
        (ready.number(), ready.state()),
        (begun.number(), ModelState::Ready)
    );
}

/// Of any number of replays one runs.
pub async fn one_replays_at_a_time(store: impl NotebookVersions) {
    let (one, other) = (replay(&store), replay(&store));
    let lock = one.lock().await.unwrap();
    let refused = other.lock().await.map(drop).unwrap_err();
    assert!(matches!(refused, ReplayError::Running), "{refused:?}");
    drop(lock);
    locked(&store, &other).await;
}

/// A version that has parked what the live one has not is promoted by force only.
pub async fn parked_streams_need_force(store: impl NotebookVersions) {
    append(&store, 1, &["a"]).await;
    append(&store, 2, &[Notebook::POISON]).await;
    append(&store, 2 + 7, &["a"]).await;
    // Not fed: the live one has parked nothing.
    let replay = replay(&store);
    let lock = replay.lock().await.unwrap();
    let rebuilt = replay.rebuild(&lock, pending()).await.unwrap();
    let (number, how) = (rebuilt.number(), Promotion::default());
    let refused = replay.promote(&lock, number, &how, pending()).await;
    let refused = refused.unwrap_err();
    let stream: StreamName = super::stream(2);
    let parked = [(stream.partition(2), stream)];
    assert!(
        matches!(&refused, ReplayError::Parked { streams } if streams[..] == parked),
        "{refused:?}"
    );
    let force = Promotion { force: true, ..how };
    let live = replay.promote(&lock, number, &force, pending()).await;
    assert_eq!(live.unwrap().number(), number);
    // The other way round nothing is missing, once the other has parked it too.
    let first = replay.previous().await.unwrap().unwrap().number();
    let back = replay.promote(&lock, first, &how, pending()).await;
    assert_eq!(back.unwrap().number(), first);
    let again = replay.promote(&lock, number, &how, pending()).await;
    assert_eq!(again.unwrap().number(), number);
}
