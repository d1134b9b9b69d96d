//! Rows of commands.

use bytes::Bytes;
use futures_util::future::join_all;

use super::*;
use crate::coordinator::{KnownState, Stored};

async fn answer(store: &impl IntentStore, entry: Entry, answer: &Bytes) -> Stored {
    standing(store, async |f| store.answer(&entry, answer, &f).await).await
}

/// The second finds the first one's row: request, time, attempt, owner, lease.
pub async fn grants_a_new_command_once(store: impl IntentStore) {
    begin(&store).await;
    assert_eq!(claim(&store, keyed(1), long(FIRST)).await, Entered::Granted);
    let mut later = keyed(1);
    later.request = Some(RequestHash::new([2; 32]));
    later.time = Timestamp::from_millis(-5);
    let Entered::Known(known) = claim(&store, later, long(SECOND)).await else {
        panic!("granted twice")
    };
    assert_eq!(
        (known.request, known.time),
        (keyed(1).request, keyed(1).time)
    );
    assert_eq!(known.attempt, 1);
    assert!(
        matches!(known.state, KnownState::Claimed { owner: FIRST, left } if !left.is_zero()),
        "{known:?}"
    );
    assert_eq!(
        claim(&store, keyed(2), long(SECOND)).await,
        Entered::Granted
    );
}

/// Of eight at once, one.
pub async fn grants_one_of_those_who_claim_at_once(store: impl IntentStore) {
    begin(&store).await;
    for number in 0..10 {
        let rivals = (0..8).map(|n| claim(&store, keyed(number), long(Uuid::from_u128(n))));
        let granted = join_all(rivals).await;
        let granted = granted.iter().filter(|e| **e == Entered::Granted).count();
        assert_eq!(granted, 1, "of command {number}");
    }
}

/// Without the checkpoint rows, or with one behind, nothing is granted and nothing happens.
pub async fn grants_nothing_without_its_footing(store: impl IntentStore) {
    store.checkpoints().await.unwrap();
    let footing = |folded: [u64; 2]| Footing {
        session: store.session(),
        folded: folded.map(Position::new).into(),
    };
    let lost = async |folded| {
        let claimed = store.claim(&keyed(1), long(FIRST), &footing(folded)).await;
        assert!(matches!(claimed, Err(IntentError::Lost)), "{claimed:?}");
        let answer = Bytes::from_static(b"no");
        let answered = store.answer(&keyed(1), &answer, &footing(folded)).await;
        assert!(matches!(answered, Err(IntentError::Lost)), "{answered:?}");
        let entry = unkeyed(1);
        let intent = Intent {
            entry: &entry,
            stream: &super::super::stream(1),
            version: Version::EMPTY,
            commit: &answer,
            reserve: &values(&["a"]),
        };
        let intended = store.intend(intent, long(FIRST), &footing(folded)).await;
        assert!(matches!(intended, Err(IntentError::Lost)), "{intended:?}");
    };
    lost([0, 0]).await;
    begin(&store).await;
    lost([1, 0]).await;
    lost([0, 1]).await;
    fold(
        &store,
        P0,
        1,
        &[landed(unkeyed(9), &super::super::stream(9), 1, &[], &[])],
    )
    .await;
    lost([2, 0]).await;
    lost([0, 1]).await;
    assert_eq!(holds(&store, "a").await, None);
    absent(&store, 1).await;
    assert_eq!(claim(&store, keyed(3), over(FIRST)).await, Entered::Granted);
    let taken = store
        .take_over(id(3), 1, long(SECOND), &footing([2, 0]))
        .await;
    assert!(matches!(taken, Err(IntentError::Lost)), "{taken:?}");
    assert_eq!(known(&store, 3).await.attempt, 1);
}

/// Neither a running lease nor another attempt; but one's own, at any time.
pub async fn takes_over_what_nobody_holds(store: impl IntentStore) {
    begin(&store).await;
    claim(&store, keyed(1), long(FIRST)).await;
    assert!(!take_over(&store, 1, 1, long(SECOND)).await);
    assert!(!take_over(&store, 1, 2, long(FIRST)).await);
    assert!(take_over(&store, 1, 1, over(FIRST)).await);
    assert!(!take_over(&store, 1, 1, long(SECOND)).await);
    assert!(take_over(&store, 1, 2, long(SECOND)).await);
    let known = known(&store, 1).await;
    assert_eq!((known.attempt, known.time), (3, keyed(1).time));
    assert!(matches!(
        known.state,
        KnownState::Claimed { owner: SECOND, .. }
    ));
    assert!(!take_over(&store, 2, 1, long(SECOND)).await, "no row");
}

/// Of eight at once, one.
pub async fn one_of_many_takes_over(store: impl IntentStore) {
    begin(&store).await;
    for number in 0..10 {
        claim(&store, keyed(number), over(FIRST)).await;
        let rivals = (1..9).map(|n| take_over(&store, number, 1, long(Uuid::from_u128(n << 8))));
        let won = join_all(rivals).await;
        assert_eq!(won.iter().filter(|won| **won).count(), 1);
        assert_eq!(known(&store, number).await.attempt, 2);
    }
}

/// The holder's, as that attempt; many at once.
pub async fn renews_what_is_held(store: impl IntentStore) {
    begin(&store).await;
    for number in 1..=3 {
        claim(&store, keyed(number), over(FIRST)).await;
    }
    store.renew(&[(id(3), 1)], long(SECOND)).await.unwrap();
    let held = [(id(1), 1), (id(2), 7), (id(9), 1)];
    store.renew(&held, long(FIRST)).await.unwrap();
    store.renew(&[], long(FIRST)).await.unwrap();
    assert!(!take_over(&store, 1, 1, long(SECOND)).await);
    assert!(take_over(&store, 2, 1, long(SECOND)).await);
    assert!(take_over(&store, 3, 1, long(SECOND)).await);
}

/// Byte for byte, once, by who holds it.
pub async fn stores_the_first_answer(store: impl IntentStore) {
    begin(&store).await;
    let first = Bytes::from_static(b"{\"no\": \"\xc3\xa9\"}\0\xff");
    let other = Bytes::from_static(b"other");
    claim(&store, keyed(1), over(FIRST)).await;
    take_over(&store, 1, 1, long(SECOND)).await;
    let late = answer(&store, held(keyed(1), 1), &other).await;
    assert!(matches!(late, Stored::Known(known) if known.attempt == 2));
    let stored = answer(&store, held(keyed(1), 2), &first).await;
    assert_eq!(stored, Stored::Stored);
    for entry in [keyed(1), held(keyed(1), 2)] {
        let again = answer(&store, entry, &other).await;
        assert!(matches!(again, Stored::Known(_)), "{again:?}");
    }
    assert_eq!(known(&store, 1).await.state, KnownState::Answered(first));
    assert!(!take_over(&store, 1, 2, long(SECOND)).await);
}

/// In one call: entered and answered.
pub async fn answers_what_nobody_claimed(store: impl IntentStore) {
    begin(&store).await;
    let empty = Bytes::new();
    assert_eq!(answer(&store, keyed(1), &empty).await, Stored::Stored);
    let known = known(&store, 1).await;
    assert_eq!(
        (known.request, known.time),
        (keyed(1).request, keyed(1).time)
    );
    assert_eq!(known.state, KnownState::Answered(empty.clone()));
    claim(&store, keyed(2), long(FIRST)).await;
    let running = answer(&store, keyed(2), &empty).await;
    assert!(matches!(running, Stored::Known(known) if known.attempt == 1));
}

/// A row that was held and is gone: the ledger is another than it was.
pub async fn a_held_row_that_is_gone_is_a_loss(store: impl IntentStore) {
    begin(&store).await;
    let footing = || Footing {
        session: store.session(),
        folded: [Position::START; 2].into(),
    };
    let answer = Bytes::from_static(b"no");
    let answered = store.answer(&held(keyed(1), 1), &answer, &footing()).await;
    assert!(matches!(answered, Err(IntentError::Lost)), "{answered:?}");
    let entry = held(keyed(1), 1);
    let intent = Intent {
        entry: &entry,
        stream: &super::super::stream(1),
        version: Version::EMPTY,
        commit: &answer,
        reserve: &[],
    };
    let intended = store.intend(intent, long(FIRST), &footing()).await;
    assert!(matches!(intended, Err(IntentError::Lost)), "{intended:?}");
    absent(&store, 1).await;
}

/// The first attempt leaves nothing, a later one its number; what is not claimed stays.
pub async fn lets_go(store: impl IntentStore) {
    begin(&store).await;
    claim(&store, keyed(1), long(FIRST)).await;
    store.let_go(id(1), 2).await.unwrap();
    assert_eq!(known(&store, 1).await.attempt, 1);
    store.let_go(id(1), 1).await.unwrap();
    absent(&store, 1).await;

    claim(&store, keyed(2), over(FIRST)).await;
    take_over(&store, 2, 1, long(FIRST)).await;
    store.let_go(id(2), 2).await.unwrap();
    let let_go = known(&store, 2).await;
    assert_eq!(let_go.attempt, 2);
    assert!(matches!(let_go.state, KnownState::Claimed { left, .. } if left.is_zero()));

    let no = Bytes::from_static(b"no");
    answer(&store, held(keyed(2), 2), &no).await;
    store.let_go(id(2), 2).await.unwrap();
    assert_eq!(known(&store, 2).await.state, KnownState::Answered(no));
}
