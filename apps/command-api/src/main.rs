//! Takes the commands of the distributed system: by HTTP and by message.

mod config;
mod messages;
mod metrics;
mod serve;

use std::process::ExitCode;

use mimalloc::MiMalloc;
use social_service::About;

use crate::config::Config;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const ABOUT: About = About {
    name: "command-api",
    version: env!("CARGO_PKG_VERSION"),
    help: config::HELP,
};

fn main() -> ExitCode {
    social_service::run(&ABOUT, Config::read, serve::run)
}
