//! The promises, over many seeds; and that the checks of them catch what they are there for.

#![expect(
    clippy::unwrap_used,
    reason = "clippy exempts tests, but not what they share"
)]

mod own;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use simulation::{Setup, run};

const SEEDS: u64 = 2_000;
/// Ten milliseconds of an optimised build, at two microseconds a poll: measured, see the documentation.
const TEN_MILLIS: u64 = 5_000;

fn setup(seed: u64) -> Setup {
    Setup {
        seed,
        record: false,
    }
}

/// Does `work` for each of `0..count`, on all cores; what it gave, in no order.
fn on_all_cores<R: Send>(count: u64, work: impl Fn(u64) -> Option<R> + Sync) -> Vec<R> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= count {
                        return;
                    }
                    found.lock().unwrap().extend(work(nth));
                }
            });
        }
    });
    found.into_inner().unwrap()
}

#[test]
fn two_thousand_seeds_keep_every_promise() {
    let (commits, polls) = (AtomicU64::new(0), AtomicU64::new(0));
    let broken = on_all_cores(SEEDS, |seed| {
        let outcome = run(setup(seed));
        commits.fetch_add(outcome.commits as u64, Ordering::Relaxed);
        polls.fetch_add(outcome.polls, Ordering::Relaxed);
        let first = outcome.violations.into_iter().next();
        first.map(|violation| format!("seed {seed}: {violation}"))
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    // They were not kept for want of anything to keep.
    assert!(commits.into_inner() > 3 * SEEDS);
    // What a seed takes of a core, without a clock.
    let mean = polls.into_inner() / SEEDS;
    assert!(mean < TEN_MILLIS * 3 / 5, "{mean} polls a seed");
}

#[test]
fn the_first_seed_takes_ten_milliseconds_or_less() {
    let polls = run(setup(0)).polls;
    assert!(polls <= TEN_MILLIS, "{polls} polls");
}

#[test]
fn a_seed_is_one_run_byte_for_byte() {
    for seed in 0..10 {
        let record = Setup { seed, record: true };
        let (first, again) = (run(record), run(record));
        assert_eq!(first.history, again.history, "seed {seed}");
        assert_eq!(first.digest, again.digest, "seed {seed}");
        assert_eq!(
            first.digest,
            run(setup(seed)).digest,
            "recording changes nothing"
        );
    }
}

/// A seed that catches the deliberate bug `name`: the one that the documentation's table names, or, where the code has
/// changed since, another.
#[cfg(feature = "mutants")]
fn catching(name: &'static str) -> u64 {
    let recorded = simulation::recorded(name);
    if let Some(seed) = recorded.filter(|seed| simulation::caught_by(name, *seed).is_some()) {
        return seed;
    }
    let found = simulation::hunt(name, 10_000);
    let (seed, _) = found.unwrap_or_else(|| panic!("`{name}` is not caught"));
    eprintln!("`{name}` is caught by seed {seed} now: make the table of docs/SIMULATION.md anew");
    seed
}

#[cfg(feature = "mutants")]
#[test]
fn every_mutant_is_caught() {
    let caught = on_all_cores(simulation::MUTANTS.len() as u64, |nth| {
        Some(catching(simulation::MUTANTS[usize::try_from(nth).unwrap()]))
    });
    assert_eq!(caught.len(), simulation::MUTANTS.len());
}

/// The bugs that there were once are deliberate ones now: a seed that catches one keeps every promise without it.
#[cfg(feature = "mutants")]
#[test]
fn what_was_found_stays_mended() {
    let found = [
        "evict what there must be room for",
        "answer a later attempt past the log",
        "fold no answer",
        "trust the checkpoint for ever",
        "who lost a partition tries again at once",
        "look at the new version and do not hold it",
    ];
    for name in found {
        let seed = catching(name);
        let violations = run(setup(seed)).violations;
        assert!(violations.is_empty(), "seed {seed}: {}", violations[0]);
    }
}

#[cfg(feature = "mutants")]
#[test]
fn the_documentation_names_the_seed_of_every_mutant() {
    for name in simulation::MUTANTS {
        assert!(
            simulation::recorded(name).is_some_and(|seed| seed < 10_000),
            "`{name}` is not in the table, or not caught within 10,000 seeds"
        );
    }
}
