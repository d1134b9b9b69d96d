//! Promises about values that one stream owns.

use crate::ledger::{Ledger, Reservations, ReservedValue};
use crate::log::{AppendError, AppendToLog, Commit};
use crate::version::ExpectedVersion;

use super::{commit, stream};

fn value(text: &str) -> ReservedValue {
    ReservedValue::new("handle", text)
}

fn change(number: u64, id: &str, reserve: &[&str], release: &[&str]) -> Commit {
    let mut change = commit(number, &stream(id), ExpectedVersion::Any, &["{}"]);
    change.reservations = Reservations {
        reserve: reserve.iter().map(|text| value(text)).collect(),
        release: release.iter().map(|text| value(text)).collect(),
    };
    change
}

async fn owned_by(store: &impl Ledger, text: &str, id: Option<&str>) {
    let owner = store.owner(&value(text)).await.unwrap();
    assert_eq!(owner, id.map(stream), "the owner of {text}");
}

/// Who is second is refused, and told by whom; the same value of another scope is another value.
pub async fn a_value_has_one_owner(store: impl Ledger + AppendToLog) {
    owned_by(&store, "a", None).await;
    store.append(change(1, "x", &["a"], &[])).await.unwrap();
    owned_by(&store, "a", Some("x")).await;
    match store.append(change(2, "y", &["a"], &[])).await {
        Err(AppendError::Reserved {
            value: named,
            owner,
        }) => {
            assert_eq!((named, owner), (value("a"), stream("x")));
        }
        other => panic!("expected it to be reserved, got {other:?}"),
    }
    owned_by(&store, "A", None).await;
    let elsewhere = ReservedValue::new("email", "a");
    assert_eq!(store.owner(&elsewhere).await.unwrap(), None);
    // Its owner may take it again.
    store.append(change(3, "x", &["a"], &[])).await.unwrap();
}

/// Not even the values that were free.
pub async fn a_refused_reservation_leaves_nothing_behind(store: impl Ledger + AppendToLog) {
    store.append(change(1, "x", &["b"], &[])).await.unwrap();
    let refused = store.append(change(2, "y", &["a", "b", "c"], &[])).await;
    assert!(matches!(refused, Err(AppendError::Reserved { .. })));
    owned_by(&store, "a", None).await;
    owned_by(&store, "c", None).await;
    store
        .confirm(&stream("y"), ExpectedVersion::NoStream)
        .await
        .unwrap();
}

/// And can be taken by another.
pub async fn a_released_value_is_free(store: impl Ledger + AppendToLog) {
    store.append(change(1, "x", &["a"], &[])).await.unwrap();
    store.append(change(2, "x", &["b"], &["a"])).await.unwrap();
    owned_by(&store, "a", None).await;
    store.append(change(3, "y", &["a"], &[])).await.unwrap();
    owned_by(&store, "a", Some("y")).await;
    owned_by(&store, "b", Some("x")).await;
}

/// a, b, a again.
pub async fn a_value_given_up_and_taken_again_stays_with_its_stream(
    store: impl Ledger + AppendToLog,
) {
    store.append(change(1, "x", &["a"], &[])).await.unwrap();
    store.append(change(2, "x", &["b"], &["a"])).await.unwrap();
    store.append(change(3, "x", &["a"], &["b"])).await.unwrap();
    owned_by(&store, "a", Some("x")).await;
    owned_by(&store, "b", None).await;
}

/// It stays with its owner.
pub async fn nobody_releases_what_another_owns(store: impl Ledger + AppendToLog) {
    store.append(change(1, "x", &["a"], &[])).await.unwrap();
    store.append(change(2, "y", &[], &["a"])).await.unwrap();
    owned_by(&store, "a", Some("x")).await;
}
