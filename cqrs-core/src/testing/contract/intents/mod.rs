//! Promises of a ledger's store that stands beside a log ([`IntentStore`]), one transition at a time.
//!
//! In three parts: rows of commands, intents and their values, and what is folded from the log.

pub mod claims;
pub mod fold;
pub mod values;

use std::time::Duration;

use bytes::Bytes;
use uuid::Uuid;

use crate::coordinator::{
    Advance, Entered, Entry, Footing, Intended, Intent, IntentError, IntentStore, Known, Landed,
    Lease,
};
use crate::envelope::{CommandId, RequestHash};
use crate::ledger::ReservedValue;
use crate::position::{Partition, Position};
use crate::stream::StreamName;
use crate::time::Timestamp;
use crate::version::Version;

const REQUEST: RequestHash = RequestHash::new([1; 32]);
const FIRST: Uuid = Uuid::from_u128(0xa);
const SECOND: Uuid = Uuid::from_u128(0xb);
const P0: Partition = Partition::new(0);
const P1: Partition = Partition::new(1);

fn id(number: u64) -> CommandId {
    CommandId::new(Uuid::from_u64_pair(0x1ed9, number))
}

/// Longer than any test takes.
fn long(owner: Uuid) -> Lease {
    let span = Duration::from_secs(3_600);
    Lease { owner, span }
}

fn over(owner: Uuid) -> Lease {
    let span = Duration::ZERO;
    Lease { owner, span }
}

fn keyed(number: u64) -> Entry {
    Entry {
        command: id(number),
        request: Some(REQUEST),
        time: Timestamp::from_millis(1_700_000_000_123),
        attempt: None,
    }
}

fn unkeyed(number: u64) -> Entry {
    Entry {
        request: None,
        ..keyed(number)
    }
}

fn held(entry: Entry, attempt: u32) -> Entry {
    Entry {
        attempt: Some(attempt),
        ..entry
    }
}

fn value(text: &str) -> ReservedValue {
    ReservedValue::new("handle", text)
}

fn values(texts: &[&str]) -> Vec<ReservedValue> {
    texts.iter().map(|text| value(text)).collect()
}

/// Checkpoint rows at the start of two partitions.
async fn begin(store: &impl IntentStore) {
    for partition in [P0, P1] {
        let advance = Advance {
            partition,
            from: None,
            to: Position::START,
        };
        assert!(store.fold(advance, &[]).await.unwrap());
    }
}

/// Does `call` on a footing that stands, whatever connections the store opens meanwhile.
async fn standing<R>(
    store: &impl IntentStore,
    call: impl AsyncFn(Footing) -> Result<R, IntentError>,
) -> R {
    for _ in 0..100 {
        let footing = Footing {
            session: store.session(),
            folded: [Position::START; 2].into(),
        };
        match call(footing).await {
            Err(IntentError::Lost) => {}
            done => return done.unwrap(),
        }
    }
    panic!("the ledger does not stand")
}

async fn claim(store: &impl IntentStore, entry: Entry, lease: Lease) -> Entered {
    standing(store, async |f| store.claim(&entry, lease, &f).await).await
}

async fn take_over(store: &impl IntentStore, number: u64, attempt: u32, lease: Lease) -> bool {
    let take = async |f: Footing| store.take_over(id(number), attempt, lease, &f).await;
    standing(store, take).await
}

/// What is found of a command; its row is made where there was none.
async fn known(store: &impl IntentStore, number: u64) -> Known {
    match claim(store, keyed(number), long(SECOND)).await {
        Entered::Known(known) => known,
        Entered::Granted => panic!("there was no row"),
    }
}

async fn absent(store: &impl IntentStore, number: u64) {
    let entered = claim(store, keyed(number), long(SECOND)).await;
    assert_eq!(entered, Entered::Granted);
    store.let_go(id(number), 1).await.unwrap();
}

fn commit_of(entry: &Entry) -> Bytes {
    Bytes::from(format!("commit of {}\0\u{e9}", entry.command))
}

async fn intend(
    store: &impl IntentStore,
    entry: Entry,
    slot: (&StreamName, u64),
    reserve: &[&str],
    lease: Lease,
) -> Intended {
    let (commit, reserve) = (commit_of(&entry), values(reserve));
    standing(store, async |footing| {
        let intent = Intent {
            entry: &entry,
            stream: slot.0,
            version: Version::new(slot.1),
            commit: &commit,
            reserve: &reserve,
        };
        store.intend(intent, lease, &footing).await
    })
    .await
}

/// A commit of one event to `stream`, whose version it makes `version`.
fn landed(
    entry: Entry,
    stream: &StreamName,
    version: u64,
    reserve: &[&str],
    release: &[&str],
) -> Landed {
    Landed {
        command: entry.command,
        request: entry.request,
        time: entry.time,
        stream: stream.clone(),
        before: Version::new(version - 1),
        version: Version::new(version),
        reserve: values(reserve),
        release: values(release),
    }
}

async fn fold(store: &impl IntentStore, partition: Partition, to: u64, commits: &[Landed]) {
    let advance = Advance {
        partition,
        from: Some(Position::new(to - commits.len() as u64)),
        to: Position::new(to),
    };
    assert!(store.fold(advance, commits).await.unwrap());
}

/// The stream that holds `text`, and whether it is only pending.
async fn holds(store: &impl IntentStore, text: &str) -> Option<(StreamName, bool)> {
    let holder = store.holder(&value(text)).await.unwrap();
    holder.map(|holder| (holder.stream, holder.pending))
}
