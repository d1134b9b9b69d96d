//! How many instructions do dispatch and append take? Time on a shared machine varies, this hardly does.
//!
//! `cargo run --release -p benches --bin instructions -- check`
//!
//! Runs itself under callgrind (of valgrind), once for each path, and compares with what is kept in
//! `instructions.txt`: more than 5 % away, up or down, is a failure. `record` keeps what it finds instead.
//! Counts are those of a release build by one compiler, whose name is kept with them. By another one they are told and
//! not compared: record them anew, in a commit of its own.

use std::collections::BTreeMap;
use std::error::Error;
use std::hint::black_box;
use std::process::Command;

use benches::sum::{Add, Adder, Pass, now};
use benches::{Note, Write, envelope};
use cqrs_core::{Codec, Executor, ExecutorOptions, Handler, Mediator, MemoryStore, Registry};

const KEPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/instructions.txt");
/// By how many hundredths a path may differ from what is kept.
const TOLERANCE: f64 = 5.0;
/// A path's count is the difference of these two runs, so that start and end of the process are not in it.
const ROUNDS: [u32; 2] = [1_024, 3_072];

/// A name, and what goes round so often.
type Counted = (&'static str, fn(u32));

/// What is counted; each makes what it needs, then goes round.
const PATHS: [Counted; 7] = [
    ("direct call", direct),
    ("typed, no behaviour", typed),
    ("typed, 5 behaviours", typed_5),
    ("registered, no behaviour", registered),
    ("registered, 5 behaviours", registered_5),
    ("command on a new stream", begin),
    ("command on a cached stream", go_on),
];

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["run", path, rounds] => {
            let (_, run) = PATHS[path.parse::<usize>()?];
            run(rounds.parse()?);
            Ok(())
        }
        ["record"] => {
            let lines = format!("{}\n{}", compiler()?, lines(&count_all()?));
            Ok(std::fs::write(KEPT, lines)?)
        }
        ["check"] => check(&count_all()?),
        _ => Err("say `check` or `record`".into()),
    }
}

fn check(counts: &[(&str, f64)]) -> Result<(), Box<dyn Error>> {
    let kept = std::fs::read_to_string(KEPT)?;
    let (by, kept) = kept.split_once('\n').ok_or("nothing is kept")?;
    let compiler = compiler()?;
    if by != compiler {
        println!("not compared: {KEPT} is by {by}, this by {compiler}");
        print!("{}", lines(counts));
        return Ok(());
    }
    let kept: BTreeMap<&str, f64> = kept
        .lines()
        .filter_map(|line| line.rsplit_once(": "))
        .filter_map(|(path, count)| Some((path, count.parse().ok()?)))
        .collect();
    let mut differs = Vec::new();
    for (path, count) in counts {
        let kept = *kept.get(path).ok_or(format!("`{path}` is not in {KEPT}"))?;
        let change = (count / kept - 1.0) * 100.0;
        println!("{path}: {count}, kept {kept}, {change:+.1} %");
        if change.abs() > TOLERANCE {
            differs.push(*path);
        }
    }
    if differs.is_empty() {
        Ok(())
    } else {
        Err(format!("more than {TOLERANCE} % away from {KEPT}: {differs:?}").into())
    }
}

fn compiler() -> Result<String, Box<dyn Error>> {
    let output = Command::new("rustc").arg("--version").output()?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn lines(counts: &[(&str, f64)]) -> String {
    let line = |(path, count): &(&str, f64)| format!("{path}: {count}\n");
    counts.iter().map(line).collect()
}

/// Instructions for each round, by path.
fn count_all() -> Result<Vec<(&'static str, f64)>, Box<dyn Error>> {
    let mut counts = Vec::new();
    for (index, (path, _)) in PATHS.iter().enumerate() {
        let [few, many] = ROUNDS;
        let more = count(index, many)? - count(index, few)?;
        counts.push((*path, (more / f64::from(many - few)).round()));
    }
    Ok(counts)
}

fn count(path: usize, rounds: u32) -> Result<f64, Box<dyn Error>> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]);
    valgrind.arg(std::env::current_exe()?);
    valgrind.args(["run", &path.to_string(), &rounds.to_string()]);
    let output = valgrind.output()?;
    let said = String::from_utf8(output.stderr)?;
    let collected = said
        .lines()
        .find_map(|line| line.split("Collected : ").nth(1));
    match collected {
        Some(count) if output.status.success() => Ok(count.trim().parse()?),
        _ => Err(format!("valgrind gave no count: {said}").into()),
    }
}

fn direct(rounds: u32) {
    let envelope = envelope();
    for _ in 0..rounds {
        let sum = now(|| Adder.handle(black_box(Add(1, 2)), black_box(&envelope)));
        black_box(sum).expect("a sum");
    }
}

fn typed(rounds: u32) {
    send_typed(&Mediator::new(Adder), rounds);
}

fn typed_5(rounds: u32) {
    let five = Mediator::new(Adder).with(Pass).with(Pass).with(Pass);
    send_typed(&five.with(Pass).with(Pass), rounds);
}

fn send_typed<H: Handler<Add>>(mediator: &Mediator<H>, rounds: u32) {
    let envelope = envelope();
    for _ in 0..rounds {
        let sum = now(|| mediator.send(black_box(Add(1, 2)), black_box(&envelope)));
        black_box(sum).expect("a sum");
    }
}

fn registered(rounds: u32) {
    send_registered(Registry::new().command::<Add, _>(Adder), rounds);
}

fn registered_5(rounds: u32) {
    let five = Registry::new().with(Pass).with(Pass).with(Pass);
    let five = five.with(Pass).with(Pass);
    send_registered(five.command::<Add, _>(Adder), rounds);
}

fn send_registered<B>(registry: Registry<B>, rounds: u32) {
    let envelope = envelope();
    let dispatcher = registry.build().expect("a handler");
    for _ in 0..rounds {
        let sum = now(|| dispatcher.send(black_box(Add(1, 2)), black_box(&envelope)));
        black_box(sum).expect("a sum");
    }
}

fn notes(store: &MemoryStore) -> Executor<Note, MemoryStore> {
    Executor::new(store.clone(), Codec::new(), ExecutorOptions::default())
}

fn begin(rounds: u32) {
    let notes = notes(&MemoryStore::new(1));
    for _ in 0..rounds {
        let envelope = envelope();
        now(|| notes.handle(Write, &envelope)).expect("written");
    }
}

fn go_on(rounds: u32) {
    let notes = notes(&MemoryStore::new(1));
    let begin = envelope();
    now(|| notes.handle(Write, &begin)).expect("written");
    for _ in 0..rounds {
        let add = benches::Add(begin.command_id.as_uuid());
        let envelope = envelope();
        now(|| notes.handle(add, &envelope)).expect("added");
    }
}
