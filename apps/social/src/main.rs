//! Everything in one process on the embedded default.

mod cli;
mod config;
mod export;
mod metrics;
mod offline;
mod serve;

use std::process::ExitCode;

use mimalloc::MiMalloc;

use crate::cli::Task;
use crate::config::Config;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    social_service::log_to_stderr();
    let (task, flags) = cli::task(std::env::args().skip(1));
    let settings = social_service::environment(flags);
    let done = match task {
        Task::Serve => match Config::read(settings) {
            // The store's writer is busy whenever commands come.
            Ok(config) => social_service::block_on_beside(1, serve::run(config)),
            Err(error) => return social_service::misconfigured(&error),
        },
        Task::Rebuild => match config::data_only(settings) {
            Ok(data) => social_service::block_on(offline::rebuild(&data)),
            Err(error) => return social_service::misconfigured(&error),
        },
        Task::Backup { to } => match config::data_only(settings) {
            Ok(data) => offline::backup(&data, &to),
            Err(error) => return social_service::misconfigured(&error),
        },
        Task::Export => match config::data_only(settings) {
            Ok(data) => export::export(&data),
            Err(error) => return social_service::misconfigured(&error),
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
    social_service::ended(done)
}
