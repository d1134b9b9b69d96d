//! Databases and topics of one test's own, and processes on them.

use std::process::Output;

use serde_json::{Value, json};
use social_test_kit::{Client, Process, get, until, write};
use tokio_postgres::NoTls;

/// What one test has of the engines. Its database on PostgreSQL goes when it is dropped.
pub(crate) struct Stage {
    name: String,
    mongodb: String,
    postgres: String,
}

impl Stage {
    /// On the engines that the environment names.
    pub(crate) fn new() -> Self {
        let name = format!("command_api_{:016x}", getrandom::u64().unwrap());
        let engine = |key: &str| std::env::var(key).unwrap_or_else(|_| panic!("needs {key}"));
        let stage = Self {
            mongodb: engine("MONGODB_URI"),
            postgres: engine("POSTGRES_URL"),
            name,
        };
        stage.sql(&format!("CREATE DATABASE {}", stage.name));
        stage
    }

    /// A name for something of this test's own.
    pub(crate) fn topic(&self, what: &str) -> String {
        format!("{}.{what}", self.name)
    }

    /// What a process is told of the engines.
    pub(crate) fn environment(&self) -> [(&'static str, String); 2] {
        [
            ("MONGODB_URI", with_database(&self.mongodb, &self.name)),
            ("POSTGRES_URL", with_database(&self.postgres, &self.name)),
        ]
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
        command.envs(self.environment()).envs(more.iter().copied());
        Process::start(&mut command)
    }

    fn sql(&self, statement: &str) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let connected = tokio_postgres::connect(&self.postgres, NoTls).await;
            let (client, connection) = connected.unwrap();
            let talking = tokio::spawn(connection);
            client.batch_execute(statement).await.unwrap();
            drop(client);
            talking.await.unwrap().unwrap();
        });
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // What a failed test leaves is there to be looked at.
        if !std::thread::panicking() {
            self.sql(&format!("DROP DATABASE {} WITH (FORCE)", self.name));
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

fn with_database(url: &str, database: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap();
    let (address, options) = rest.split_once('?').unwrap_or((rest, ""));
    let server = address.split('/').next().unwrap();
    match options {
        "" => format!("{scheme}://{server}/{database}"),
        options => format!("{scheme}://{server}/{database}?{options}"),
    }
}
