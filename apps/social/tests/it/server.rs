//! The real binary, started on a free port with a data directory of its own.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use social_test_kit::Process;
use tempfile::TempDir;

/// A running `social`; killed when dropped.
pub(crate) struct Server {
    process: Process,
    data: Arc<TempDir>,
}

/// The binary with nothing of this process's environment.
fn social(data: &Path) -> Command {
    let mut command = social_test_kit::command(env!("CARGO_BIN_EXE_social"));
    command.env("SOCIAL_DATA", data);
    command
}

/// Runs `social` to its end.
pub(crate) fn run(data: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    social(data)
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .expect("the binary runs")
}

impl Server {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    pub(crate) fn start_with(environment: &[(&str, &str)]) -> Self {
        let data = TempDir::new().expect("a temporary directory");
        Self::start_in(Arc::new(data), environment)
    }

    pub(crate) fn start_in(data: Arc<TempDir>, environment: &[(&str, &str)]) -> Self {
        let mut command = social(data.path());
        command.envs(environment.iter().copied());
        let process = Process::start(&mut command);
        Self { process, data }
    }

    /// Through `sh` and a `script` that becomes the binary (`$0`), and is going to fail a lot.
    pub(crate) fn start_by(script: &str, data: Arc<TempDir>) -> Self {
        let mut command = social_test_kit::command("/bin/sh");
        command
            .args(["-c", script, env!("CARGO_BIN_EXE_social")])
            .env("SOCIAL_DATA", data.path())
            .env("RUST_LOG", "off");
        let process = Process::start(&mut command);
        Self { process, data }
    }

    pub(crate) fn data(&self) -> Arc<TempDir> {
        Arc::clone(&self.data)
    }

    /// The same data in a new process, once this one is gone.
    pub(crate) fn restart(mut self) -> Self {
        self.kill();
        Self::start_in(self.data(), &[])
    }
}

impl Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.process
    }
}

impl DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.process
    }
}
