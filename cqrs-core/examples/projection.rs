//! A read model of bank balances, made from the log: `cargo run --example projection`.

use std::collections::BTreeMap;
use std::future::pending;
use std::time::Duration;

use cqrs_core::{
    Actor, AppendToLog, BoxError, Codec, CommandId, Commit, CommitHeader, Envelope,
    ExpectedVersion, MemoryProjection, MemoryStore, ProjectionRunner, Reservations, RunnerOptions,
    StreamName, Timer, Timestamp,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Deposited {
    cents: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Withdrawn {
    cents: u64,
}

cqrs_core::events! {
    /// What happens to an account.
    #[derive(Debug, Clone)]
    enum AccountEvent {
        Deposited = "deposited" v1,
        Withdrawn = "withdrawn" v1,
    }
}

/// The runtime's timer: the library waits by none of its own.
struct TokioTimer;

impl Timer for TokioTimer {
    #[expect(clippy::disallowed_methods, reason = "a binary has a clock")]
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Appends `event` to `account`'s stream, where an executor would do so for a command.
async fn append(
    store: &MemoryStore,
    number: u128,
    account: &str,
    event: AccountEvent,
) -> Result<cqrs_core::LogPosition, BoxError> {
    let id = CommandId::new(uuid::Uuid::from_u128(number));
    let envelope = Envelope::new(id, Actor::parse("teller")?, Timestamp::from_millis(0));
    let commit = Commit {
        stream: StreamName::new("account", &account)?,
        expected: ExpectedVersion::Any,
        header: CommitHeader::from(&envelope),
        events: vec![Codec::new().encode(&event)?],
        reservations: Reservations::none(),
    };
    Ok(store.append(commit).await?.at)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let store = MemoryStore::new(4);
    append(&store, 1, "ada", Deposited { cents: 500 }.into()).await?;
    append(&store, 2, "bob", Deposited { cents: 200 }.into()).await?;

    let balances = MemoryProjection::of(
        "balances",
        Codec::<AccountEvent>::new(),
        BTreeMap::<String, u64>::new(),
        |balances, event, recorded| {
            let account = recorded.commit.stream.id().to_owned();
            let balance = balances.entry(account).or_default();
            let new = match event {
                AccountEvent::Deposited(e) => balance.checked_add(e.cents),
                AccountEvent::Withdrawn(e) => balance.checked_sub(e.cents),
            };
            // An error would park the account, and no other.
            *balance = new.ok_or("the balance leaves its range")?;
            Ok(())
        },
    );
    let options = RunnerOptions::default();
    let runner = ProjectionRunner::new(store.clone(), balances, TokioTimer, options);

    // Follow the log until what this very client wrote can be read: then its wait ends the run.
    let progress = runner.progress();
    let written = append(&store, 3, "ada", Withdrawn { cents: 120 }.into()).await?;
    runner.run(progress.reached(written)).await?;
    runner.catch_up(pending()).await?;
    let read = || runner.projection().read(Clone::clone);
    let expected = BTreeMap::from([("ada".to_owned(), 380), ("bob".to_owned(), 200)]);
    assert_eq!(read(), expected);

    // A rebuild empties the rows and applies the whole log again.
    runner.projection().rebuild();
    runner.reload();
    assert!(read().is_empty());
    runner.catch_up(pending()).await?;
    assert_eq!(read(), expected);
    println!("{expected:?}");
    Ok(())
}
