//! Promises of the relay's books.

use futures_util::future::join_all;

use crate::bus::{RelayMark, RelayMarks};
use crate::position::{Partition, Position};
use crate::time::Timestamp;

const FIRST: Partition = Partition::new(0);

fn mark(seq: u64, owner: &str) -> RelayMark {
    RelayMark {
        seq,
        position: Position::new(seq * 10),
        offset: seq * 20,
        owner: owner.to_owned(),
        lease_until: Timestamp::from_millis(1_700_000_000_000 + seq.cast_signed()),
    }
}

/// Before anybody owned it.
pub async fn has_no_mark_at_first(store: impl RelayMarks) {
    assert_eq!(store.latest("relay", FIRST).await.unwrap(), None);
}

/// Every field, and numbers past nine compared as numbers.
pub async fn gives_back_the_latest_as_it_was_inserted(store: impl RelayMarks) {
    for seq in 1..=12 {
        let mark = mark(seq, "a");
        assert!(store.insert("relay", FIRST, &mark).await.unwrap());
        let latest = store.latest("relay", FIRST).await.unwrap();
        assert_eq!(latest, Some(mark));
    }
}

/// A position may go back (the topic is filled again); the number still decides which is the latest.
pub async fn the_number_decides_and_not_the_position(store: impl RelayMarks) {
    assert!(store.insert("relay", FIRST, &mark(1, "a")).await.unwrap());
    let refill = RelayMark {
        position: Position::START,
        offset: 0,
        lease_until: Timestamp::from_millis(0),
        ..mark(2, "a")
    };
    assert!(store.insert("relay", FIRST, &refill).await.unwrap());
    let latest = store.latest("relay", FIRST).await.unwrap();
    assert_eq!(latest, Some(refill));
}

/// Insert-only: a taken number stays as it is, also for whoever took it.
pub async fn a_taken_number_is_refused(store: impl RelayMarks) {
    let first = mark(1, "a");
    assert!(store.insert("relay", FIRST, &first).await.unwrap());
    assert!(!store.insert("relay", FIRST, &mark(1, "b")).await.unwrap());
    assert!(!store.insert("relay", FIRST, &first).await.unwrap());
    let latest = store.latest("relay", FIRST).await.unwrap();
    assert_eq!(latest, Some(first.clone()));
    assert!(store.insert("relay", FIRST, &mark(2, "b")).await.unwrap());
    assert!(!store.insert("relay", FIRST, &first).await.unwrap());
    let latest = store.latest("relay", FIRST).await.unwrap();
    assert_eq!(latest, Some(mark(2, "b")));
}

/// Of any number of processes that want the next number, one gets it.
pub async fn of_rivals_exactly_one_inserts_a_number(store: impl RelayMarks) {
    for seq in 1..=5 {
        let marks: Vec<_> = ["a", "b", "c", "d"].map(|owner| mark(seq, owner)).into();
        let inserts = marks.iter().map(|mark| store.insert("relay", FIRST, mark));
        let inserted: Vec<bool> = join_all(inserts)
            .await
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(inserted.iter().filter(|&&won| won).count(), 1);
        let winner = inserted.iter().position(|&won| won).unwrap();
        let latest = store.latest("relay", FIRST).await.unwrap();
        assert_eq!(latest.as_ref(), Some(&marks[winner]));
    }
}

/// Each has its own book.
pub async fn keeps_relays_and_partitions_apart(store: impl RelayMarks) {
    assert!(store.insert("a", FIRST, &mark(1, "x")).await.unwrap());
    assert_eq!(store.latest("b", FIRST).await.unwrap(), None);
    let second = Partition::new(1);
    assert_eq!(store.latest("a", second).await.unwrap(), None);
    assert!(store.insert("b", FIRST, &mark(1, "y")).await.unwrap());
    assert!(store.insert("a", second, &mark(1, "z")).await.unwrap());
    let latest = store.latest("a", FIRST).await.unwrap();
    assert_eq!(latest, Some(mark(1, "x")));
}
