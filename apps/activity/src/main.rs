//! For each author what happened to their posts: a second consumer of the topic, which knows nothing of the first.
//!
//! It has neither the log nor the social read model: it reads the topic from its beginning, whenever it joins, keeps
//! what it needs in schemas of its own, and counts on nothing but the events. Where the topic lacks
//! an event it stops, visibly.

mod api;
mod config;
mod model;
mod query;
mod serve;

use std::process::ExitCode;

use mimalloc::MiMalloc;
use social_service::About;

use crate::config::{Config, HELP};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    let about = About {
        name: "activity",
        version: env!("CARGO_PKG_VERSION"),
        help: HELP,
    };
    social_service::run(&about, Config::read, serve::run)
}
