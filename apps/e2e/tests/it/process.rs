//! One service as a process: started, killed, stopped for a while, asked to end.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;

use crate::binaries;
use crate::client::{Client, get};
use crate::wait::{PATIENCE, until};

/// A running service; killed when dropped.
pub(crate) struct Process {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    environment: Vec<(String, String)>,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts the binary `name` with nothing but `environment`, on a free port, and waits until it listens.
    ///
    /// What it logs goes to the file `log`.
    pub(crate) fn start(name: &'static str, environment: &[(String, String)], log: &Path) -> Self {
        let anywhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let (child, address) = spawn(name, environment, log, anywhere).unwrap_or_else(|refused| {
            panic!("`{name}` did not start: {refused}\n{}", tail(log));
        });
        Self {
            name,
            address,
            environment: environment.to_vec(),
            log: log.to_owned(),
            child,
        }
    }

    /// SIGKILL: nothing is flushed, nothing is closed.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again on the port that it had, after [`kill`](Self::kill) or [`end`](Self::end).
    pub(crate) fn restart(&mut self) {
        let (name, address) = (self.name, self.address);
        // An outgoing connection of somebody may have the port for a moment.
        let (child, bound) = until("restart on the same port", || {
            match spawn(name, &self.environment, &self.log, address) {
                Err(refused) if tail(&self.log).contains("could not listen") => Err(refused),
                Err(refused) => panic!("`{name}` did not start: {refused}\n{}", tail(&self.log)),
                Ok(started) => Ok(started),
            }
        });
        assert_eq!(bound, address);
        self.child = child;
    }

    /// SIGTERM; it must drain and end with 0.
    #[track_caller]
    pub(crate) fn end(&mut self) {
        self.signal("TERM");
        let status = until("the end after SIGTERM", || {
            let ended = self.child.try_wait().unwrap();
            ended.ok_or_else(|| format!("`{}` still runs\n{}", self.name, tail(&self.log)))
        });
        assert_eq!(status.code(), Some(0), "{}\n{}", self.name, tail(&self.log));
    }

    /// Sends a signal by its name: `STOP`, `CONT`.
    pub(crate) fn signal(&self, signal: &str) {
        let sent = Command::new("sh")
            .arg("-c")
            .arg(format!("kill -{signal} {}", self.child.id()))
            .status();
        assert!(sent.unwrap().success());
    }

    /// Fails if it ended by itself.
    #[track_caller]
    pub(crate) fn assert_running(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "`{}` ended: {ended:?}\n{}",
            self.name,
            tail(&self.log)
        );
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// Waits until it says that it is ready.
    #[track_caller]
    pub(crate) fn ready(&self) {
        until("readiness", || {
            match self.client().try_send(&get("/readyz")) {
                Ok(answer) if answer.status == 200 => Ok(()),
                Ok(answer) => Err(format!(
                    "{}: {}\n{}",
                    self.name,
                    String::from_utf8_lossy(&answer.body),
                    tail(&self.log)
                )),
                Err(error) => Err(format!("{}: {error}", self.name)),
            }
        });
    }

    /// The sum of a metric over its labels; `None` where it is not told.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let text = self.client().try_send(&get("/metrics")).ok()?.body;
        let text = String::from_utf8(text).unwrap();
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            let named = rest.starts_with(' ') || rest.starts_with('{');
            named.then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        });
        values.reduce(|a, b| a + b)
    }

    /// The end of what it logged.
    pub(crate) fn told(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone where the test ended it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!(
                "--- the end of what `{}` logged\n{}",
                self.name,
                self.told()
            );
        }
    }
}

fn spawn(
    name: &str,
    environment: &[(String, String)],
    log: &Path,
    listen: SocketAddr,
) -> Result<(Child, SocketAddr), String> {
    let mut child = Command::new(binaries::path(name))
        .env_clear()
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .env("SOCIAL_LISTEN", listen.to_string())
        .stdout(Stdio::piped())
        .stderr(appended(log))
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let (tell, told) = mpsc::channel();
    // Ends with the process: its output is read to the end.
    thread::spawn(move || {
        for line in stdout.lines().map_while(Result::ok) {
            let address = line.strip_prefix("listening on http://");
            if let Some(address) = address.and_then(|address| address.parse().ok()) {
                // Nobody waits for a second line.
                let _ = tell.send(address);
            }
        }
    });
    match told.recv_timeout(PATIENCE) {
        Ok(address) => Ok((child, address)),
        Err(_) => {
            // It has ended already unless it hangs.
            let _ = child.kill();
            Err(format!(
                "no line that it listens; {:?}",
                child.wait().unwrap()
            ))
        }
    }
}

/// A log file that a restart goes on with.
pub(crate) fn appended(log: &Path) -> File {
    let options = OpenOptions::new().create(true).append(true).open(log);
    options.unwrap()
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

/// How a run of the tool ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the binary `name` to its end.
pub(crate) fn run(name: &str, arguments: &[&str], environment: &[(String, String)]) -> Run {
    let output = command(name, arguments, environment).output().unwrap();
    Run {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// The same, to be started by the caller.
pub(crate) fn command(name: &str, arguments: &[&str], environment: &[(String, String)]) -> Command {
    let mut command = Command::new(binaries::path(name));
    command
        .args(arguments)
        .env_clear()
        .envs(environment.iter().map(|(key, value)| (key, value)))
        .stdin(Stdio::null());
    command
}

impl Run {
    /// Checks that it ended with 0.
    #[track_caller]
    pub(crate) fn expect_success(self) -> Self {
        let Self {
            code,
            stdout,
            stderr,
        } = &self;
        assert_eq!(*code, Some(0), "{stdout}\n{stderr}");
        self
    }
}
