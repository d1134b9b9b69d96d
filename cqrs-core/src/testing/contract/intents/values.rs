//! Intents, and the values that they hold.

use futures_util::future::join_all;

use super::super::stream;
use super::*;
use crate::coordinator::{Holder, KnownState, OpenIntent};

const OPENED: Intended = Intended::Opened { attempt: 1 };

fn open(intended: Intended) -> OpenIntent {
    match intended {
        Intended::Blocked(open) => open,
        other => panic!("expected an open intent, got {other:?}"),
    }
}

/// In one call: entered and open; with everything that recovery needs.
pub async fn opens_an_intent_that_nobody_claimed(store: impl IntentStore) {
    begin(&store).await;
    let x = stream("x");
    let opened = intend(&store, keyed(1), (&x, 0), &["a", "b"], long(FIRST)).await;
    assert_eq!(opened, OPENED);
    let known = known(&store, 1).await;
    assert_eq!(
        (known.request, known.time),
        (keyed(1).request, keyed(1).time)
    );
    let KnownState::Intent(open) = known.state else {
        panic!("expected an intent, got {known:?}")
    };
    assert!(!open.left.is_zero() && !open.contested, "{open:?}");
    assert_eq!((open.command, open.attempt, open.owner), (id(1), 1, FIRST));
    assert_eq!(open.commit, commit_of(&keyed(1)));
    for text in ["a", "b"] {
        assert_eq!(holds(&store, text).await, Some((x.clone(), true)));
    }
    assert!(
        matches!(store.holder(&value("a")).await.unwrap(), Some(Holder { open: Some(open), .. })
            if open.command == id(1))
    );
    let again = intend(&store, keyed(1), (&x, 0), &["a"], long(SECOND)).await;
    assert!(
        matches!(again, Intended::Known(known) if matches!(known.state, KnownState::Intent(_)))
    );
}

/// Who was taken over opens none.
pub async fn opens_an_intent_for_the_attempt_that_holds_the_claim(store: impl IntentStore) {
    begin(&store).await;
    let x = stream("x");
    claim(&store, keyed(1), over(FIRST)).await;
    take_over(&store, 1, 1, long(SECOND)).await;
    for late in [keyed(1), held(keyed(1), 1)] {
        let late = intend(&store, late, (&x, 0), &["a"], long(FIRST)).await;
        assert!(matches!(late, Intended::Known(known) if known.attempt == 2));
    }
    assert_eq!(holds(&store, "a").await, None);
    let mut second = held(keyed(1), 2);
    second.time = Timestamp::from_millis(7);
    let opened = intend(&store, second, (&x, 0), &["a"], long(SECOND)).await;
    assert_eq!(opened, Intended::Opened { attempt: 2 });
    assert_eq!(
        known(&store, 1).await.time,
        keyed(1).time,
        "the first one's"
    );
}

/// The stream's, or that of a value's stream; and then nothing is left behind.
pub async fn an_open_intent_stands_in_the_way(store: impl IntentStore) {
    begin(&store).await;
    let (x, y) = (stream("x"), stream("y"));
    intend(&store, unkeyed(1), (&x, 0), &["b"], long(FIRST)).await;
    let same = open(intend(&store, unkeyed(2), (&x, 1), &["c"], long(SECOND)).await);
    assert_eq!((same.command, same.commit), (id(1), commit_of(&keyed(1))));
    claim(&store, keyed(3), long(SECOND)).await;
    let rival = held(keyed(3), 1);
    let rival = open(intend(&store, rival, (&y, 0), &["a", "b", "c"], long(SECOND)).await);
    assert_eq!(rival.command, id(1));
    for text in ["a", "c"] {
        assert_eq!(holds(&store, text).await, None);
    }
    assert!(matches!(
        known(&store, 3).await.state,
        KnownState::Claimed { .. }
    ));
    absent(&store, 2).await;
}

/// Told by name and owner; nothing is left behind.
pub async fn a_confirmed_value_is_taken(store: impl IntentStore) {
    begin(&store).await;
    let (x, y) = (stream("x"), stream("y"));
    intend(&store, unkeyed(1), (&x, 0), &["b"], long(FIRST)).await;
    let done = landed(unkeyed(1), &x, 1, &["b"], &[]);
    store.finish(&[done]).await.unwrap();
    assert_eq!(holds(&store, "b").await, Some((x.clone(), false)));
    let refused = intend(&store, unkeyed(2), (&y, 0), &["a", "b", "c"], long(FIRST)).await;
    let (value, owner) = (value("b"), x.clone());
    assert_eq!(refused, Intended::Taken { value, owner });
    assert_eq!(holds(&store, "a").await, None);
    absent(&store, 2).await;
    // While its owner is about to append, that may be about to let it go.
    intend(&store, unkeyed(3), (&x, 1), &["d"], long(FIRST)).await;
    let wait = intend(&store, unkeyed(2), (&y, 0), &["b"], long(FIRST)).await;
    assert_eq!(open(wait).command, id(3));
    // Its owner may take it again.
    let done = landed(unkeyed(3), &x, 2, &["d"], &[]);
    store.finish(&[done]).await.unwrap();
    let again = intend(&store, unkeyed(4), (&x, 2), &["b"], long(FIRST)).await;
    assert_eq!(again, OPENED);
    assert_eq!(holds(&store, "b").await, Some((x, false)));
}

/// Keyed: claimed again, as the same attempt. Else: nothing is left. Owned values stay.
pub async fn a_dropped_intent_frees_its_values(store: impl IntentStore) {
    begin(&store).await;
    let x = stream("x");
    intend(&store, keyed(1), (&x, 0), &["a"], long(FIRST)).await;
    assert!(!store.drop_intent(id(1), 2).await.unwrap());
    assert!(store.drop_intent(id(1), 1).await.unwrap());
    assert!(!store.drop_intent(id(1), 1).await.unwrap());
    assert_eq!(holds(&store, "a").await, None);
    assert!(
        !take_over(&store, 1, 1, long(SECOND)).await,
        "the lease stays"
    );
    let again = intend(&store, held(keyed(1), 1), (&x, 0), &["a"], long(FIRST)).await;
    assert_eq!(again, OPENED);
    let done = landed(keyed(1), &x, 1, &["a"], &[]);
    store.finish(&[done]).await.unwrap();
    assert!(!store.drop_intent(id(1), 1).await.unwrap());

    intend(&store, unkeyed(2), (&x, 1), &["a", "b"], long(FIRST)).await;
    assert!(store.drop_intent(id(2), 1).await.unwrap());
    assert_eq!(holds(&store, "a").await, Some((x, false)));
    assert_eq!(holds(&store, "b").await, None);
    absent(&store, 2).await;
}

/// With the commit, for whoever rolls it forward.
pub async fn finds_intents_whose_lease_is_over(store: impl IntentStore) {
    begin(&store).await;
    for n in 1..=4 {
        let lease = if n == 4 { long(FIRST) } else { over(FIRST) };
        intend(&store, unkeyed(n), (&stream(n), 0), &[], lease).await;
    }
    claim(&store, keyed(5), over(FIRST)).await;
    let expired = store.expired(10).await.unwrap();
    let mut found: Vec<_> = expired.iter().map(|open| open.command).collect();
    found.sort_unstable();
    assert_eq!(found, [id(1), id(2), id(3)]);
    for open in &expired {
        assert_eq!(
            open.commit,
            Bytes::from(format!("commit of {}\0\u{e9}", open.command))
        );
        assert!(open.left.is_zero() && open.attempt == 1);
    }
    assert_eq!(store.expired(2).await.unwrap().len(), 2);
    // A take-over holds it anew.
    assert!(take_over(&store, 2, 1, long(SECOND)).await);
    store.renew(&[(id(1), 1)], long(FIRST)).await.unwrap();
    let expired = store.expired(10).await.unwrap();
    assert!(matches!(&expired[..], [open] if open.command == id(3)));
}

/// Eight streams want the same two values: one gets both.
pub async fn of_rivals_one_holds_a_value(store: impl IntentStore) {
    begin(&store).await;
    for round in 0..10_u64 {
        let wanted = [format!("a{round}"), format!("b{round}")];
        let rivals = (0..8).map(|n| {
            let (number, stream) = (round * 8 + n, stream(format!("{round}.{n}")));
            let (store, wanted) = (&store, [wanted[0].as_str(), wanted[1].as_str()]);
            async move { intend(store, unkeyed(number), (&stream, 0), &wanted, long(FIRST)).await }
        });
        let outcomes = join_all(rivals).await;
        let opened = outcomes.iter().filter(|i| **i == OPENED).count();
        let blocked = |i: &&Intended| matches!(i, Intended::Blocked(_));
        let blocked = outcomes.iter().filter(blocked).count();
        assert_eq!((opened, blocked), (1, 7), "{outcomes:?}");
        let holders = [
            holds(&store, &wanted[0]).await,
            holds(&store, &wanted[1]).await,
        ];
        assert!(
            holders[0].is_some() && holders[0] == holders[1],
            "{holders:?}"
        );
    }
}

/// Values are compared by bytes: neither case, nor blanks, nor Unicode forms are folded; a commit may be large.
pub async fn keeps_values_and_commits_as_they_are(store: impl IntentStore) {
    begin(&store).await;
    let texts = [
        "a",
        "A",
        "a ",
        " a",
        "\u{e9}",
        "e\u{301}",
        "\u{df}",
        "ss",
        "\u{1f980}",
        "'a'",
    ];
    for (text, n) in texts.iter().zip(1..) {
        let opened = intend(&store, unkeyed(n), (&stream(n), 0), &[text], long(FIRST)).await;
        assert_eq!(opened, OPENED, "{text}");
    }
    let elsewhere = ReservedValue::new("email", "a");
    assert_eq!(store.holder(&elsewhere).await.unwrap(), None);
    let commit = Bytes::from(vec![0xa5; 4 << 20]);
    let entry = unkeyed(100);
    let large = stream("large");
    let opened = standing(&store, async |footing| {
        let intent = Intent {
            entry: &entry,
            stream: &large,
            version: Version::EMPTY,
            commit: &commit,
            reserve: &[],
        };
        store.intend(intent, long(FIRST), &footing).await
    });
    assert_eq!(opened.await, OPENED);
    let KnownState::Intent(open) = known(&store, 100).await.state else {
        panic!("expected an intent")
    };
    assert!(
        open.commit == commit,
        "{} bytes came back",
        open.commit.len()
    );
}
