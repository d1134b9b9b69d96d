//! The deliberate bugs, and the seeds that catch them.

/// The deliberate bugs, by what each is called where it is.
pub const MUTANTS: &[&str] = &[
    "acknowledge before durable",
    "take an unknown outcome for a success",
    "renumber while the outcome is unknown",
    "no expected version",
    "leave a hole",
    "count another's commit as landed",
    "trust the cached head",
    "no unique index on slots",
    "a second attempt asks the log for nothing",
    "keep what did not land in the cache",
    "evict what there must be room for",
    "append at any version",
    "give a refusal that is not stored",
    "answer a later attempt past the log",
    "fold no answer",
    "drop the attempt check",
    "release a reservation on absent",
    "append before the row is entered",
    "withdraw an intent of unknown outcome",
    "append in spite of another owner",
    "sweep nothing",
    "a pending value is free",
    "count a slice without its delivery reports",
    "who lost a partition tries again at once",
    "take what was taken before",
    "skip what is poisonous",
    "park the event and not its stream",
    "no compare-and-set of the checkpoint",
    "checkpoint before the rows",
    "trust the checkpoint for ever",
    "answer before the token is reached",
    "promote before the live one is reached",
    "let the live version go before the pointer moves",
    "parked streams need no force",
    "look at the new version and do not hold it",
    "make ready what was cancelled",
    "retire what became live meanwhile",
    "compare versions wherever they stand",
];

/// The documentation, whose table of mutants is the record of what catches them.
#[cfg(feature = "mutants")]
const TABLE: &str = include_str!("../../../docs/SIMULATION.md");

/// The seed that is recorded to catch the deliberate bug `name`: the last of those needed, from 0 on.
#[cfg(feature = "mutants")]
#[must_use]
pub fn recorded(name: &str) -> Option<u64> {
    let row = format!("| {name} | ");
    let rest = TABLE.lines().find_map(|line| line.strip_prefix(&row))?;
    let needed = rest.split('|').nth(1)?.trim();
    needed.parse::<u64>().ok()?.checked_sub(1)
}

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
