//! The same promises of a store that is log and ledger in one: the process is stopped before and after each call that
//! writes, and another one comes after it.

use std::pin::pin;
use std::sync::Mutex;

use futures_util::future::{Either, select};

use super::fuse::{Fuse, Stopping};
use super::*;

/// A store, and what makes it the store of the next process: what was only in memory is gone.
#[derive(Debug)]
pub struct OneStore<S, R> {
    /// The store.
    pub store: S,
    /// Called once the process before has stopped.
    pub restart: R,
}

/// One process on it.
struct Life<S> {
    store: S,
    executor: Executor<Plate, S>,
}

impl<S: EventLog + Ledger + Clone> Life<S> {
    fn begin(store: &S) -> Self {
        let executor = Executor::new(store.clone(), Codec::new(), ExecutorOptions::default());
        Self {
            store: store.clone(),
            executor,
        }
    }

    /// As a client does that wants an answer.
    async fn ask(&self, asked: &Asked) -> Answer {
        for _ in 0..20 {
            let mediator = Mediator::new(self.executor.clone())
                .with(ConflictRetry::new(InstantTimer, SeededRandom::new(1)))
                .with(Idempotency::new(self.store.clone()));
            match mediator.send(asked.change.clone(), &asked.envelope).await {
                Ok(changed) => return Ok(changed),
                Err(DispatchError::Refused(_)) => return Err("same name".to_owned()),
                Err(DispatchError::Taken { value }) => return Err(format!("{value} is taken")),
                Err(DispatchError::Conflict { .. } | DispatchError::InProgress) => {}
                Err(other) => panic!("unexpected: {other:?}"),
            }
        }
        panic!("no answer to {asked:?}")
    }

    /// As whoever asks again does, or else the log.
    async fn ask_again(&self, asked: &Asked) -> Answer {
        if asked.envelope.identity != Identity::Fresh {
            return self.ask(asked).await;
        }
        let found = self.store.find_commit(asked.envelope.command_id).await;
        let found = found.unwrap().ok_or("it never happened")?;
        Ok(plate::Changed {
            plate: found.stream.id().to_owned(),
            version: found.version.get(),
            at: found.at.to_string(),
        })
    }
}

/// What is asked of the process that is stopped.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Rename(By),
    Refused,
    Taken,
    Polish(By),
    Create,
}

/// What another process does before the command is asked for again.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    Nothing,
    RivalForName,
    RivalOnStream,
}

async fn stop_everywhere<S, R>(one: OneStore<S, R>, kind: Kind)
where
    S: EventLog + Ledger + Clone,
    R: AsyncFn(S) -> S,
{
    let OneStore { mut store, restart } = one;
    let (mut run, mut stops) = (0, 0);
    for then in [Then::Nothing, Then::RivalForName, Then::RivalOnStream] {
        for point in 0.. {
            run += 1;
            let stopped;
            (store, stopped) = stop_at(store, &restart, kind, then, point, run).await;
            if !stopped {
                break;
            }
            stops += 1;
        }
    }
    assert!(stops >= 6, "stopped only {stops} times");
}

/// The store after it, and whether the process was stopped at `point`: otherwise all was done before.
async fn stop_at<S, R>(
    store: S,
    restart: &R,
    kind: Kind,
    then: Then,
    point: i64,
    run: u64,
) -> (S, bool)
where
    S: EventLog + Ledger + Clone,
    R: AsyncFn(S) -> S,
{
    let what = format!("{kind:?}, {then:?}, point {point}");
    let plates @ [x, y, z] = &["x", "y", "z"].map(|id| stream(format!("{run}{id}")));
    let names @ [a, b, c] = &["a", "b", "c"].map(|name| format!("{run}{name}"));
    let number = |n: u64| run * 100 + n;

    // x is named a, z is named c.
    let before = Life::begin(&store);
    for (n, plate, name) in [(1, x, a), (2, z, c)] {
        let named = asked(number(n), By::Client, Some(plate), Some(name));
        before.ask(&named).await.unwrap();
    }
    drop(before);
    let command = match kind {
        Kind::Rename(by) => asked(number(3), by, Some(x), Some(b)),
        Kind::Refused => asked(number(3), By::Client, Some(x), Some(a)),
        Kind::Taken => asked(number(3), By::Client, Some(x), Some(c)),
        Kind::Polish(by) => asked(number(3), by, Some(x), None),
        Kind::Create => asked(number(3), By::Client, None, Some(b)),
    };

    // The process that is stopped; perhaps it had answered.
    let answered = Mutex::new(None);
    let stopped = {
        let fuse = Fuse::at(point);
        let process = Life::begin(&Stopping {
            inner: store.clone(),
            fuse: fuse.clone(),
        });
        let life = async {
            let answer = process.ask(&command).await;
            *answered.lock().unwrap() = Some(answer);
        };
        matches!(
            select(pin!(life), pin!(fuse.blown())).await,
            Either::Right(_)
        )
    };
    let store = restart(store).await;

    let after = Life::begin(&store);
    match then {
        Then::Nothing => {}
        Then::RivalForName => {
            let rival = asked(number(5), By::Client, Some(y), Some(b));
            let answer = after.ask(&rival).await;
            took_effect_once(&store, &rival, &answer).await;
        }
        Then::RivalOnStream => intrude(&store, x, number(4), None).await,
    }
    let answer = after.ask_again(&command).await;
    if let Some(first) = answered.lock().unwrap().take() {
        assert_eq!(answer, first, "{what}: the first answer");
    }
    drop(after);
    let store = restart(store).await;
    let again = Life::begin(&store);
    let second = again.ask_again(&command).await;
    assert_eq!(second, answer, "{what}: the answer after that");
    drop(again);

    took_effect_once(&store, &command, &answer).await;
    let mut plates = plates.to_vec();
    plates.extend(answer.ok().map(|changed| stream(changed.plate)));
    plates.sort_unstable();
    plates.dedup();
    for name in names {
        let mut bearers = Vec::new();
        for plate in &plates {
            if name_on(&store, plate).await.as_ref() == Some(name) {
                bearers.push(plate.clone());
            }
        }
        assert!(bearers.len() <= 1, "{what}: {name} is on {bearers:?}");
        let owner = store.owner(&named(name)).await.unwrap();
        assert_eq!(owner, bearers.pop(), "{what}: the owner of {name}");
    }
    (store, stopped)
}

/// Declares a promise for each kind of command.
macro_rules! stopped_at {
    ($($(#[$docs:meta])* $name:ident: $kind:expr;)+) => {
        $(
            $(#[$docs])*
            pub async fn $name<S, R>(one: OneStore<S, R>)
            where
                S: EventLog + Ledger + Clone,
                R: AsyncFn(S) -> S,
            {
                stop_everywhere(one, $kind).await;
            }
        )+
    };
}

stopped_at! {
    /// Claim, append, settle.
    stopped_at_a_keyed_reservation: Kind::Rename(By::Client);
    /// Append.
    stopped_at_an_unkeyed_reservation: Kind::Rename(By::Nobody);
    /// Claim, settle with the answer.
    stopped_at_a_refusal: Kind::Refused;
    /// Claim, an append that is refused, settle with the answer.
    stopped_at_a_taken_value: Kind::Taken;
    /// Claim, append, settle.
    stopped_at_a_keyed_command: Kind::Polish(By::Client);
    /// Append.
    stopped_at_an_unkeyed_command: Kind::Polish(By::Nobody);
    /// Its id is made from the command's, so that every attempt means the same stream.
    stopped_at_a_creation_without_an_id: Kind::Create;
}
