//! A binary as a process, on a free port.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::{Answer, Client, Request};

/// How long anything may take before a test gives up. Long: the machine may have other work.
const PATIENCE: Duration = Duration::from_secs(90);

/// A running service; killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    address: SocketAddr,
}

/// The binary at `program` with nothing of this process's environment, to listen on a free port.
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    alone(&mut command);
    command
}

fn alone(command: &mut Command) {
    command
        .env_clear()
        .env("SOCIAL_LISTEN", "127.0.0.1:0")
        .env("RUST_LOG", "warn");
}

impl Process {
    /// Starts `command` and waits for the line that says where it listens.
    ///
    /// # Panics
    ///
    /// Where it ends without.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
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
        Self { child, address }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A connection of one's own.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Asks on a connection of its own.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Answer {
        self.client().send(request)
    }

    /// SIGKILL: nothing is flushed, nothing is closed.
    pub fn kill(&mut self) {
        self.child.kill().expect("it was running");
        self.child.wait().expect("it ended");
    }

    /// Sends `signal` by its name and waits for the end; gives the exit status.
    pub fn signal(&mut self, signal: &str) -> Option<i32> {
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{signal} {}", self.child.id()))
            .status()
            .expect("a shell");
        assert!(sent.success());
        self.child.wait().expect("it ended").code()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What `output` wrote to stderr.
#[must_use]
pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("UTF-8")
}

/// Asks again and again until there is an answer.
///
/// # Panics
///
/// With what the last `Err` said, where there is none for long.
#[track_caller]
pub fn until<T>(mut ask: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match ask() {
            Ok(answer) => return answer,
            Err(last) => assert!(Instant::now() < deadline, "not within {PATIENCE:?}: {last}"),
        }
        // Between two questions; what is waited for is the answer.
        thread::park_timeout(Duration::from_millis(20));
    }
}
