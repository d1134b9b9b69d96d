//! A behaviour of one's own: a budget of commands for each actor, around a thermostat.
//!
//! `cargo run -p cqrs-core --example custom_behaviour`

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, PoisonError};

use cqrs_core::{
    Actor, Behaviour, BoxError, Command, CommandId, DispatchError, DispatchResult, Envelope,
    Handler, Mediator, Message, Registry, Timestamp,
};
use uuid::Uuid;

/// Warms, or with a negative number cools.
struct Warm {
    degrees: i32,
}

impl Message for Warm {
    const NAME: &'static str = "Warm";
    type Reply = i32;
    type Error = Infallible;
}

impl Command for Warm {}

struct Thermostat(AtomicI32);

impl Handler<Warm> for Thermostat {
    async fn handle(&self, command: Warm, _: &Envelope) -> DispatchResult<Warm> {
        let before = self.0.fetch_add(command.degrees, Ordering::Relaxed);
        Ok(before + command.degrees)
    }
}

/// Lets each actor send so many messages, of whatever kind, and no more.
struct Budget {
    each: u32,
    spent: Mutex<BTreeMap<Actor, u32>>,
}

impl Budget {
    fn new(each: u32) -> Self {
        let spent = Mutex::default();
        Self { each, spent }
    }

    fn spend(&self, actor: &Actor) -> bool {
        // A count stays right whoever panicked while holding it.
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let count = spent.entry(actor.clone()).or_default();
        *count += 1;
        *count <= self.each
    }
}

impl<M: Message> Behaviour<M> for Budget {
    async fn around<N: Handler<M>>(
        &self,
        message: M,
        envelope: &Envelope,
        next: &N,
    ) -> DispatchResult<M> {
        if self.spend(&envelope.actor) {
            next.handle(message, envelope).await
        } else {
            Err(DispatchError::Overloaded)
        }
    }
}

fn from(actor: &str, number: u128) -> Result<Envelope, BoxError> {
    let id = CommandId::new(Uuid::from_u128(number));
    let time = Timestamp::from_millis(0);
    Ok(Envelope::new(id, Actor::parse(actor)?, time))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), BoxError> {
    let thermostat = || Thermostat(AtomicI32::new(18));

    // Known to the compiler: the budget is compiled into the call.
    let mediator = Mediator::new(thermostat()).with(Budget::new(2));
    let mut said = Vec::new();
    for (number, actor) in ["ada", "ada", "ada", "bob"].into_iter().enumerate() {
        let envelope = from(actor, number as u128)?;
        said.push(match mediator.send(Warm { degrees: 2 }, &envelope).await {
            Ok(now) => format!("{actor}: {now} degrees"),
            Err(error) => format!("{actor}: {error}"),
        });
    }
    println!("{}", said.join("\n"));
    assert_eq!(
        said,
        [
            "ada: 20 degrees",
            "ada: 22 degrees",
            "ada: a queue is full",
            "bob: 24 degrees",
        ]
    );

    // Registered while the program starts: the same behaviour, the same handler.
    let dispatcher = Registry::new()
        .with(Budget::new(1))
        .command::<Warm, _>(thermostat())
        .requires::<Warm>()
        .build()?;
    let cooled = dispatcher
        .send(Warm { degrees: -3 }, &from("ada", 9)?)
        .await?;
    println!("ada: {cooled} degrees");
    assert_eq!(cooled, 15);
    let again = dispatcher
        .send(Warm { degrees: -3 }, &from("ada", 10)?)
        .await;
    assert!(matches!(again, Err(DispatchError::Overloaded)));
    Ok(())
}
