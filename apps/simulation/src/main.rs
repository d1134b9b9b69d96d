//! Runs seeds.

use simulation::{Setup, run};

fn main() {
    let mut args = std::env::args().skip(1);
    let from: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(0);
    let count: u64 = args.next().and_then(|a| a.parse().ok()).unwrap_or(1);
    let began = std::time::Instant::now();
    let (mut commits, mut answers, mut polls, mut reads) = (0, 0, 0, 0);
    for seed in from..from + count {
        let outcome = run(Setup {
            seed,
            record: count == 1,
        });
        for line in &outcome.history {
            println!("{line}");
        }
        commits += outcome.commits;
        answers += outcome.answers;
        reads += outcome.reads;
        polls += outcome.polls;
        for violation in &outcome.violations {
            println!("seed {seed}: {violation}");
        }
    }
    println!(
        "{count} seeds, {commits} commits, {answers} answers, {reads} reads, {polls} polls, {:?}",
        began.elapsed()
    );
}
