//! From `main` to an exit status.

use std::num::NonZeroUsize;
use std::process::ExitCode;

use cqrs_core::Random;
use http_kit::{ConfigError, Settings};
use social_api::SystemRandom;
use tracing_subscriber::EnvFilter;
use uuid::{Builder, Uuid};

/// The settings of a process: its flags, then its environment.
pub type Environment = Settings<fn(&str) -> Option<String>>;

/// What a program tells of itself.
#[derive(Debug, Clone, Copy)]
pub struct About {
    /// Its name.
    pub name: &'static str,
    /// Its version.
    pub version: &'static str,
    /// Its usage, with every key.
    pub help: &'static str,
}

/// Runs a service: `configure` reads all settings, `work` does what they say.
///
/// `--help` and `--version` are answered. The exit status is 2 after a mistake in the settings
/// (all are told, values never), 1 after an error, else 0. Logs go to stderr; `RUST_LOG` chooses.
pub fn run<C, F>(
    about: &About,
    configure: impl FnOnce(Environment) -> Result<C, ConfigError>,
    work: impl FnOnce(C) -> F,
) -> ExitCode
where
    F: Future<Output = anyhow::Result<()>>,
{
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("--help" | "-h" | "help") => {
            print!("{}", about.help);
            return ExitCode::SUCCESS;
        }
        Some("--version" | "-V") => {
            println!("{} {}", about.name, about.version);
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    log_to_stderr();
    match configure(environment(arguments)) {
        Ok(configuration) => ended(block_on(work(configuration))),
        Err(error) => misconfigured(&error),
    }
}

/// The settings in `arguments`, then in the environment of the process.
pub fn environment(arguments: impl IntoIterator<Item = String>) -> Environment {
    fn lookup(key: &str) -> Option<String> {
        std::env::var_os(key).map(|value| value.to_string_lossy().into())
    }
    Settings::new("SOCIAL", lookup, arguments)
}

/// A name for this start of this process, which no other start of any process has.
#[must_use]
pub fn start_id() -> Uuid {
    let [high, low] = [SystemRandom.next_u64(), SystemRandom.next_u64()];
    let bits = u128::from(high) << 64 | u128::from(low);
    Builder::from_random_bytes(bits.to_be_bytes()).into_uuid()
}

/// Tells what is wrong with the settings; the status for that.
pub fn misconfigured(error: &ConfigError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(2)
}

/// Tells what went wrong, if something did; the status for that.
pub fn ended(done: anyhow::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Drives `task` on a runtime of its own, with a thread for each core.
///
/// # Errors
///
/// The task's, or the system's where it gives no threads.
pub fn block_on(task: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    block_on_beside(0, task)
}

/// [`block_on`], with a thread less for each of `busy` threads that work beside the runtime; at least one.
///
/// Threads beyond the cores would only take turns with those that they wait for.
///
/// # Errors
///
/// As [`block_on`].
pub fn block_on_beside(
    busy: usize,
    task: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.saturating_sub(busy).max(1))
        .enable_all()
        .build()?
        .block_on(task)
}

/// Stdout is for what scripts read. `RUST_LOG` chooses; `info` is the default.
pub fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
