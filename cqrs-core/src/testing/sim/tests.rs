use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};

use crate::time::{Clock, Timer};

use super::*;

const MILLI: Duration = Duration::from_millis(1);

/// Two processes that talk over an engine, and whatever faults the seed gives.
fn busy(seed: u64) -> (u64, Vec<String>, u64) {
    let sim = Sim::new(seed).recording();
    let counter = Arc::new(AtomicU64::new(0));
    let store = sim.engine("store");
    for name in ["a", "b"] {
        let counter = Arc::clone(&counter);
        sim.node(name, move |node| {
            let (sender, mut numbers) = mpsc::channel(2);
            let (wire, counter, timer) = (node.wire(store), Arc::clone(&counter), node.clone());
            node.spawn(async move {
                loop {
                    let counter = Arc::clone(&counter);
                    let add = move || counter.fetch_add(1, Ordering::Relaxed);
                    if let Ok(number) = wire.call("add", 50 * MILLI, add).await {
                        sender.send(number).await.unwrap();
                    }
                    timer.sleep(MILLI).await;
                }
            });
            let log = node.clone();
            node.spawn(async move {
                while let Some(number) = numbers.recv().await {
                    log.note(|| format!("got {number} at {}", log.now()));
                }
            });
        });
    }
    sim.follow(Plan::draw(seed, &sim, Duration::from_secs(2), 10));
    sim.run_for(Duration::from_secs(3));
    let digest = sim.digest();
    sim.close();
    (digest, sim.history(), counter.load(Ordering::Relaxed))
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let mut digests = Vec::new();
    for seed in 0..20 {
        let (first, again) = (busy(seed), busy(seed));
        assert_eq!(first.1, again.1, "seed {seed}");
        assert_eq!(first.0, again.0, "seed {seed}");
        assert!(first.2 > 0, "seed {seed} did nothing");
        digests.push(first.0);
    }
    digests.sort_unstable();
    digests.dedup();
    assert_eq!(digests.len(), 20);
}

/// A golden digest: who reads of a seed elsewhere meets the same run.
#[test]
fn a_run_is_the_same_on_every_machine() {
    let (digest, _, _) = busy(1);
    assert_eq!(digest, GOLDEN, "of all that changes it, this is the notice");
}

const GOLDEN: u64 = 1_941_454_926_107_174_147;

#[test]
fn a_crash_drops_what_runs_and_what_was_sent_arrives() {
    let sim = Sim::new(3);
    let (arrived, dropped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let store = sim.engine("store");
    let (counts, drops) = (Arc::clone(&arrived), Arc::clone(&dropped));
    let node = sim.node("p", move |node| {
        struct Guard(Arc<AtomicU64>);
        impl Drop for Guard {
            fn drop(&mut self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let (wire, counts) = (node.wire(store), Arc::clone(&counts));
        let guard = Guard(Arc::clone(&drops));
        node.spawn(async move {
            let _guard = guard;
            let add = move || counts.fetch_add(1, Ordering::Relaxed);
            let _ = wire.call("add", 50 * MILLI, add).await;
            std::future::pending::<()>().await;
        });
    });
    // Long enough to send, too short to arrive.
    sim.run_for(Duration::from_micros(30));
    assert_eq!(arrived.load(Ordering::Relaxed), 0);
    sim.crash(node);
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    sim.run_for(10 * MILLI);
    assert_eq!(arrived.load(Ordering::Relaxed), 1);
    sim.boot(node);
    sim.run_for(10 * MILLI);
    assert_eq!(arrived.load(Ordering::Relaxed), 2);
    sim.close();
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

#[test]
fn a_paused_process_wakes_as_a_zombie() {
    let sim = Sim::new(4);
    let beats = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&beats);
    let node = sim.node("p", move |node| {
        let (heard, timer) = (Arc::clone(&heard), node.clone());
        node.spawn(async move {
            loop {
                timer.sleep(10 * MILLI).await;
                heard.lock().unwrap().push(timer.sim().elapsed());
            }
        });
    });
    sim.run_for(25 * MILLI);
    sim.pause(node);
    sim.run_for(100 * MILLI);
    assert_eq!(beats.lock().unwrap().len(), 2);
    sim.resume(node);
    sim.run_for(10 * MILLI);
    let beats = beats.lock().unwrap().clone();
    // The timer that ran out meanwhile fires at once.
    assert!(
        beats[2] >= 125 * MILLI && beats[2] < 126 * MILLI,
        "{beats:?}"
    );
    sim.close();
}

#[test]
fn clocks_are_their_own_and_the_truth_is_nobodys() {
    let sim = Sim::new(5);
    let seen = Arc::new(Mutex::new(Vec::new()));
    for name in ["early", "late"] {
        let seen = Arc::clone(&seen);
        let id = sim.node(name, move |node| {
            let (seen, timer) = (Arc::clone(&seen), node.clone());
            node.spawn(async move {
                timer.sleep(MILLI).await;
                seen.lock().unwrap().push(timer.now());
            });
        });
        if name == "late" {
            sim.skew(id, -5_000);
        }
    }
    sim.run_for(10 * MILLI);
    let seen = seen.lock().unwrap().clone();
    let apart = (seen[0].as_millis() - seen[1].as_millis()).abs();
    assert_eq!(apart, 5_000);
    sim.close();
}

#[test]
fn nothing_gets_through_a_cut_and_all_of_it_afterwards() {
    let sim = Sim::new(6);
    let store = sim.engine("store");
    let answers = Arc::new(Mutex::new(Vec::new()));
    let told = Arc::clone(&answers);
    let node = sim.node("p", move |node| {
        let (wire, told) = (node.wire(store), Arc::clone(&told));
        node.spawn(async move {
            for _ in 0..3 {
                let answer = wire.call("ask", 100 * MILLI, || ()).await;
                told.lock().unwrap().push(answer.is_ok());
            }
        });
    });
    let span = 150 * MILLI;
    let cut = Fault::Cut {
        a: node,
        b: store,
        span,
    };
    sim.follow(Plan(vec![Planned {
        at: Duration::ZERO,
        fault: cut,
    }]));
    sim.run_for(Duration::from_secs(1));
    assert_eq!(*answers.lock().unwrap(), [false, false, true]);
    sim.close();
}

#[test]
fn every_order_of_two_ready_tasks_is_tried() {
    let orders: std::collections::BTreeSet<_> = (0..60)
        .map(|seed| {
            let sim = Sim::new(seed);
            let order = Arc::new(Mutex::new(Vec::new()));
            let told = Arc::clone(&order);
            sim.node("p", move |node| {
                let go = Arc::new(Notify::new());
                for name in 0..3 {
                    let (go, told) = (Arc::clone(&go), Arc::clone(&told));
                    node.spawn(async move {
                        go.notified().await;
                        told.lock().unwrap().push(name);
                    });
                }
                let timer = node.clone();
                node.spawn(async move {
                    timer.sleep(MILLI).await;
                    go.notify_waiters();
                });
            });
            sim.run_for(10 * MILLI);
            sim.close();
            let order = order.lock().unwrap();
            order.clone()
        })
        .collect();
    assert_eq!(orders.len(), 6);
}

#[test]
fn a_plan_is_shrunk_to_what_is_needed() {
    let sim = Sim::new(7);
    sim.engine("store");
    sim.node("p", |_| {});
    let plan = Plan::draw(7, &sim, Duration::from_secs(10), 40);
    let needed = [plan.0[3].clone(), plan.0[31].clone()];
    let fails = |plan: &Plan| needed.iter().all(|fault| plan.0.contains(fault));
    assert_eq!(shrink(plan, fails).0, needed);
}

/// A process that says "ask" each 10 ms, waits 5 ms for the answer, and falls into `traps`: when each word arrived, and when
/// it was through with it, in milliseconds.
fn trapped(seed: u64, traps: Vec<Trap>) -> (Vec<u128>, Vec<u128>) {
    let sim = Sim::new(seed);
    let store = sim.engine("store");
    let (arrived, done) = (
        Arc::new(Mutex::new(Vec::new())),
        Arc::new(Mutex::new(Vec::new())),
    );
    let (there, back) = (Arc::clone(&arrived), Arc::clone(&done));
    sim.node("p", move |node| {
        let (there, back) = (Arc::clone(&there), Arc::clone(&back));
        let (wire, timer) = (node.wire(store), node.clone());
        node.spawn(async move {
            loop {
                timer.sleep(10 * MILLI).await;
                let (there, now) = (Arc::clone(&there), timer.sim().clone());
                let run = move || there.lock().unwrap().push(now.elapsed().as_millis());
                let _ = wire.call("ask", 5 * MILLI, run).await;
                back.lock().unwrap().push(timer.sim().elapsed().as_millis());
            }
        });
    });
    sim.follow(Plan::default().with(Duration::ZERO, Fault::Traps(traps)));
    sim.run_for(120 * MILLI);
    sim.close();
    let (arrived, done) = (arrived.lock().unwrap(), done.lock().unwrap());
    (arrived.clone(), done.clone())
}

#[test]
fn a_trap_springs_once_the_one_before_it_has() {
    let trap = |snap| Trap { word: "ask", snap };
    let chain = vec![
        trap(Snap::Before(30 * MILLI)),
        trap(Snap::After(50 * MILLI)),
    ];
    let (arrived, done) = trapped(8, chain);
    // The first word is said late, the second is heard late.
    assert!((40..44).contains(&arrived[0]), "{arrived:?}");
    assert!((40..46).contains(&done[0]), "{done:?}");
    assert!((50..58).contains(&arrived[1]), "{arrived:?}");
    assert!((100..110).contains(&done[1]), "{done:?}");
    assert_eq!(arrived.len(), 3);
    let other = Trap {
        word: "another",
        snap: Snap::Before(50 * MILLI),
    };
    let (arrived, _) = trapped(8, vec![other, trap(Snap::Before(50 * MILLI))]);
    assert!(arrived.len() > 8, "{arrived:?}");
}

#[test]
fn a_process_crashes_at_the_very_word() {
    let word = "ask";
    let snap = Snap::Crash(40 * MILLI);
    let (arrived, done) = trapped(9, vec![Trap { word, snap }]);
    // It was said, and nothing came of the answer.
    assert!((10..12).contains(&arrived[0]), "{arrived:?}");
    assert!((60..66).contains(&done[0]), "{done:?}");
}

#[test]
fn a_late_word_arrives_when_all_that_was_said_meanwhile_is_given_up() {
    let word = "ask";
    let snap = Snap::Late(60 * MILLI);
    let (arrived, done) = trapped(10, vec![Trap { word, snap }]);
    assert!((70..72).contains(&arrived[0]), "{arrived:?}");
    // The caller has given it up long before, and others after it.
    assert!((15..17).contains(&done[0]) && done[3] < 70, "{done:?}");
}

#[test]
fn a_lost_word_never_arrives_and_is_known_to_be_lost_at_once() {
    let (word, snap) = ("ask", Snap::Lost);
    let (arrived, done) = trapped(11, vec![Trap { word, snap }]);
    assert!((10..12).contains(&done[0]), "{done:?}");
    assert!((20..24).contains(&arrived[0]), "{arrived:?}");
}
