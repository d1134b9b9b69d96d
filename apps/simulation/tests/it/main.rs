//! The promises, over many seeds; and that the checks of them catch what they are there for.

#![expect(
    clippy::unwrap_used,
    reason = "clippy exempts tests, but not what they share"
)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use simulation::{Setup, run};

const SEEDS: u64 = 2_000;

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
    let commits = AtomicU64::new(0);
    let broken = on_all_cores(SEEDS, |seed| {
        let outcome = run(setup(seed));
        commits.fetch_add(outcome.commits as u64, Ordering::Relaxed);
        let first = outcome.violations.into_iter().next();
        first.map(|violation| format!("seed {seed}: {violation}"))
    });
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    // They were not kept for want of anything to keep.
    assert!(commits.into_inner() > 3 * SEEDS);
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

/// Each broke a promise once; what was wrong stands beside it.
#[test]
fn what_was_found_stays_mended() {
    // PostgreSQL lost its tail while the projector waited at the log's end, and never asked where its checkpoint stood.
    let lost_tails = [186, 322, 424, 1_738];
    // A stream that weighed more than the cache was loaded for ever, and never decided.
    let heavy_streams = [212];
    // A process stood still past its lease, and appended after another had answered in its place.
    let stood_still = [45_699, 135_086, 176_922];
    // The answer of a later attempt stood in the log, and its row stayed open in the ledger.
    let open_rows = [315_710, 325_995];
    let found = [&lost_tails[..], &heavy_streams, &stood_still, &open_rows];
    for &seed in found.into_iter().flatten() {
        let violations = run(setup(seed)).violations;
        assert!(violations.is_empty(), "seed {seed}: {}", violations[0]);
    }
}

/// Those that may need more than 10,000 seeds: see the documentation.
#[cfg(feature = "mutants")]
const UNCAUGHT: [&str; 4] = [
    "answer a later attempt past the log",
    "drop the attempt check",
    "sweep nothing",
    "withdraw an intent of unknown outcome",
];

/// By the seed that the documentation's table names. Where the code has changed since, another is looked for.
#[cfg(feature = "mutants")]
#[test]
fn every_mutant_is_caught() {
    let stale = on_all_cores(simulation::MUTANTS.len() as u64, |nth| {
        let name = simulation::MUTANTS[usize::try_from(nth).unwrap()];
        let recorded = simulation::recorded(name);
        let caught = recorded.and_then(|seed| simulation::caught_by(name, seed));
        (caught.is_none() && !UNCAUGHT.contains(&name)).then_some(name)
    });
    for name in stale {
        let found = simulation::hunt(name, 10_000);
        let (seed, _) = found.unwrap_or_else(|| panic!("`{name}` is not caught"));
        eprintln!(
            "`{name}` is caught by seed {seed} now: make the table of docs/SIMULATION.md anew"
        );
    }
}

#[cfg(feature = "mutants")]
#[test]
fn the_documentation_names_every_mutant() {
    let docs = include_str!("../../../../docs/SIMULATION.md");
    for name in simulation::MUTANTS {
        assert!(
            docs.contains(&format!("| {name} | ")),
            "`{name}` is not in the table"
        );
        assert_ne!(
            simulation::recorded(name).is_some(),
            UNCAUGHT.contains(name),
            "`{name}`"
        );
    }
}
