//! The deliberate bugs, and how soon each is caught.

/// A deliberate bug.
#[derive(Debug, Clone, Copy)]
pub struct Mutant {
    /// What it is called where it is.
    pub name: &'static str,
    /// How many seeds, from 0 on, are enough to catch it, and to spare.
    pub within: u64,
}

const fn mutant(name: &'static str, within: u64) -> Mutant {
    Mutant { name, within }
}

/// All of them.
pub const MUTANTS: &[Mutant] = &[
    mutant("acknowledge before durable", 1_000),
    mutant("take an unknown outcome for a success", 1_000),
    mutant("renumber while the outcome is unknown", 1_000),
    mutant("no expected version", 1_000),
    mutant("leave a hole", 1_000),
    mutant("count another's commit as landed", 1_000),
    mutant("trust the cached head", 1_000),
    mutant("no unique index on slots", 1_000),
    mutant("a second attempt asks the log for nothing", 1_000),
    mutant("keep what did not land in the cache", 1_000),
    mutant("append at any version", 1_000),
    mutant("give a refusal that is not stored", 1_000),
    mutant("release a reservation on absent", 10_000),
    mutant("append before the row is entered", 1_000),
    mutant("withdraw an intent of unknown outcome", 10_000),
    mutant("append in spite of another owner", 1_000),
    mutant("sweep nothing", 10_000),
    mutant("a pending value is free", 1_000),
    mutant("count a slice without its delivery reports", 1_000),
    mutant("take what was taken before", 1_000),
    mutant("skip what is poisonous", 1_000),
    mutant("park the event and not its stream", 1_000),
    mutant("no compare-and-set of the checkpoint", 1_000),
    mutant("checkpoint before the rows", 1_000),
    mutant("trust the checkpoint for ever", 1_000),
    mutant("answer before the token is reached", 1_000),
    mutant("promote before the live one is reached", 1_000),
];

/// The first of `most` seeds that catches the deliberate bug `name`, on all cores, and what it broke.
#[cfg(feature = "mutants")]
#[must_use]
pub fn hunt(name: &'static str, most: u64) -> Option<(u64, crate::Violation)> {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::{Mutex, PoisonError};

    let (next, caught) = (AtomicU64::new(0), Mutex::new(None));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= most {
                        return;
                    }
                    let Some(violation) = caught_by(name, seed) else {
                        continue;
                    };
                    // Those before it are being run, or were.
                    next.fetch_max(most, Ordering::Relaxed);
                    let mut caught = caught.lock().unwrap_or_else(PoisonError::into_inner);
                    let sooner = |(first, _): &(u64, crate::Violation)| seed < *first;
                    if caught.as_ref().is_none_or(sooner) {
                        *caught = Some((seed, violation));
                    }
                }
            });
        }
    });
    caught.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// What `seed` breaks with the deliberate bug `name`.
#[cfg(feature = "mutants")]
#[must_use]
pub fn caught_by(name: &'static str, seed: u64) -> Option<crate::Violation> {
    let setup = crate::Setup {
        seed,
        record: false,
    };
    // A panic in the mutant's code is found out too.
    let run = || cqrs_core::with_mutant(Some(name), || crate::run(setup));
    match std::panic::catch_unwind(run) {
        Ok(outcome) => outcome.violations.into_iter().next(),
        Err(_) => Some(crate::Violation::new("panic", "a debug assertion failed")),
    }
}
