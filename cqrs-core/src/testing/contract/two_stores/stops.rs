//! The process is stopped before and after each of its writes, in every way that a command can go.

use std::pin::pin;
use std::sync::Mutex;

use futures_util::future::{Either, select};

use super::fuse::{Fuse, Stopping};
use super::*;

/// What the command is.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    /// A plate with a name gets another.
    Rename(By),
    /// A plate is asked to take the name that it has.
    Refused,
    /// A plate is asked to take another's.
    Taken,
    /// No value is involved.
    Polish(By),
    /// A new plate, whose id the command's makes.
    Create,
}

/// What happens between the stop and the retry.
#[derive(Debug, Clone, Copy)]
enum Then {
    Nothing,
    /// The background parts of another process come first.
    Sweep,
    /// Another plate wants the name.
    RivalForName,
}

async fn stop_everywhere<L, I>(stores: &TwoStores<L, I>, kind: Kind)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    let mut stops = 0;
    let mut run = 0;
    for then in [Then::Nothing, Then::Sweep, Then::RivalForName] {
        for rival_on_stream in [false, true] {
            let mut point = 0;
            loop {
                run += 1;
                let stopped = stop_at(stores, kind, then, rival_on_stream, point, run).await;
                if !stopped {
                    break;
                }
                stops += 1;
                point += 1;
            }
        }
    }
    let least = match kind {
        Kind::Refused => 2,
        Kind::Taken | Kind::Polish(By::Nobody) => 4,
        _ => 8,
    };
    assert!(stops >= 6 * least, "stopped only {} times", stops);
}

/// Whether the process was stopped at `point`: otherwise all was done before.
async fn stop_at<L, I>(
    stores: &TwoStores<L, I>,
    kind: Kind,
    then: Then,
    rival_on_stream: bool,
    point: i64,
    run: u64,
) -> bool
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    let TwoStores { log, intents, .. } = stores;
    let what = format!("{kind:?}, {then:?}, rival {rival_on_stream}, point {point}");
    let plates =
        ["x", "y", "z"].map(|id| stream(format!("{kind:?}{run}{id}").replace(['(', ')'], "")));
    let [x, y, z] = &plates;
    let names = ["a", "b", "c"].map(|name| format!("{kind:?}{run}{name}"));
    let [a, b, c] = names.each_ref().map(String::as_str);
    let number = |n: u64| (u64::from(kind_number(kind)) << 32) + run * 100 + n;
    let instance = |n: u64| u128::from(number(n)) + (1 << 64);

    // x is named a, z is named c, and all of it is settled.
    let before = Process::start(log, intents, instance(1));
    for (n, plate, name) in [(1, x, a), (2, z, c)] {
        before
            .ask(&asked(number(n), By::Client, Some(plate), Some(name)))
            .await
            .unwrap();
    }
    before.settle().await;
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
    let fuse = Fuse::at(point);
    let stopped = {
        let log = Stopping {
            inner: log.clone(),
            fuse: fuse.clone(),
        };
        let intents = Stopping {
            inner: intents.clone(),
            fuse: fuse.clone(),
        };
        let process = Process::start(&log, &intents, instance(2));
        let life = async {
            let answer = process.ask(&command).await;
            *answered.lock().unwrap() = Some(answer);
            process.settle().await;
        };
        matches!(
            select(pin!(life), pin!(fuse.blown())).await,
            Either::Right(_)
        )
    };

    if rival_on_stream {
        intrude(log, x, number(4), None).await;
    }
    let after = Process::start(log, intents, instance(3));
    match then {
        Then::Nothing => {}
        Then::Sweep => after.settle().await,
        Then::RivalForName => {
            let rival = asked(number(5), By::Client, Some(y), Some(b));
            let other = Process::start(log, intents, instance(4));
            let answer = other.ask(&rival).await;
            took_effect_once(log, &rival, &answer).await;
        }
    }
    let answer = after.ask_again(&command).await;
    if let Some(first) = answered.lock().unwrap().take() {
        assert_eq!(answer, first, "{what}: the first answer");
    }
    after.settle().await;
    let again = Process::start(log, intents, instance(5));
    assert_eq!(
        again.ask_again(&command).await,
        answer,
        "{what}: the answer after that"
    );
    again.settle().await;

    took_effect_once(log, &command, &answer).await;
    let open = intents.expired(10).await.unwrap();
    assert_eq!(open, [], "{what}: still open");
    let mut plates = plates.to_vec();
    plates.extend(answer.ok().map(|changed| stream(changed.plate)));
    plates.sort_unstable();
    plates.dedup();
    names_are_unique(&again, &[a, b, c], &plates).await;
    stopped
}

fn kind_number(kind: Kind) -> u32 {
    match kind {
        Kind::Rename(By::Client) => 1,
        Kind::Rename(By::Nobody) => 2,
        Kind::Refused => 3,
        Kind::Taken => 4,
        Kind::Polish(By::Client) => 5,
        Kind::Polish(By::Nobody) => 6,
        Kind::Create => 7,
    }
}

/// Intend, append, finish, fold; and, asked again, claim and take over.
pub async fn stopped_at_a_keyed_reservation<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    stop_everywhere(&stores, Kind::Rename(By::Client)).await;
}

/// Intend, append, finish, fold.
pub async fn stopped_at_an_unkeyed_reservation<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    stop_everywhere(&stores, Kind::Rename(By::Nobody)).await;
}

/// Answer.
pub async fn stopped_at_a_refusal<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    stop_everywhere(&stores, Kind::Refused).await;
}

/// An intent that is refused, answer.
pub async fn stopped_at_a_taken_value<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    stop_everywhere(&stores, Kind::Taken).await;
}

/// Admit, append, finish, fold.
pub async fn stopped_at_a_keyed_command<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    stop_everywhere(&stores, Kind::Polish(By::Client)).await;
}

/// Append alone: the ledger is not touched.
pub async fn stopped_at_a_command_of_the_log_alone<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    stop_everywhere(&stores, Kind::Polish(By::Nobody)).await;
}

/// Its id is made from the command's, so that every attempt means the same stream.
pub async fn stopped_at_a_creation_without_an_id<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    stop_everywhere(&stores, Kind::Create).await;
}
