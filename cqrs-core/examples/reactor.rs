//! Moves money between two accounts, and gives it back where it cannot arrive: `cargo run --example reactor`.
//!
//! No transaction spans the two accounts. The sender's event makes a reactor send the receiver a command; where that
//! is refused, the reactor compensates. Both command ids are made from the event, so repeats change nothing; and
//! `Idempotency` remembers the refusal, so that what was refunded does not arrive later.

use std::future::pending;
use std::time::Duration;

use cqrs_core::{
    Actor, Aggregate, BoxError, Codec, Command, CommandId, Decide, Decided, DispatchError,
    Envelope, Executor, ExecutorOptions, Idempotency, Layered, Mediator, MemoryStore, Message,
    ReactError, Reaction, Reactor, ReactorRunner, ReadLog, RecordedEvent, RunnerOptions,
    StreamName, Timer, Timestamp, Version,
};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Opened {
    cents: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sent {
    to: String,
    cents: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Received {
    cents: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Refunded {
    cents: u64,
}

cqrs_core::events! {
    /// What happens to an account.
    #[derive(Debug, Clone)]
    enum AccountEvent {
        Opened = "opened" v1,
        Sent = "sent" v1,
        Received = "received" v1,
        Refunded = "refunded" v1,
    }
}

#[derive(Default)]
struct Account {
    open: bool,
    cents: u64,
}

impl Aggregate for Account {
    const CATEGORY: &'static str = "account";
    type Id = String;
    type Event = AccountEvent;

    fn evolve(mut self, event: &AccountEvent) -> Self {
        self.open = true;
        match event {
            AccountEvent::Opened(e) => self.cents = e.cents,
            AccountEvent::Sent(e) => self.cents -= e.cents,
            AccountEvent::Received(e) => self.cents += e.cents,
            AccountEvent::Refunded(e) => self.cents += e.cents,
        }
        self
    }
}

#[derive(Clone)]
enum What {
    Open(u64),
    Send { to: String, cents: u64 },
    Receive(u64),
    Refund(u64),
}

/// One of the things that can be asked of an account.
#[derive(Clone)]
struct Ask(String, What);

// A refusal is kept by the ledger, and so is stored.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum Refusal {
    #[error("the account is not open")]
    NotOpen,
    #[error("the balance is too small")]
    TooLittle,
}

impl Message for Ask {
    const NAME: &'static str = "ask-account";
    type Reply = ();
    type Error = Refusal;
}

impl Command for Ask {}

impl Decide<Ask> for Account {
    fn target(Ask(account, _): &Ask, _: &Envelope) -> String {
        account.clone()
    }

    fn decide(&self, ask: &Ask, _: &Envelope) -> Result<Vec<AccountEvent>, Refusal> {
        let cents = self.cents;
        Ok(vec![match &ask.1 {
            What::Open(cents) => Opened { cents: *cents }.into(),
            _ if !self.open => return Err(Refusal::NotOpen),
            What::Send { cents: more, .. } if *more > cents => return Err(Refusal::TooLittle),
            What::Send { to, cents } => Sent {
                to: to.clone(),
                cents: *cents,
            }
            .into(),
            What::Receive(cents) => Received { cents: *cents }.into(),
            What::Refund(cents) => Refunded { cents: *cents }.into(),
        }])
    }

    fn reply(_: &Ask, _: &Decided<'_, AccountEvent>) {}
}

type Accounts = Mediator<Layered<Idempotency<MemoryStore>, Executor<Account, MemoryStore>>>;

/// Sees a transfer through: the receiver gets the money, or else the sender has it back.
struct Transfers {
    accounts: Accounts,
    codec: Codec<AccountEvent>,
}

impl Reactor for Transfers {
    fn name(&self) -> &str {
        "transfers"
    }

    fn handles(&self, event_type: &str) -> bool {
        event_type == "sent"
    }

    async fn react(
        &self,
        event: &RecordedEvent<'_>,
        reaction: &Reaction<'_>,
    ) -> Result<(), ReactError> {
        let decoded = self.codec.decode(event.data);
        let decoded = decoded.map_err(|error| ReactError::GiveUp(error.into()))?;
        let AccountEvent::Sent(Sent { to, cents }) = decoded else {
            return Ok(());
        };
        let actor = event.commit.header.actor.clone();
        let receive = Ask(to, What::Receive(cents));
        let envelope = reaction.envelope(0, actor.clone());
        match self.accounts.send(receive, &envelope).await {
            Err(DispatchError::Refused(Refusal::NotOpen)) => {
                let sender = event.commit.stream.id().to_owned();
                let refund = Ask(sender, What::Refund(cents));
                let envelope = reaction.envelope(1, actor);
                Ok(self.accounts.send(refund, &envelope).await?)
            }
            other => Ok(other?),
        }
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

async fn balance(store: &MemoryStore, account: &str) -> Result<u64, BoxError> {
    let stream = StreamName::new(Account::CATEGORY, &account)?;
    let mut state = Account::default();
    for commit in store.read_stream(&stream, Version::EMPTY, 1_000).await? {
        for data in &commit.events {
            state = state.evolve(&Codec::new().decode(data)?);
        }
    }
    Ok(state.cents)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let store = MemoryStore::new(1);
    let executor = Executor::new(store.clone(), Codec::new(), ExecutorOptions::default());
    let accounts = Mediator::new(executor).with(Idempotency::new(store.clone()));
    let send = |to: &str, cents| What::Send {
        to: to.to_owned(),
        cents,
    };
    let asks = [
        ("ada", What::Open(500)),
        ("bob", What::Open(0)),
        ("ada", send("bob", 120)),
        ("ada", send("nobody", 300)),
    ];
    for (number, (account, what)) in (1u128..).zip(asks) {
        let id = CommandId::new(uuid::Uuid::from_u128(number));
        let envelope = Envelope::new(id, Actor::parse(account)?, Timestamp::from_millis(0));
        accounts
            .send(Ask(account.to_owned(), what), &envelope)
            .await?;
    }
    assert_eq!(balance(&store, "ada").await?, 80);

    // The second run has lost its checkpoints and reacts to everything again: nothing happens twice.
    // Not even though the receiver that was missing has opened by then.
    for checkpoints in [store.clone(), MemoryStore::new(1)] {
        let transfers = Transfers {
            accounts: accounts.clone(),
            codec: Codec::new(),
        };
        let options = RunnerOptions::default();
        let runner = ReactorRunner::new(store.clone(), checkpoints, transfers, TokioTimer, options);
        runner.catch_up(pending()).await?;
        assert_eq!(balance(&store, "ada").await?, 380);
        assert_eq!(balance(&store, "bob").await?, 120);
        let id = CommandId::new(uuid::Uuid::from_u128(9));
        let envelope = Envelope::new(id, Actor::parse("nobody")?, Timestamp::from_millis(0));
        let open = Ask("nobody".to_owned(), What::Open(0));
        accounts.send(open, &envelope).await?;
    }
    assert_eq!(balance(&store, "nobody").await?, 0);
    println!("ada has 380, bob has 120");
    Ok(())
}
