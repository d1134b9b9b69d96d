//! Rebuilds, verifies, promotes and rolls back the read model; publishes again; imports.

mod bar;
mod cli;
mod config;
mod import;
mod parked;
mod rebuild;
mod republish;
mod status;
mod versions;

use std::process::ExitCode;

use cqrs_postgres::ReplayError;
use mimalloc::MiMalloc;

use crate::cli::Task;
use crate::config::Config;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How a task came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// It is done.
    Well,
    /// It is done, and found what is not as it should be.
    Badly,
    /// A signal came first.
    Interrupted,
}

fn main() -> ExitCode {
    social_service::log_to_stderr();
    let (task, settings) = match cli::task(std::env::args().skip(1)) {
        Ok(read) => read,
        Err(cli::Misused(mistake)) => {
            eprintln!("{mistake}\n\n{}", cli::HELP);
            return ExitCode::from(2);
        }
    };
    match task {
        Task::Help => {
            print!("{}", cli::HELP);
            return ExitCode::SUCCESS;
        }
        Task::Version => {
            println!("replay {}", env!("CARGO_PKG_VERSION"));
            return ExitCode::SUCCESS;
        }
        _ => {}
    }
    let config = match Config::read(social_service::environment(settings), &task) {
        Ok(config) => config,
        Err(error) => return social_service::misconfigured(&error),
    };
    let mut ended = Ended::Well;
    let done = social_service::block_on(async {
        ended = run(task, config).await?;
        Ok(())
    });
    match (done, ended) {
        (Ok(()), Ended::Well) => ExitCode::SUCCESS,
        (Ok(()), Ended::Badly) => ExitCode::FAILURE,
        (Ok(()), Ended::Interrupted) => interrupted(),
        (Err(error), _) => match error.downcast_ref::<ReplayError>() {
            Some(ReplayError::Interrupted) => interrupted(),
            Some(ReplayError::Running) => {
                eprintln!("error: {error}");
                ExitCode::from(4)
            }
            _ => social_service::ended(Err(error)),
        },
    }
}

fn interrupted() -> ExitCode {
    eprintln!("interrupted: run the same again to go on");
    ExitCode::from(3)
}

async fn run(task: Task, config: Config) -> anyhow::Result<Ended> {
    match task {
        Task::Rebuild { promote, force } => rebuild::rebuild(&config, promote, force).await,
        Task::Verify { version } => rebuild::verify(&config, version).await,
        Task::Promote { version, force } => versions::promote(&config, version, force).await,
        Task::Rollback { force } => versions::rollback(&config, force).await,
        Task::Cancel => versions::cancel(&config).await,
        Task::Retire { version } => versions::retire(&config, version).await,
        Task::Status => status::status(&config).await,
        Task::ListParked => parked::list(&config).await,
        Task::RetryParked { stream } => parked::retry(&config, stream.as_ref()).await,
        Task::DropParked { stream, reason } => parked::give_up(&config, &stream, &reason).await,
        Task::Republish { topic } => republish::republish(&config, &topic).await,
        Task::Import { from } => import::import(&config, from.as_deref()).await,
        // Answered before anything was read.
        Task::Help | Task::Version => Ok(Ended::Well),
    }
}
