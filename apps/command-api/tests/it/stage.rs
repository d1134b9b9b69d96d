//! Databases and topics of one test's own, and processes on them.

use std::process::Output;

use cqrs_mongo::MongoOptions;
use serde_json::{Value, json};
use social_test_kit::{Client, Process, get, until, write};

use crate::ledger::{Ledger, engine, with_database};

/// What one test has of the engines. Its ledger goes when it is dropped.
pub(crate) struct Stage {
    name: String,
    mongodb: String,
    pub(crate) ledger: Ledger,
}

impl Stage {
    /// With the ledger on PostgreSQL.
    pub(crate) fn on_postgres() -> Self {
        Self::on(Ledger::postgres)
    }

    /// With the ledger on SQL Server.
    pub(crate) fn on_mssql() -> Self {
        Self::on(Ledger::mssql)
    }

    fn on(ledger: fn(&str) -> Ledger) -> Self {
        let name = unique();
        Self {
            mongodb: engine("MONGODB_URI"),
            ledger: ledger(&name),
            name,
        }
    }

    /// A name for something of this test's own.
    pub(crate) fn topic(&self, what: &str) -> String {
        format!("{}.{what}", self.name)
    }

    /// Where the log is.
    pub(crate) fn log(&self) -> MongoOptions {
        MongoOptions::new(with_database(&self.mongodb, &self.name), &self.name)
    }

    /// Starts a `command-api`, and waits until it is ready and well.
    pub(crate) fn start(&self, more: &[(&str, &str)]) -> Process {
        let process = self.begin(more);
        ready(&mut process.client());
        process
    }

    /// Starts a `command-api`; `more` goes before what the stage says.
    pub(crate) fn begin(&self, more: &[(&str, &str)]) -> Process {
        let mut command = social_test_kit::command(env!("CARGO_BIN_EXE_command-api"));
        command
            .env("MONGODB_URI", with_database(&self.mongodb, &self.name))
            .envs([self.ledger.setting()])
            .envs(more.iter().copied());
        Process::start(&mut command)
    }
}

/// Starts a `command-api` on a log of its own, with these engines beside it.
pub(crate) fn begin_with(engines: &[(&str, &str)]) -> Process {
    let mongodb = with_database(&engine("MONGODB_URI"), &unique());
    let mut command = social_test_kit::command(env!("CARGO_BIN_EXE_command-api"));
    command
        .env("MONGODB_URI", mongodb)
        .envs(engines.iter().copied());
    Process::start(&mut command)
}

fn unique() -> String {
    format!("command_api_{:016x}", getrandom::u64().unwrap())
}

impl Drop for Stage {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.ledger.forget();
        }
    }
}

/// Runs a `command-api` to its end.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    social_test_kit::command(env!("CARGO_BIN_EXE_command-api"))
        .args(arguments)
        .envs(environment.iter().copied())
        .output()
        .unwrap()
}

/// Waits until it says of everything that it is well.
#[track_caller]
pub(crate) fn ready(client: &mut Client) {
    readiness(client, |report| report["status"] == "ok");
}

/// Waits for a report that is `as_awaited`.
#[track_caller]
pub(crate) fn readiness(client: &mut Client, as_awaited: impl Fn(&Value) -> bool) -> Value {
    until(|| {
        let report = client.send(&get("/readyz")).value();
        match as_awaited(&report) {
            true => Ok(report),
            false => Err(report.to_string()),
        }
    })
}

/// The value of a metric without labels.
#[track_caller]
pub(crate) fn metric(client: &mut Client, name: &str) -> u64 {
    let text = client.send(&get("/metrics")).expect(200).body;
    let text = String::from_utf8(text).unwrap();
    let found = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let value = found.and_then(|value| value.parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

/// Creates a post by `actor` and gives its id.
#[track_caller]
pub(crate) fn post(client: &mut Client, actor: &str) -> String {
    let body = json!({"message": "hi"});
    client
        .send(&write(actor, "POST", "/v1/posts", &body))
        .expect(201)
        .id()
}
