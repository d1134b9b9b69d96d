//! An account: decided, made durable, asked for again under the same id, and found refused.

use std::error::Error;

use cqrs_core::testing::{envelope, given};
use cqrs_core::{
    Aggregate, Codec, Command, Decide, Decided, DispatchError, Envelope, Executor, ExecutorOptions,
    Identity, Mediator, MemoryStore, Message, Tracing,
};
use serde::{Deserialize, Serialize};

// What happens to an account. The stored names are for ever.

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Deposited {
    cents: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Withdrawn {
    cents: u64,
}

cqrs_core::events! {
    #[derive(Debug, Clone, PartialEq)]
    enum AccountEvent {
        Deposited = "deposited" v1,
        Withdrawn = "withdrawn" v1,
    }
}

// The state that decisions need, folded from events.

#[derive(Debug, Default)]
struct Account {
    balance: u64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;

    fn evolve(self, event: &AccountEvent) -> Self {
        let balance = match event {
            AccountEvent::Deposited(deposited) => self.balance + deposited.cents,
            AccountEvent::Withdrawn(withdrawn) => self.balance - withdrawn.cents,
        };
        Self { balance }
    }
}

// Two commands, each with its own reply and error.

struct Deposit {
    account: String,
    cents: u64,
}

impl Message for Deposit {
    const NAME: &'static str = "Deposit";
    type Reply = u64;
    type Error = std::convert::Infallible;
}
impl Command for Deposit {}

impl Decide<Deposit> for Account {
    fn target(command: &Deposit, _: &Envelope) -> String {
        command.account.clone()
    }

    fn decide(
        &self,
        command: &Deposit,
        _: &Envelope,
    ) -> Result<Vec<AccountEvent>, std::convert::Infallible> {
        match command.cents {
            0 => Ok(vec![]),
            cents => Ok(vec![Deposited { cents }.into()]),
        }
    }

    fn reply(_: &Deposit, decided: &Decided<'_, AccountEvent>) -> u64 {
        decided.version.get()
    }
}

struct Withdraw {
    account: String,
    cents: u64,
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("{missing} cents are missing")]
struct Overdrawn {
    missing: u64,
}

impl Message for Withdraw {
    const NAME: &'static str = "Withdraw";
    type Reply = u64;
    type Error = Overdrawn;
}
impl Command for Withdraw {}

impl Decide<Withdraw> for Account {
    fn target(command: &Withdraw, _: &Envelope) -> String {
        command.account.clone()
    }

    fn decide(&self, command: &Withdraw, _: &Envelope) -> Result<Vec<AccountEvent>, Overdrawn> {
        let cents = command.cents;
        match cents.checked_sub(self.balance) {
            Some(missing) if missing > 0 => Err(Overdrawn { missing }),
            _ => Ok(vec![Withdrawn { cents }.into()]),
        }
    }

    fn reply(_: &Withdraw, decided: &Decided<'_, AccountEvent>) -> u64 {
        decided.version.get()
    }
}

fn deposit(cents: u64) -> Deposit {
    let account = "ada".to_owned();
    Deposit { account, cents }
}

fn withdraw(cents: u64) -> Withdraw {
    let account = "ada".to_owned();
    Withdraw { account, cents }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // Decisions are plain functions: no store, no runtime.
    given::<Account>([Deposited { cents: 100 }.into()])
        .when(withdraw(150), &envelope("ada"))
        .then_error(Overdrawn { missing: 50 });

    // Another store behind the executor is the only difference to production.
    let executor: Executor<Account, _> = Executor::new(
        MemoryStore::new(1),
        Codec::new(),
        ExecutorOptions::default(),
    );
    let bank = Mediator::new(executor).with(Tracing);

    assert_eq!(bank.send(deposit(100), &envelope("ada")).await?, 1);
    assert_eq!(bank.send(deposit(0), &envelope("ada")).await?, 1);

    // Asked for twice under one id, it happens once, and the answer is the same.
    let once = envelope("ada").with_identity(Identity::Derived);
    assert_eq!(bank.send(withdraw(80), &once).await?, 2);
    assert_eq!(bank.send(withdraw(80), &once).await?, 2);

    match bank.send(withdraw(80), &envelope("ada")).await {
        Err(DispatchError::Refused(Overdrawn { missing })) => println!("{missing} cents missing"),
        other => return Err(format!("expected to be overdrawn, got {other:?}").into()),
    }
    Ok(())
}
