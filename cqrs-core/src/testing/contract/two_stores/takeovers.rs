//! A process stands still or is cut off, another goes on in its place, and then the first one's words arrive.

use std::pin::pin;

use futures_util::future::{Either, select};

use super::fuse::{Fuse, Slow, Stopping};
use super::*;
use crate::log::AppendError;

/// A process sends the command's insert off and stops; the insert arrives when the next one has answered.
async fn overtaken<L, I>(
    stores: &TwoStores<L, I>,
    number: u64,
    command: &Asked,
    meanwhile: impl AsyncFnOnce(),
) -> Answer
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    let TwoStores { log, intents, .. } = stores;
    let slow = Slow::new(log.clone());
    let first = Process::start(&slow, intents, u128::from(number) << 8 | 1);
    match select(pin!(first.ask(command)), pin!(slow.sent())).await {
        Either::Left((answer, _)) => panic!("answered {answer:?}, though nothing arrived"),
        Either::Right(_) => {}
    }
    drop(first);
    meanwhile().await;
    let second = Process::start(log, intents, u128::from(number) << 8 | 2);
    let answer = second.ask_again(command).await;
    let arrived = slow.arrive().await;
    assert_eq!(arrived.len(), 1);
    for late in arrived {
        let nothing = match &late {
            Ok(appended) => appended.repeated,
            Err(AppendError::Conflict { .. }) => true,
            Err(_) => false,
        };
        assert!(nothing, "the late insert took effect: {late:?}");
    }
    second.settle().await;
    took_effect_once(log, command, &answer).await;
    let third = Process::start(log, intents, u128::from(number) << 8 | 3);
    assert_eq!(third.ask_again(command).await, answer, "{command:?}");
    third.settle().await;
    assert_eq!(intents.expired(10).await.unwrap(), []);
    answer
}

/// With a key and without, with reservations and without, with a rival in its slot and without.
pub async fn a_slow_insert_lands_after_the_take_over<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    let mut number = 0;
    // Without either, nobody takes over.
    for (by, name) in [
        (By::Client, None),
        (By::Client, Some("slow")),
        (By::Nobody, Some("slow")),
    ] {
        for rival in [false, true] {
            number += 10;
            let x = stream(format!("slow{number}"));
            let name = name.map(|name| format!("{name}{number}"));
            let command = asked(number, by, Some(&x), name.as_deref());
            let answer = overtaken(&stores, number, &command, async || {
                if rival {
                    intrude(&stores.log, &x, number + 1, None).await;
                }
            });
            let version = answer.await.ok().map(|changed| changed.version);
            let expected = match (by, rival) {
                (_, false) => Some(1),
                (By::Client, true) => Some(2),
                (By::Nobody, true) => None,
            };
            assert_eq!(version, expected);
            let after = Process::start(&stores.log, &stores.intents, u128::from(number) << 8);
            if let Some(name) = name {
                names_are_unique(&after, &[&name], &[x]).await;
            }
        }
    }
}

/// The first attempt's insert is under way when the second finds that there is nothing to do any more.
pub async fn a_slow_insert_does_not_undo_a_refusal<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    let x = stream("late");
    let command = asked(1, By::Client, Some(&x), Some("same"));
    let answer = overtaken(&stores, 1, &command, async || {
        intrude(&stores.log, &x, 2, Some("same")).await;
    });
    assert_eq!(answer.await, Err("same name".to_owned()));
    let after = Process::start(&stores.log, &stores.intents, 8);
    names_are_unique(&after, &["same"], &[x]).await;
}

/// Its stream's name is made from the command's id: what the first attempt made, the second finds.
pub async fn a_creation_whose_fate_is_unknown_creates_once<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    for (number, name) in [(1, Some("new")), (2, None)] {
        let command = asked(number, By::Client, None, name);
        let answer = overtaken(&stores, number, &command, async || {}).await;
        let plate = stream(answer.unwrap().plate);
        assert_eq!(name_on(&stores.log, &plate).await.as_deref(), name);
    }
}

/// What was refused stays so, though it could be done by now; in every process, and for that request alone.
pub async fn an_answer_outlives_what_it_was_decided_on<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    let TwoStores { log, intents, .. } = &stores;
    let processes = [1, 2].map(|n| Process::start(log, intents, n));
    let (x, y) = (stream("x"), stream("y"));
    let to = |number, plate, name| asked(number, By::Client, Some(plate), Some(name));
    processes[0].ask(&to(1, &x, "a")).await.unwrap();
    processes[1].ask(&to(2, &y, "b")).await.unwrap();
    let refused = [to(3, &x, "a"), to(4, &x, "b")];
    let mut answers = Vec::new();
    for command in &refused {
        answers.push(processes[0].ask(command).await);
    }
    assert!(answers.iter().all(Answer::is_err), "{answers:?}");
    // Both would go now.
    processes[0].ask(&to(5, &x, "c")).await.unwrap();
    processes[1].ask(&to(6, &y, "d")).await.unwrap();
    for process in &processes {
        for (command, answer) in refused.iter().zip(&answers) {
            assert_eq!(process.ask(command).await, *answer, "{command:?}");
            took_effect_once(log, command, answer).await;
            let mut other = command.clone();
            other.envelope.identity = Identity::Keyed(RequestHash::new([8; 32]));
            let reused = process.send(&other).await;
            assert!(
                matches!(reused, Err(DispatchError::KeyReused)),
                "{reused:?}"
            );
        }
        process.settle().await;
    }
    names_are_unique(&processes[0], &["a", "b", "c", "d"], &[x, y]).await;
}

/// A process stands still around each of its words; another one refuses in its place; then what it was refused for is gone.
pub async fn who_stood_still_repeats_the_answer_of_who_took_over<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    // Before and after the claim's row is entered, before and after the append.
    for (point, appended) in [(0, false), (1, false), (2, false), (3, true)] {
        let fuse = Fuse::at(i64::MAX);
        let log = Stopping {
            inner: stores.log.clone(),
            fuse: fuse.clone(),
        };
        let intents = Stopping {
            inner: stores.intents.clone(),
            fuse: fuse.clone(),
        };
        let number = u64::try_from(point).unwrap() * 10;
        let [still, other] = [1, 2].map(|nth| u128::from(number) << 8 | nth);
        let first = Process::start(&log, &intents, still);
        // The ledger is opened.
        let x = stream(format!("still{number}"));
        let warm = asked(number + 1, By::Client, Some(&x), None);
        first.ask(&warm).await.unwrap();
        first.settle().await;

        let mut command = asked(number + 2, By::Client, Some(&x), None);
        command.change.spared = Some(format!("kept{number}"));
        fuse.set(point);
        let mut standing = pin!(first.ask(&command));
        if let Either::Left((answer, _)) = select(standing.as_mut(), pin!(fuse.blown())).await {
            panic!("answered {answer:?} at {point}, and never stood still");
        }
        let names = [format!("kept{number}"), format!("gone{number}")];
        intrude(&stores.log, &x, number + 3, Some(&names[0])).await;
        let second = Process::start(&stores.log, &stores.intents, other);
        let answer = second.ask(&command).await;
        assert_eq!(answer.is_ok(), appended, "{point}: {answer:?}");
        intrude(&stores.log, &x, number + 4, Some(&names[1])).await;
        fuse.mend();
        assert_eq!(standing.await, answer, "stood still at {point}");
        took_effect_once(&stores.log, &command, &answer).await;
        second.settle().await;
        let third = Process::start(&stores.log, &stores.intents, other + 1);
        assert_eq!(third.ask(&command).await, answer, "stood still at {point}");
        assert_eq!(stores.intents.expired(10).await.unwrap(), []);
    }
}

/// One process stops after it has claimed, the next one at each step of refusing in its place; then it could be done. What
/// stands in the log outlives the ledger.
pub async fn stopped_while_it_answers_for_another<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    let TwoStores { log, intents, .. } = &stores;
    let (mut stopped, mut number) = (true, 0);
    let mut logged = Vec::new();
    while stopped {
        number += 10;
        let process = |nth| u128::from(number) << 8 | nth;
        let x = stream(format!("for{number}"));
        let mut command = asked(number, By::Client, Some(&x), None);
        command.change.spared = Some(format!("kept{number}"));
        let coordinator = Process::start(log, intents, process(1)).coordinator;
        let (id, time) = (command.envelope.command_id, command.envelope.time);
        let request = command.envelope.identity.request().unwrap();
        drop(coordinator.claim(id, request, time).await.unwrap());
        intrude(log, &x, number + 1, Some(&format!("kept{number}"))).await;

        let fuse = Fuse::at(i64::try_from(number / 10).unwrap() - 1);
        let its_log = Stopping {
            inner: log.clone(),
            fuse: fuse.clone(),
        };
        let its_intents = Stopping {
            inner: intents.clone(),
            fuse: fuse.clone(),
        };
        let second = Process::start(&its_log, &its_intents, process(2));
        let given = match select(pin!(second.ask(&command)), pin!(fuse.blown())).await {
            Either::Left((answer, _)) => Some(answer),
            Either::Right(_) => None,
        };
        stopped = given.is_none();
        drop(second);
        intrude(log, &x, number + 2, Some(&format!("gone{number}"))).await;
        let found = log.find_commit(id).await.unwrap();
        let is_logged = found.as_ref().and_then(LoggedAnswer::of).is_some();
        let third = Process::start(log, intents, process(3));
        let answer = third.ask(&command).await;
        assert_eq!(answer.is_err(), is_logged, "{number}: {found:?}");
        assert!(given.is_none_or(|given| given == answer));
        took_effect_once(log, &command, &answer).await;
        third.settle().await;
        let fourth = Process::start(log, intents, process(4));
        assert_eq!(fourth.ask(&command).await, answer, "{number}");
        if is_logged {
            logged.push((command, answer));
        }
    }
    // Where it was not stopped, and at least once between log and ledger.
    assert!(logged.len() > 1, "{logged:?}");
    let elsewhere = Process::start(log, &stores.spare, 9);
    for (command, answer) in logged {
        assert_eq!(elsewhere.ask(&command).await, answer, "{command:?}");
    }
}
