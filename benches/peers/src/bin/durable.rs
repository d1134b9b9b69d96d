//! Durable commands per second: ours, sqlite-es and eventcore on SQLite, in rounds in turn.
//!
//! `cargo run --release --manifest-path benches/peers/Cargo.toml --bin durable [-- ROUNDS MILLISECONDS]`
//!
//! Ours is the bench `beside` of the package `benches`, which this program runs: two versions of SQLite cannot be linked into
//! one. All have WAL and `synchronous=FULL` (sqlite-es by itself would take NORMAL, which is not durable); sqlite-es has
//! its own ten connections, eventcore its one. Prints one table: medians of the rounds, ratios round by round.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use benches::cqrs_es::{AddToPage, Page};
use benches::load::Load;
use cqrs_es::CqrsFramework;
use cqrs_es::persist::PersistedEventStore;
use eventcore::{RetryPolicy, execute};
use eventcore_sqlite::SqliteEventStore;
use peers::AddTo;
use rusqlite::Connection;
use sqlite_es::SqliteEventRepository;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use tokio::runtime::Runtime;

const HERE: &str = env!("CARGO_MANIFEST_DIR");
const CALLERS: [usize; 2] = [1, 64];

fn main() {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<u64>());
    let mut number = |usual: u64| {
        numbers
            .next()
            .map_or(usual, |given| given.expect("a number"))
    };
    let (rounds, millis) = (number(7), number(1_500));
    let time = Duration::from_millis(millis);
    let runtime = Runtime::new().expect("a runtime");
    println!(
        "| | callers | commands/s | p50 | p99 | ours / this | acknowledged | refused | stored |\n\
         |---|---|---|---|---|---|---|---|---|"
    );
    for callers in CALLERS {
        let mut found: BTreeMap<String, Vec<Load>> = BTreeMap::new();
        for _ in 0..rounds {
            let mut round = ours(callers, millis);
            let folder = tempfile::tempdir_in(HERE).expect("a folder");
            round.push(runtime.block_on(with_sqlite_es(folder.path(), callers, time)));
            round.push(runtime.block_on(with_eventcore(folder.path(), callers, time)));
            for load in round {
                found.entry(load.name.clone()).or_default().push(load);
            }
        }
        let ours = found.get("ours").cloned().expect("our rounds");
        for (name, loads) in &found {
            let middle = |of: fn(&Load) -> f64| median(loads.iter().map(of));
            let ratio = ours.iter().zip(loads);
            let ratio = median(ratio.map(|(ours, this)| ours.rate / this.rate));
            let sum = |of: fn(&Load) -> u64| loads.iter().map(of).sum::<u64>();
            println!(
                "| {name} | {callers} | {:.0} | {:.2} ms | {:.2} ms | {ratio:.2} | {} | {} | {} |",
                middle(|load| load.rate),
                middle(|load| load.p50),
                middle(|load| load.p99),
                sum(|load| load.acknowledged),
                sum(|load| load.refused),
                sum(|load| load.stored),
            );
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Our side, and at one caller the bare insert, in a process of its own.
fn ours(callers: usize, millis: u64) -> Vec<Load> {
    let mut cargo = Command::new("cargo");
    cargo.args([
        "bench", "-q", "-p", "benches", "--locked", "--bench", "beside",
    ]);
    cargo.args(["--", &callers.to_string(), &millis.to_string()]);
    let root = Path::new(HERE).join("../..");
    let output = cargo.current_dir(root).stderr(Stdio::inherit()).output();
    let output = output.expect("cargo");
    assert!(output.status.success(), "{}", output.status);
    let printed = String::from_utf8(output.stdout).expect("text");
    printed.lines().filter_map(Load::parse).collect()
}

async fn with_sqlite_es(folder: &Path, callers: usize, time: Duration) -> Load {
    let options = SqliteConnectOptions::new()
        .filename(folder.join("sqlite-es.db"))
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let pool = SqlitePoolOptions::new().max_connections(10);
    let pool: SqlitePool = pool.connect_with(options).await.expect("a pool");
    let table = sqlx::query(
        "CREATE TABLE events (aggregate_type text NOT NULL, aggregate_id text NOT NULL, \
         sequence integer CHECK (sequence >= 0) NOT NULL, event_type text NOT NULL, \
         event_version text NOT NULL, payload text NOT NULL, metadata text NOT NULL, \
         PRIMARY KEY (aggregate_type, aggregate_id, sequence)) STRICT",
    );
    table.execute(&pool).await.expect("a table");
    let events =
        PersistedEventStore::<_, Page>::new_event_store(SqliteEventRepository::new(pool.clone()));
    let framework = Arc::new(CqrsFramework::new(events, Vec::new(), ()));
    let load = Load::of("sqlite-es", callers, time, move |note| {
        let framework = Arc::clone(&framework);
        async move {
            let done = framework.execute(&note.to_string(), AddToPage).await;
            done.is_ok()
        }
    });
    let mut load = load.await;
    let stored = sqlx::query_scalar("SELECT count(*) FROM events");
    let stored: i64 = stored.fetch_one(&pool).await.expect("a count");
    load.stored = stored.cast_unsigned();
    pool.close().await;
    load
}

async fn with_eventcore(folder: &Path, callers: usize, time: Duration) -> Load {
    let path = folder.join("eventcore.db");
    let connection = Connection::open(&path).expect("opened");
    for (pragma, value) in [("journal_mode", "WAL"), ("synchronous", "FULL")] {
        let set = connection.pragma_update(None, pragma, value);
        set.expect("a pragma");
    }
    let store = Arc::new(SqliteEventStore::from_connection(connection));
    store.migrate().await.expect("tables");
    let load = Load::of("eventcore", callers, time, move |note| {
        let store = Arc::clone(&store);
        async move {
            let add = AddTo::note(note);
            execute(store.as_ref(), add, RetryPolicy::new())
                .await
                .is_ok()
        }
    });
    let mut load = load.await;
    let connection = Connection::open(path).expect("opened");
    let count = "SELECT count(*) FROM eventcore_events";
    let stored: i64 = connection
        .query_row(count, [], |row| row.get(0))
        .expect("a count");
    load.stored = stored.cast_unsigned();
    load
}
