//! Engines of a test's own, which it may kill: started by `compose/up` on a state of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::names::Names;
use crate::wait::pause;
use crate::world::Engines;

const COMPOSE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../compose");

/// Engines as processes, which run until this is dropped.
pub(crate) struct PrivateEngines {
    /// Where `compose/up` keeps them.
    state: PathBuf,
    /// Those that may be killed.
    names: Vec<String>,
    addresses: Engines,
}

impl PrivateEngines {
    /// Those that `COMPOSE_KILLABLE` names, and the others beside them.
    pub(crate) fn start() -> Self {
        let names = std::env::var("COMPOSE_KILLABLE").expect("needs COMPOSE_KILLABLE");
        let names: Vec<_> = names.split_whitespace().map(str::to_owned).collect();
        // Named after the state of this checkout, or of the run of compose/test, which removes what is left.
        let beside = script("bash", &["-c", r#". "$0/lib.sh"; echo "$state""#, COMPOSE]);
        let own = format!("{}.{}", beside.trim(), Names::unique().database);
        let state = PathBuf::from(own);
        let exports = up(&state, &["postgres", "kafka", "mongo"]);
        Self {
            addresses: addresses(&exports),
            state,
            names,
        }
    }

    pub(crate) fn addresses(&self) -> Engines {
        self.addresses.clone()
    }

    /// Those that may be killed.
    pub(crate) fn names(&self) -> Vec<&str> {
        self.names.iter().map(String::as_str).collect()
    }

    /// SIGKILL; after `gone`, the same data on the same port again.
    pub(crate) fn kill_and_restart(&self, engine: &str, gone: Duration) {
        let file = std::fs::read_to_string(self.state.join(engine).join("pid")).unwrap();
        let pid = file.split_whitespace().next().unwrap();
        script("sh", &["-c", "kill -KILL $0", pid]);
        pause(gone);
        let now = addresses(&up(&self.state, &[engine]));
        assert_eq!(now, self.addresses, "{engine} came back elsewhere");
    }
}

impl Drop for PrivateEngines {
    fn drop(&mut self) {
        let down = format!("{COMPOSE}/down");
        if thread::panicking() {
            eprintln!(
                "what the engines logged is kept in {}",
                self.state.display()
            );
            if let Err(reason) = try_script(&down, &[], Some(&self.state)) {
                eprintln!("{reason}");
            }
        } else {
            try_script(&down, &["--data"], Some(&self.state)).unwrap();
        }
    }
}

fn up(state: &Path, engines: &[&str]) -> String {
    try_script(&format!("{COMPOSE}/up"), engines, Some(state)).unwrap()
}

/// Where the exports that `compose/up` prints say that the engines are.
fn addresses(exports: &str) -> Engines {
    let read = |key: &str| {
        let prefix = format!("export {key}='");
        let found = exports.lines().find_map(|line| line.strip_prefix(&prefix));
        let value = found.unwrap_or_else(|| panic!("no {key} in {exports}"));
        value.trim_end_matches('\'').to_owned()
    };
    Engines {
        mongo: read("MONGODB_URI"),
        kafka: read("KAFKA_BROKERS"),
        postgres: read("POSTGRES_URL"),
    }
}

fn script(program: &str, arguments: &[&str]) -> String {
    try_script(program, arguments, None).unwrap()
}

/// What a program prints; with `state`, one of compose/ on that.
fn try_script(program: &str, arguments: &[&str], state: Option<&Path>) -> Result<String, String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit());
    if let Some(state) = state {
        command
            .env("COMPOSE_STATE", state)
            .env("COMPOSE_WAY", "native");
    }
    let output = command.output().map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(format!("{program} {arguments:?}: {}", output.status));
    }
    String::from_utf8(output.stdout).map_err(|error| error.to_string())
}
