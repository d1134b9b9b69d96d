//! The real binary, started on a free port with a data directory of its own.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use tempfile::TempDir;

use crate::client::{Answer, Client, Request};

/// A running `social`; killed when dropped.
pub(crate) struct Server {
    child: Child,
    data: Arc<TempDir>,
    pub(crate) address: SocketAddr,
}

/// The binary with nothing of this process's environment.
pub(crate) fn social(data: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_social"));
    alone(&mut command, data);
    command
}

fn alone(command: &mut Command, data: &Path) {
    command
        .env_clear()
        .env("SOCIAL_DATA", data)
        .env("SOCIAL_LISTEN", "127.0.0.1:0")
        .env("RUST_LOG", "warn");
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
        Self::spawn(command, data)
    }

    /// Through a `command` that becomes the binary, and is going to fail a lot.
    pub(crate) fn start_as(mut command: Command, data: Arc<TempDir>) -> Self {
        alone(&mut command, data.path());
        command.env("RUST_LOG", "off");
        Self::spawn(command, data)
    }

    fn spawn(mut command: Command, data: Arc<TempDir>) -> Self {
        let mut child = command
            .stdout(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        let stdout = child.stdout.take().expect("its output is piped");
        let mut line = String::new();
        BufReader::new(stdout)
            .read_line(&mut line)
            .expect("it writes a line");
        let address = line
            .trim_end()
            .strip_prefix("listening on http://")
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("not ready: {line:?}"));
        Self {
            child,
            data,
            address,
        }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    #[track_caller]
    pub(crate) fn send(&self, request: &Request) -> Answer {
        self.client().send(request)
    }

    pub(crate) fn data(&self) -> Arc<TempDir> {
        Arc::clone(&self.data)
    }

    /// SIGKILL: nothing is flushed, nothing is closed.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it ended");
    }

    /// Sends `signal` by its name and waits for the end; gives the exit status.
    pub(crate) fn signal(&mut self, signal: &str) -> Option<i32> {
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{signal} {}", self.child.id()))
            .status()
            .expect("a shell");
        assert!(sent.success());
        self.child.wait().expect("it ended").code()
    }

    /// The same data in a new process, once this one is gone.
    pub(crate) fn restart(mut self) -> Self {
        self.kill();
        Self::start_in(self.data(), &[])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Already gone where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `output` wrote to stderr.
pub(crate) fn stderr(output: &Output) -> String {
    let mut text = String::new();
    output
        .stderr
        .as_slice()
        .read_to_string(&mut text)
        .expect("UTF-8");
    text
}
