//! Answers the queries from the live version of the social read model in PostgreSQL.

mod config;
mod serve;

use std::process::ExitCode;

use mimalloc::MiMalloc;
use social_service::About;

use crate::config::{Config, HELP};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let about = About {
        name: "query-api",
        version: env!("CARGO_PKG_VERSION"),
        help: HELP,
    };
    social_service::run(&about, Config::read, serve::run)
}
