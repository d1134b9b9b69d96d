//! What the log holds, written into the ledger.

use super::super::stream;
use super::*;
use crate::coordinator::KnownState;

async fn done(store: &impl IntentStore, number: u64) {
    assert_eq!(known(store, number).await.state, KnownState::Done);
}

/// An intent with its values; a claim without; neither twice, nor what is not there.
pub async fn finishes_what_landed(store: impl IntentStore) {
    begin(&store).await;
    let x = stream("x");
    claim(&store, keyed(1), long(FIRST)).await;
    intend(&store, keyed(2), (&x, 1), &["a"], long(FIRST)).await;
    let batch = [
        landed(keyed(1), &x, 1, &[], &[]),
        landed(keyed(2), &x, 2, &["a"], &[]),
        landed(keyed(3), &x, 3, &["b"], &["a"]),
    ];
    for _ in 0..2 {
        store.finish(&batch).await.unwrap();
    }
    store.finish(&[]).await.unwrap();
    done(&store, 1).await;
    done(&store, 2).await;
    assert_eq!(holds(&store, "a").await, Some((x, false)));
    assert_eq!(holds(&store, "b").await, None);
    absent(&store, 3).await;
    assert!(!take_over(&store, 2, 1, long(FIRST)).await);
    assert_eq!(store.expired(10).await.unwrap(), []);
}

/// The commit of another attempt landed, with other values.
pub async fn lets_values_go_that_the_commit_lacks(store: impl IntentStore) {
    begin(&store).await;
    let x = stream("x");
    intend(&store, keyed(1), (&x, 0), &["a", "b"], long(FIRST)).await;
    let commit = landed(keyed(1), &x, 1, &["b", "c"], &[]);
    store.finish(&[commit]).await.unwrap();
    assert_eq!(holds(&store, "a").await, None);
    for text in ["b", "c"] {
        assert_eq!(holds(&store, text).await, Some((x.clone(), false)));
    }
}

/// Its effect on reservations needs its intent, or the fold, which keeps the order.
pub async fn a_claim_is_not_finished_with_reservations(store: impl IntentStore) {
    begin(&store).await;
    let x = stream("x");
    claim(&store, keyed(1), long(FIRST)).await;
    let commit = landed(keyed(1), &x, 1, &["a"], &[]);
    store.finish(std::slice::from_ref(&commit)).await.unwrap();
    assert!(matches!(
        known(&store, 1).await.state,
        KnownState::Claimed { .. }
    ));
    fold(&store, P0, 1, &[commit]).await;
    done(&store, 1).await;
    assert_eq!(holds(&store, "a").await, Some((x, false)));
}

/// Finished, it is free for others.
pub async fn a_released_value_is_free(store: impl IntentStore) {
    begin(&store).await;
    let (x, y) = (stream("x"), stream("y"));
    for (number, stream, reserve, release) in [
        (1, &x, "a", None),
        (2, &x, "b", Some("a")),
        (3, &y, "a", None),
        // Another's is not let go.
        (4, &y, "c", Some("b")),
    ] {
        let version = if number % 2 == 1 { 1 } else { 2 };
        let slot = (stream, version - 1);
        let opened = intend(&store, unkeyed(number), slot, &[reserve], long(FIRST)).await;
        assert_eq!(opened, Intended::Opened { attempt: 1 });
        let release: Vec<_> = release.into_iter().collect();
        let commit = landed(unkeyed(number), stream, version, &[reserve], &release);
        store.finish(&[commit]).await.unwrap();
    }
    assert_eq!(holds(&store, "a").await, Some((y.clone(), false)));
    assert_eq!(holds(&store, "b").await, Some((x, false)));
    assert_eq!(holds(&store, "c").await, Some((y, false)));
}

/// a, b, a again; the finish and the fold of the first changes come late, and repeated.
pub async fn a_late_finish_frees_nothing_newer(store: impl IntentStore) {
    begin(&store).await;
    let x = stream("x");
    let changes = [
        landed(unkeyed(1), &x, 1, &["a"], &[]),
        landed(unkeyed(2), &x, 2, &["b"], &["a"]),
        landed(unkeyed(3), &x, 3, &["a"], &["b"]),
    ];
    for (change, version) in changes.iter().zip(0..) {
        let texts: Vec<_> = change.reserve.iter().map(ReservedValue::value).collect();
        let entry = Entry {
            command: change.command,
            ..unkeyed(0)
        };
        intend(&store, entry, (&x, version), &texts, long(FIRST)).await;
        store.finish(std::slice::from_ref(change)).await.unwrap();
    }
    for late in [&changes[1..2], &changes[..1], &changes[..]] {
        store.finish(late).await.unwrap();
        assert_eq!(holds(&store, "a").await, Some((x.clone(), false)));
        assert_eq!(holds(&store, "b").await, None);
    }
    fold(&store, P0, 2, &changes[..2]).await;
    assert_eq!(holds(&store, "a").await, Some((x.clone(), false)));
    fold(&store, P0, 3, &changes[2..]).await;
    assert_eq!(holds(&store, "a").await, Some((x, false)));
    assert_eq!(holds(&store, "b").await, None);
}

/// Compare-and-set; whoever is wrong about where it stands changes nothing.
pub async fn the_checkpoint_moves_only_from_where_it_stands(store: impl IntentStore) {
    assert_eq!(store.checkpoints().await.unwrap(), []);
    begin(&store).await;
    let x = stream("x");
    let commits = [landed(keyed(1), &x, 1, &["a"], &[])];
    for from in [None, Some(Position::new(1))] {
        let advance = Advance {
            partition: P0,
            from,
            to: Position::new(2),
        };
        assert!(!store.fold(advance, &commits).await.unwrap());
    }
    absent(&store, 1).await;
    assert_eq!(holds(&store, "a").await, None);
    fold(&store, P0, 1, &commits).await;
    let mut checkpoints = store.checkpoints().await.unwrap();
    checkpoints.sort_unstable();
    assert_eq!(checkpoints, [(P0, Position::new(1)), (P1, Position::START)]);
}

/// The log decides: whatever the row says.
pub async fn folds_rows_whatever_they_are(store: impl IntentStore) {
    begin(&store).await;
    let streams = [1, 2, 3, 4].map(stream);
    claim(&store, keyed(1), long(FIRST)).await;
    let refusal = Bytes::from_static(b"no");
    let answered = standing(&store, async |f| {
        store.answer(&keyed(2), &refusal, &f).await
    });
    answered.await;
    intend(&store, keyed(3), (&streams[2], 0), &["3"], long(FIRST)).await;
    let commits: Vec<_> = (1..=4)
        .zip(&streams)
        .map(|(n, stream)| landed(keyed(n), stream, 1, &[n.to_string().as_str()], &[]))
        .collect();
    fold(&store, P0, 4, &commits).await;
    for (number, stream) in (1..=4).zip(&streams) {
        done(&store, number).await;
        let holder = holds(&store, &number.to_string()).await;
        assert_eq!(holder, Some((stream.clone(), false)));
    }
    let known = known(&store, 4).await;
    assert_eq!(
        (known.request, known.time),
        (keyed(4).request, keyed(4).time)
    );
    let next = intend(&store, unkeyed(9), (&streams[2], 1), &[], long(FIRST)).await;
    assert_eq!(next, Intended::Opened { attempt: 1 });
}

/// x took a and let it go, then y took it: the same end, whichever partition is folded first.
pub async fn makes_a_lost_ledger_whole_in_any_order(store: impl IntentStore) {
    begin(&store).await;
    let (x, y, z) = (stream("x"), stream("y"), stream("z"));
    fold(&store, P1, 1, &[landed(unkeyed(3), &y, 1, &["a"], &[])]).await;
    assert_eq!(holds(&store, "a").await, Some((y.clone(), false)));
    fold(
        &store,
        P0,
        1,
        &[landed(unkeyed(1), &x, 1, &["a", "b"], &[])],
    )
    .await;
    fold(
        &store,
        P0,
        2,
        &[landed(unkeyed(2), &x, 2, &[], &["a", "b"])],
    )
    .await;
    assert_eq!(holds(&store, "a").await, Some((y.clone(), false)));
    assert_eq!(holds(&store, "b").await, None);
    // And z took it from y before x did.
    fold(&store, P0, 3, &[landed(unkeyed(4), &z, 1, &["c"], &[])]).await;
    fold(&store, P1, 2, &[landed(unkeyed(5), &y, 2, &["c"], &[])]).await;
    assert_eq!(holds(&store, "c").await, Some((z.clone(), false)));
    fold(&store, P0, 4, &[landed(unkeyed(6), &z, 2, &[], &["c"])]).await;
    assert_eq!(holds(&store, "c").await, Some((y, false)));
}

/// A restored intent whose value the log gives to another stream.
pub async fn a_restored_intent_is_contested(store: impl IntentStore) {
    begin(&store).await;
    let (x, y) = (stream("x"), stream("y"));
    intend(&store, unkeyed(1), (&x, 0), &["a"], over(FIRST)).await;
    assert!(!store.expired(1).await.unwrap()[0].contested);
    fold(&store, P0, 1, &[landed(unkeyed(2), &y, 1, &["a"], &[])]).await;
    assert!(store.expired(1).await.unwrap()[0].contested);
    assert!(store.drop_intent(id(1), 1).await.unwrap());
    assert_eq!(holds(&store, "a").await, Some((y, false)));
}
