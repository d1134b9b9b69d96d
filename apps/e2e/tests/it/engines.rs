//! Engines of a test's own, which it may kill: started by `compose/up` on a state of their own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::names::Names;
use crate::world::Engines;

const COMPOSE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../compose");

/// Engines that run until this is dropped.
pub(crate) struct PrivateEngines {
    /// Where `compose/up` keeps them.
    state: PathBuf,
    /// Those that may be killed.
    names: Vec<String>,
    addresses: Engines,
}

impl PrivateEngines {
    /// Those that `SOCIAL_CHAOS_ENGINES` names, and the others beside them; `None` where it names none.
    pub(crate) fn wanted() -> Option<Self> {
        let names = std::env::var("SOCIAL_CHAOS_ENGINES").unwrap_or_default();
        let names: Vec<_> = names.split_whitespace().map(str::to_owned).collect();
        if names.is_empty() {
            return None;
        }
        let states = script(
            "bash",
            &["-c", r#". "$0/lib.sh"; echo "$states""#, COMPOSE],
            None,
        );
        let state = Path::new(states.trim()).join(Names::unique().database);
        let exports = up(&state, &["postgres", "kafka", "mongo"]);
        let read = |key: &str| {
            let prefix = format!("export {key}='");
            let found = exports.lines().find_map(|line| line.strip_prefix(&prefix));
            let value = found.unwrap_or_else(|| panic!("no {key} in {exports}"));
            value.trim_end_matches('\'').to_owned()
        };
        Some(Self {
            addresses: Engines {
                mongo: read("MONGODB_URI"),
                kafka: read("KAFKA_BROKERS"),
                postgres: read("POSTGRES_URL"),
            },
            state,
            names,
        })
    }

    pub(crate) fn addresses(&self) -> Engines {
        self.addresses.clone()
    }

    /// Those that may be killed.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// SIGKILL, then the same data on the same port again.
    pub(crate) fn kill_and_restart(&self, engine: &str) {
        let file = std::fs::read_to_string(self.state.join(engine).join("pid")).unwrap();
        let pid = file.split_whitespace().next().unwrap();
        script("sh", &["-c", "kill -KILL $0", pid], None);
        up(&self.state, &[engine]);
    }
}

impl Drop for PrivateEngines {
    fn drop(&mut self) {
        let down = format!("{COMPOSE}/down");
        script(&down, &["--data"], Some(&self.state));
    }
}

fn up(state: &Path, engines: &[&str]) -> String {
    script(&format!("{COMPOSE}/up"), engines, Some(state))
}

fn script(program: &str, arguments: &[&str], state: Option<&Path>) -> String {
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
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        output.status
    );
    String::from_utf8(output.stdout).unwrap()
}
