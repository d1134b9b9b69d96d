//! Publishes the log to Kafka.

mod config;
mod serve;

use std::process::ExitCode;

use social_service::About;

use crate::config::Config;

const ABOUT: About = About {
    name: "relay",
    version: env!("CARGO_PKG_VERSION"),
    help: config::HELP,
};

fn main() -> ExitCode {
    social_service::run(&ABOUT, Config::read, serve::run)
}
