//! Everything in one process on the embedded default.

mod cli;
mod config;
mod metrics;
mod offline;
mod serve;

use std::process::ExitCode;

use http_kit::{ConfigError, Settings};
use mimalloc::MiMalloc;
use tracing_subscriber::EnvFilter;

use crate::cli::Task;
use crate::config::Config;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    log_to_stderr();
    let (task, flags) = cli::task(std::env::args().skip(1));
    let lookup = |key: &str| std::env::var_os(key).map(|value| value.to_string_lossy().into());
    let settings = Settings::new("SOCIAL", lookup, flags);
    let done = match task {
        Task::Serve => match Config::read(settings) {
            Ok(config) => block_on(serve::run(config)),
            Err(error) => return misconfigured(&error),
        },
        Task::Rebuild => match config::data_only(settings) {
            Ok(data) => block_on(offline::rebuild(&data)),
            Err(error) => return misconfigured(&error),
        },
        Task::Backup { to } => match config::data_only(settings) {
            Ok(data) => offline::backup(&data, &to),
            Err(error) => return misconfigured(&error),
        },
        Task::Help => {
            print!("{}", cli::HELP);
            Ok(())
        }
        Task::Version => {
            println!("social {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Task::Misused(mistake) => {
            eprintln!("{mistake}\n\n{}", cli::HELP);
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn misconfigured(error: &ConfigError) -> ExitCode {
    eprintln!("{error}");
    ExitCode::from(2)
}

fn block_on(task: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(task)
}

/// Stdout is for what scripts read. `RUST_LOG` chooses; `info` is the default.
fn log_to_stderr() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .init();
}
