use std::time::Duration;

use futures_util::FutureExt;
use uuid::Uuid;

use super::*;
use crate::bus::{ConsumeEvents, MemoryBus, PublishEvents};
use crate::coordinator::{CommandClaims, Entered, Entry, Footing, IntentError, Lease};
use crate::envelope::CommandId;
use crate::ledger::{Ledger, LedgerError, ReservedValue};
use crate::log::{AppendError, AppendToLog, ReadLog, TailLog};
use crate::memory::{MemoryIntents, MemoryStore};
use crate::position::{Partition, Position};
use crate::projection::CheckpointStore;
use crate::testing::ManualClock;
use crate::testing::contract::{commit, exactly, stream};
use crate::time::Timestamp;

const FIRST: Partition = Partition::new(0);

fn store(script: impl IntoIterator<Item = Fault>) -> Faulty<MemoryStore> {
    Faulty::new(MemoryStore::new(1), Faults::script(script))
}

#[tokio::test]
async fn an_append_lands_or_not_as_the_fault_says() {
    let cases = [
        (Fault::Before, 0),
        (Fault::Busy, 0),
        (Fault::Unknown, 1),
        (Fault::None, 1),
        (Fault::Delay(3), 1),
    ];
    for (fault, head) in cases {
        let store = store([fault]);
        let append = store.append(commit(1, &stream(1), exactly(0), &["{}"]));
        let answer = append.await;
        let said = match fault {
            Fault::Before | Fault::Unknown => matches!(answer, Err(AppendError::Store { .. })),
            Fault::Busy => matches!(answer, Err(AppendError::Overloaded)),
            Fault::None | Fault::Delay(_) => answer.is_ok(),
        };
        assert!(said, "{fault:?}: {answer:?}");
        let found = store.inner().head(FIRST).await.unwrap();
        assert_eq!(found, Position::new(head), "{fault:?}");
    }
}

#[tokio::test]
async fn a_delayed_call_has_its_effect_before_its_answer() {
    let store = store([Fault::Delay(1)]);
    let to = Position::new(3);
    let advance = store.advance("reader", FIRST, Position::START, to);
    let mut advance = std::pin::pin!(advance);
    assert!(advance.as_mut().now_or_never().is_none());
    let stands = CheckpointStore::load(store.inner(), "reader", FIRST).await;
    assert_eq!(stands.unwrap(), to);
    assert!(advance.await.unwrap());
}

#[tokio::test]
async fn a_busy_ledger_says_so() {
    let store = store([Fault::Busy, Fault::Before]);
    let value = ReservedValue::new("handle", "a");
    assert!(matches!(
        store.owner(&value).await,
        Err(LedgerError::Overloaded)
    ));
    assert!(matches!(
        store.owner(&value).await,
        Err(LedgerError::Store { .. })
    ));
    assert_eq!(store.owner(&value).await.unwrap(), None);
}

#[test]
fn a_seed_draws_the_same_faults_again_and_all_kinds_of_them() {
    let drawn = |seed| {
        let faults = Faults::seeded(seed, 50);
        (0..200).map(|_| faults.next()).collect::<Vec<_>>()
    };
    assert_eq!(drawn(7), drawn(7));
    assert_ne!(drawn(7), drawn(8));
    let drawn = drawn(7);
    for kind in [Fault::None, Fault::Before, Fault::Busy, Fault::Unknown] {
        assert!(drawn.contains(&kind), "{kind:?}");
    }
    assert!(drawn.iter().any(|fault| matches!(fault, Fault::Delay(_))));
    let none = Faults::seeded(7, 0);
    assert!((0..200).all(|_| none.next() == Fault::None));
}

#[tokio::test]
async fn a_bus_keeps_what_was_published_with_an_unknown_outcome() {
    let log = MemoryStore::new(1);
    let append = log.append(commit(1, &stream(1), exactly(0), &["1", "2"]));
    append.await.unwrap();
    let slice = log
        .read_partition(FIRST, Position::START, 10)
        .await
        .unwrap();
    let memory = MemoryBus::new();
    let bus = Faulty::new(
        memory.clone(),
        Faults::script([Fault::Before, Fault::Unknown]),
    );
    for there in [0, 2] {
        assert!(bus.publish(FIRST, &slice).await.is_err());
        assert_eq!(memory.records(FIRST).len(), there);
    }
    assert_eq!(bus.publish(FIRST, &slice).await.unwrap(), 4);

    let consumer = memory.consumer();
    consumer.assign([FIRST]);
    let faults = Faults::script([Fault::None, Fault::Unknown, Fault::None, Fault::Before]);
    let consumer = Faulty::new(consumer, faults);
    consumer.seek(FIRST, Position::START).await.unwrap();
    // Whoever does not learn what it was given seeks before it asks again.
    assert!(consumer.next(FIRST, 10).await.is_err());
    consumer.seek(FIRST, Position::START).await.unwrap();
    assert!(consumer.next(FIRST, 10).await.is_err());
    assert_eq!(consumer.next(FIRST, 10).await.unwrap().len(), 4);
}

#[tokio::test]
async fn a_claim_is_there_or_not_as_the_fault_says() {
    let cases = [
        (Fault::Before, false),
        (Fault::Busy, false),
        (Fault::Unknown, true),
        (Fault::None, true),
    ];
    for (fault, there) in cases {
        let intents = MemoryIntents::new(Arc::new(ManualClock::default()));
        let store = Faulty::new(intents, Faults::script([fault]));
        let lease = Lease {
            owner: Uuid::nil(),
            span: Duration::from_secs(1),
        };
        let footing = Footing {
            session: 0,
            folded: Arc::default(),
        };
        let entry = Entry {
            command: CommandId::new(Uuid::nil()),
            request: None,
            time: Timestamp::from_millis(0),
            attempt: None,
        };
        let told = store.claim(&entry, lease, &footing).await;
        let said = match fault {
            Fault::Busy => matches!(told, Err(IntentError::Overloaded)),
            Fault::None => matches!(told, Ok(Entered::Granted)),
            _ => matches!(told, Err(IntentError::Store { .. })),
        };
        assert!(said, "{fault:?}: {told:?}");
        let again = store.inner().claim(&entry, lease, &footing).await.unwrap();
        assert_eq!(matches!(again, Entered::Known(_)), there, "{fault:?}");
    }
}
