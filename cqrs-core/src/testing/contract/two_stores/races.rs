//! Late inserts, late finishes, many at once, and a ledger that is lost.

use futures_util::future::join_all;

use super::fuse::{Fuse, Stopping};
use super::*;

/// a, b, a again, in two processes; the first change's finish comes last.
pub async fn a_finish_is_delayed_past_later_changes<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    let TwoStores { log, intents, .. } = &stores;
    let (x, y) = (stream("x"), stream("y"));
    let [first, second] = [1, 2].map(|n| Process::start(log, intents, n));
    let to = |number, name| asked(number, By::Client, Some(&x), Some(name));
    first.ask(&to(1, "a")).await.unwrap();
    first.settle().await;
    // Finished by the second, which finds its intent in the way; the first one's own finish waits.
    first.ask(&to(2, "b")).await.unwrap();
    second.ask(&to(3, "a")).await.unwrap();
    second.settle().await;
    first.settle().await;
    names_are_unique(&first, &["a", "b"], &[x.clone(), y.clone()]).await;
    assert_eq!(second.owner("a").await, Some(x.clone()));
    let taken = asked(4, By::Client, Some(&y), Some("a"));
    assert!(second.ask(&taken).await.is_err());
    let free = asked(5, By::Client, Some(&y), Some("b"));
    second.ask(&free).await.unwrap();
    names_are_unique(&second, &["a", "b"], &[x, y]).await;
}

/// One effect; each answer is the one answer, or that it runs. With another request: refused.
pub async fn one_key_many_times_at_once<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    let TwoStores { log, intents, .. } = &stores;
    let processes = [1, 2].map(|n| Process::start(log, intents, n));
    for (number, name) in [(1, Some("once")), (2, None)] {
        let x = stream(format!("once{number}"));
        let command = asked(number, By::Client, Some(&x), name);
        let all = (0..50).map(|n| processes[n % 2].send(&command));
        let mut given = Vec::new();
        for answer in join_all(all).await {
            match answer {
                Ok(answer) => given.push(answer),
                Err(DispatchError::InProgress | DispatchError::Conflict { .. }) => {}
                Err(other) => panic!("unexpected: {other:?}"),
            }
        }
        let answer = processes[0].ask(&command).await;
        took_effect_once(log, &command, &answer).await;
        let answer = answer.unwrap();
        assert!(given.iter().all(|given| *given == answer), "{given:?}");

        let mut other = command;
        other.envelope.identity = Identity::Keyed(RequestHash::new([8; 32]));
        for process in &processes {
            let reused = process.send(&other).await;
            assert!(
                matches!(reused, Err(DispatchError::KeyReused)),
                "{reused:?}"
            );
        }
    }
}

/// Eight plates in four processes, each after the other's names.
pub async fn racing_for_names<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    let TwoStores { log, intents, .. } = &stores;
    let processes = [1, 2, 3, 4].map(|n| Process::start(log, intents, n));
    let plates: Vec<_> = (0..8).map(|n| stream(format!("race{n}"))).collect();
    let names = ["a", "b", "c", "d", "e"];
    for round in 0..10_u64 {
        let racers = plates.iter().zip(0_u64..).map(|(plate, nth)| {
            let name = names[((nth * 3 + round * 7) % 5) as usize];
            let command = asked(round * 100 + nth + 1, By::Client, Some(plate), Some(name));
            let process = &processes[(nth % 4) as usize];
            async move {
                let answer = process.ask(&command).await;
                took_effect_once(log, &command, &answer).await;
            }
        });
        join_all(racers).await;
        names_are_unique(&processes[0], &names, &plates).await;
    }
    for process in &processes {
        process.settle().await;
    }
    names_are_unique(&processes[3], &names, &plates).await;
    assert_eq!(intents.expired(10).await.unwrap(), []);
}

/// Nothing takes effect twice, no name has two owners, though the ledger begins from nothing.
pub async fn a_lost_ledger_is_made_whole_from_the_log<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    let TwoStores {
        log,
        intents,
        spare,
    } = &stores;
    let plates: Vec<_> = (0..6).map(|n| stream(format!("lost{n}"))).collect();
    let names = ["a", "b", "c", "d", "e", "f", "g"];
    let before = Process::start(log, intents, 1);
    let mut history = Vec::new();
    for round in 0..5_u64 {
        for (plate, nth) in plates.iter().zip(0_u64..) {
            let name = names[((nth + round * 3) % 7) as usize];
            let command = asked(round * 10 + nth + 1, By::Client, Some(plate), Some(name));
            let answer = before.ask(&command).await;
            history.push((command, answer));
        }
    }
    before.settle().await;
    assert!(history.iter().any(|(_, answer)| answer.is_err()));
    drop(before);

    let after = Process::start(log, spare, 2);
    names_are_unique(&after, &names, &plates).await;
    for (command, answer) in &history {
        // Refusals live in the ledger alone.
        if answer.is_ok() {
            assert_eq!(after.ask(command).await, *answer);
        }
    }
    for (command, answer) in &history {
        if answer.is_err() {
            let answer = after.ask(command).await;
            took_effect_once(log, command, &answer).await;
        }
    }
    after.settle().await;
    names_are_unique(&after, &names, &plates).await;
}

/// Before its answer: the log's append; and for a key, a reservation or both, one call of the ledger.
pub async fn a_command_pays_for_what_it_uses<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    const POINTS: i64 = 1_000_000;
    let fuse = Fuse::at(POINTS);
    let log = Stopping {
        inner: stores.log.clone(),
        fuse: fuse.clone(),
    };
    let intents = Stopping {
        inner: stores.intents.clone(),
        fuse: fuse.clone(),
    };
    let process = Process::start(&log, &intents, 1);
    let x = stream("pays");
    // The ledger is opened, and the stream cached.
    let first = asked(1, By::Client, Some(&x), Some("a"));
    process.ask(&first).await.unwrap();
    process.settle().await;
    for (number, by, name, writes) in [
        (2, By::Nobody, None, 1),
        (3, By::Client, None, 2),
        (4, By::Nobody, Some("b"), 2),
        (5, By::Client, Some("c"), 2),
        // A refusal: its answer alone.
        (6, By::Client, Some("c"), 1),
    ] {
        // Whatever connections were opened meanwhile have been met by this one.
        let warm = asked(number + 100, By::Client, Some(&x), None);
        process.ask(&warm).await.unwrap();
        let before = fuse.writes(POINTS);
        let command = asked(number, by, Some(&x), name);
        assert_eq!(process.send(&command).await.is_ok(), number != 6);
        let made = fuse.writes(POINTS) - before;
        assert_eq!(made, writes, "{by:?} {name:?}");
        process.settle().await;
    }
}

/// One that does not pass on what has to be done before an append costs a call more, and harms nobody.
pub async fn a_wrapped_log_is_claimed_for_first<L, I>(stores: TwoStores<L, I>)
where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    const POINTS: i64 = 1_000_000;
    let fuse = Fuse::at(POINTS);
    let intents = Stopping {
        inner: stores.intents.clone(),
        fuse: fuse.clone(),
    };
    let Process { coordinator, .. } = Process::start(&stores.log, &intents, 1);
    let unaware = Stopping {
        inner: coordinator.clone(),
        fuse: Fuse::at(POINTS),
    };
    let executor = Executor::<Plate, _>::new(unaware, Codec::new(), ExecutorOptions::default());
    let mediator = Mediator::new(executor).with(Idempotency::new(coordinator.clone()));
    // A ledger that is new is opened by the first one.
    for number in [1, 2] {
        let before = fuse.writes(POINTS);
        let command = asked(number, By::Client, Some(&stream("wrapped")), None);
        let answer = mediator.send(command.change.clone(), &command.envelope);
        assert_eq!(answer.await.unwrap().version, number);
        assert!(fuse.writes(POINTS) > before, "it was not claimed");
    }
}

/// `keep` is called after half of the traffic, `lose` after the rest: it brings back what was there then, or nothing,
/// while the process runs on. Nothing takes effect twice, no name has two owners.
pub async fn a_ledger_is_lost_under_a_running_process<L, I>(
    stores: TwoStores<L, I>,
    keep: impl FnOnce(&I),
    lose: impl FnOnce(&I),
) where
    L: EventLog + Clone,
    I: IntentStore + Clone,
{
    let TwoStores { log, intents, .. } = &stores;
    let plates: Vec<_> = (0..5).map(|n| stream(format!("running{n}"))).collect();
    let names = ["a", "b", "c", "d", "e", "f"];
    let process = Process::start(log, intents, 1);
    let mut history = Vec::new();
    let mut keep = Some(keep);
    for round in 0..6_u64 {
        if round == 3
            && let Some(keep) = keep.take()
        {
            process.settle().await;
            keep(intents);
        }
        for (plate, nth) in plates.iter().zip(0_u64..) {
            let name = names[((nth + round * 5) % 6) as usize];
            let command = asked(round * 10 + nth + 1, By::Client, Some(plate), Some(name));
            let answer = process.ask(&command).await;
            history.push((command, answer));
        }
    }
    process.settle().await;
    lose(intents);
    for (command, answer) in &history {
        let again = process.ask(command).await;
        assert!(
            answer.is_err() || again == *answer,
            "{command:?}: {again:?}"
        );
        took_effect_once(log, command, &again).await;
        names_are_unique(&process, &names, &plates).await;
    }
    process.settle().await;
    names_are_unique(&process, &names, &plates).await;
    assert_eq!(intents.expired(10).await.unwrap(), []);
}
