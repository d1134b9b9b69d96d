//! Follows the topic and feeds the social read model in PostgreSQL: every version of it that is to be fed.

mod config;
mod feeding;
mod feeds;
mod log;
mod serve;

use std::process::ExitCode;

use mimalloc::MiMalloc;
use social_service::About;

use crate::config::{Config, HELP};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let about = About {
        name: "projector",
        version: env!("CARGO_PKG_VERSION"),
        help: HELP,
    };
    social_service::run(&about, Config::read, serve::run)
}
