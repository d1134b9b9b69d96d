//! Runs seeds, replays one, tries the mutants.

use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use simulation::{Outcome, Setup, run, run_with};

const HELP: &str = "\
simulation: the distributed system in one thread, from a seed, with faults; and the checks of its promises

usage:
  simulation --seed N [--whole]    runs one seed; where it breaks a promise, shrinks its faults (unless whole), and
                                   tells the history
  simulation --seeds N [--from M]  runs N seeds from M on (0), on all cores
  simulation --mutants [--most N]  tries each deliberate bug on up to N seeds (10000), and prints the table
                                   (needs the feature `mutants`)
";

/// What one is told to do.
enum Task {
    One { seed: u64, whole: bool },
    Many { from: u64, count: u64 },
    Mutants { most: u64 },
}

fn task(args: &[String]) -> Option<Task> {
    let number = |name: &str| {
        let at = args.iter().position(|arg| arg == name)?;
        args.get(at + 1)?.parse().ok()
    };
    if args.iter().any(|arg| arg == "--mutants") {
        let most = number("--most").unwrap_or(10_000);
        return Some(Task::Mutants { most });
    }
    if let Some(count) = number("--seeds") {
        let from = number("--from").unwrap_or(0);
        return Some(Task::Many { from, count });
    }
    let whole = args.iter().any(|arg| arg == "--whole");
    number("--seed").map(|seed| Task::One { seed, whole })
}

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let fine = match task(&args) {
        Some(Task::One { seed, whole }) => one(seed, whole),
        Some(Task::Many { from, count }) => many(from, count),
        Some(Task::Mutants { most }) => mutants(most),
        None => {
            print!("{HELP}");
            return ExitCode::from(2);
        }
    };
    if fine {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn quiet(seed: u64) -> Setup {
    Setup {
        seed,
        record: false,
    }
}

/// Runs one seed, and tells all about it.
fn one(seed: u64, whole: bool) -> bool {
    let outcome = run(quiet(seed));
    let fails = |outcome: &Outcome| !outcome.violations.is_empty();
    let plan = match fails(&outcome) && !whole {
        false => outcome.plan,
        true => cqrs_core::testing::sim::shrink(outcome.plan, |plan| {
            fails(&run_with(quiet(seed), Some(plan.clone())))
        }),
    };
    let record = Setup { seed, record: true };
    let outcome = run_with(record, Some(plan));
    for line in &outcome.history {
        println!("{line}");
    }
    println!("\nfaults of seed {seed}:\n{}", outcome.plan);
    for violation in &outcome.violations {
        println!("{violation}");
    }
    println!(
        "{} commits, {} answers, {} reads, {} polls in {:?} of simulated time; digest {:016x}",
        outcome.commits,
        outcome.answers,
        outcome.reads,
        outcome.polls,
        outcome.elapsed,
        outcome.digest
    );
    !fails(&outcome)
}

#[derive(Default)]
struct Sum {
    commits: AtomicU64,
    answers: AtomicU64,
    reads: AtomicU64,
    polls: AtomicU64,
    failed: Mutex<Vec<(u64, String)>>,
}

/// Runs many seeds on all cores.
fn many(from: u64, count: u64) -> bool {
    let (next, sum, began) = (AtomicU64::new(0), Sum::default(), Instant::now());
    let bar = ProgressBar::new(count);
    let style = "{bar:40} {pos}/{len} seeds  {per_sec}  {eta} left  {msg}";
    bar.set_style(ProgressStyle::with_template(style).unwrap_or(ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(500));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= count {
                        return;
                    }
                    let outcome = run(quiet(from + nth));
                    sum.commits
                        .fetch_add(outcome.commits as u64, Ordering::Relaxed);
                    sum.answers.fetch_add(outcome.answers, Ordering::Relaxed);
                    sum.reads.fetch_add(outcome.reads, Ordering::Relaxed);
                    sum.polls.fetch_add(outcome.polls, Ordering::Relaxed);
                    bar.inc(1);
                    if let Some(violation) = outcome.violations.first() {
                        bar.println(format!("seed {}: {violation}", from + nth));
                        let failed = sum.failed.lock();
                        let mut failed = failed.unwrap_or_else(PoisonError::into_inner);
                        failed.push((from + nth, violation.to_string()));
                        bar.set_message(format!("{} broke a promise", failed.len()));
                    }
                }
            });
        }
    });
    bar.finish_and_clear();
    let seconds = began.elapsed().as_secs_f64();
    let failed = sum
        .failed
        .into_inner()
        .unwrap_or_else(PoisonError::into_inner);
    for (seed, violation) in &failed {
        println!("seed {seed}: {violation}");
    }
    println!(
        "{count} seeds from {from} on in {seconds:.1} s ({:.0} a second): {} commits, {} answers, {} reads, {} polls; {} broke a promise",
        count as f64 / seconds,
        sum.commits.into_inner(),
        sum.answers.into_inner(),
        sum.reads.into_inner(),
        sum.polls.into_inner(),
        failed.len()
    );
    failed.is_empty()
}

#[cfg(not(feature = "mutants"))]
fn mutants(_: u64) -> bool {
    eprintln!("there are mutants only with `--features mutants`");
    false
}

/// Tries each deliberate bug, and prints the table of the documentation.
#[cfg(feature = "mutants")]
fn mutants(most: u64) -> bool {
    println!("| deliberate bug | broken first | seeds needed |");
    println!("|---|---|---|");
    let mut all = true;
    for name in simulation::MUTANTS {
        match simulation::hunt(name, most) {
            Some((seed, violation)) => {
                println!("| {name} | {} | {} |", violation.promise, seed + 1);
            }
            None => {
                all = false;
                println!("| {name} | – | more than {most} |");
            }
        }
    }
    all
}
