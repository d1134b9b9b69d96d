//! Asks the questions that are named, or all, of which none needs an engine, and writes the answers into `RESULTS.md` and `plots/`.
//!
//! `cargo run --release -p benches --bin report -- [QUESTION...]`
//!
//! In `RESULTS.md`, what stands between `<!-- begin QUESTION -->` and `<!-- end QUESTION -->` is written anew, with
//! machine, date, load and command; all else is prose and is kept.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use benches::report::{Group, plot, table};

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// A section of `RESULTS.md`.
struct Question {
    name: &'static str,
    /// What is run, in turn, by cargo.
    runs: &'static [&'static str],
    /// Criterion's groups, each with the row that others are compared with.
    groups: &'static [(&'static str, &'static str)],
    /// Whether it writes tables on its standard output, rather than what nobody wants to read.
    tables: bool,
}

const QUESTIONS: [Question; 9] = [
    Question {
        name: "dispatch",
        runs: &["bench -p benches --locked --features peers --bench dispatch"],
        groups: &[("dispatch", "registered"), ("publish", "ours")],
        tables: true,
    },
    Question {
        name: "command",
        runs: &["bench -p benches --locked --features peers --bench command -- ^command|^writers"],
        groups: &[("command", "ours"), ("writers", "ours, distinct streams")],
        tables: false,
    },
    Question {
        name: "load",
        runs: &["bench -p benches --locked --bench command -- load"],
        groups: &[("load", "folded")],
        tables: false,
    },
    Question {
        name: "codec",
        runs: &["bench -p benches --locked --bench codec"],
        groups: &[("codec", "")],
        tables: false,
    },
    Question {
        name: "durable",
        runs: &["bench -p benches --locked --bench durable"],
        groups: &[],
        tables: true,
    },
    Question {
        name: "hot",
        runs: &["bench -p benches --locked --bench hot"],
        groups: &[],
        tables: true,
    },
    Question {
        name: "rebuild",
        runs: &["bench -p benches --locked --bench rebuild"],
        groups: &[],
        tables: true,
    },
    Question {
        name: "scale",
        runs: &["bench -p benches --locked --bench scale"],
        groups: &[],
        tables: true,
    },
    Question {
        name: "http",
        runs: &["bench -p benches --locked --bench http"],
        groups: &[],
        tables: true,
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let named: Vec<String> = env::args().skip(1).collect();
    let unknown = |name: &&String| QUESTIONS.iter().all(|question| question.name != **name);
    if let Some(name) = named.iter().find(unknown) {
        return Err(format!("there is no question `{name}`").into());
    }
    let root = Path::new(HERE).parent().ok_or("no workspace")?;
    for question in QUESTIONS {
        if named.is_empty() || named.iter().any(|name| name == question.name) {
            eprintln!("{}:", question.name);
            let answer = ask(&question, root)?;
            keep(question.name, &answer)?;
        }
    }
    Ok(())
}

/// Runs what a question takes; its section.
fn ask(question: &Question, root: &Path) -> Result<String, Box<dyn Error>> {
    // Beside this binary, so that a bench that somebody runs by hand does not get between.
    let home = env::current_exe()?.with_file_name("criterion-of-report");
    for (group, _) in question.groups {
        let old = home.join(group);
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    let mut section = format!("{}\n\n", circumstances()?);
    let mut tables = Vec::new();
    for run in question.runs {
        eprintln!("cargo {run}");
        writeln!(section, "    cargo {run}")?;
        let mut cargo = Command::new("cargo");
        cargo.args(run.split(' ')).current_dir(root);
        cargo.env("CRITERION_HOME", &home);
        if !question.tables {
            cargo.stdout(Stdio::null());
        }
        let output = cargo.stderr(Stdio::piped());
        let output = if question.tables {
            output.stdout(Stdio::piped()).output()?
        } else {
            output.spawn()?.wait_with_output()?
        };
        let said = String::from_utf8_lossy(&output.stderr);
        if !output.status.success() {
            return Err(format!("cargo {run}: {}\n{said}", output.status).into());
        }
        let printed = String::from_utf8_lossy(&output.stdout);
        gather(printed.lines().chain(said.lines()), &mut tables);
    }
    for (name, beside) in question.groups {
        let group = Group::read(&home.join(name))?;
        write!(section, "\n{}", table(name, &group, beside))?;
        if let Some(svg) = plot(name, &group) {
            let plots = PathBuf::from(HERE).join("plots");
            fs::create_dir_all(&plots)?;
            fs::write(plots.join(format!("{name}.svg")), svg)?;
            writeln!(section, "\n![{name}](plots/{name}.svg)")?;
        }
    }
    for line in tables {
        writeln!(section, "{line}")?;
    }
    Ok(section)
}

/// Adds the tables among `lines` to `tables`; the head of one that goes on stands there once.
fn gather<'a>(lines: impl Iterator<Item = &'a str>, tables: &mut Vec<String>) {
    let lines: Vec<&str> = lines.filter(|line| line.starts_with('|')).collect();
    for (index, line) in lines.iter().enumerate() {
        let below = lines
            .get(index + 1)
            .filter(|below| below.starts_with("|--"));
        match below {
            Some(below) if !tables.iter().any(|known| known == line) => {
                tables.extend(["", line, below].map(str::to_owned));
            }
            None if !line.starts_with("|--") => tables.push((*line).to_owned()),
            _ => {}
        }
    }
}

/// When, on what, and how busy that was.
fn circumstances() -> Result<String, Box<dyn Error>> {
    let said = |program: &str, args: &[&str]| -> Result<String, Box<dyn Error>> {
        let output = Command::new(program).args(args).output()?;
        Ok(String::from_utf8(output.stdout)?.trim().to_owned())
    };
    let date = said("date", &["-u", "+%F %H:%M UTC"])?;
    let rustc = said("rustc", &["--version"])?;
    let info = fs::read_to_string("/proc/cpuinfo")?;
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"));
    let model = model.map_or("an unnamed processor", |name| {
        name.trim_start_matches(['\t', ':', ' '])
    });
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or_default();
    let cores = std::thread::available_parallelism()?;
    Ok(format!(
        "{date}; {cores} × {model}, Linux {}, {rustc}; load average {load} at the start:",
        kernel.trim()
    ))
}

/// Puts a section between its marks.
fn keep(question: &str, section: &str) -> Result<(), Box<dyn Error>> {
    let path = Path::new(HERE).join("RESULTS.md");
    let kept = fs::read_to_string(&path)?;
    let (begin, end) = (
        format!("<!-- begin {question} -->\n"),
        format!("<!-- end {question} -->"),
    );
    let missing = || format!("RESULTS.md lacks the marks of `{question}`");
    let (before, rest) = kept.split_once(&begin).ok_or_else(missing)?;
    let (_, after) = rest.split_once(&end).ok_or_else(missing)?;
    fs::write(path, format!("{before}{begin}{section}{end}{after}"))?;
    Ok(())
}
