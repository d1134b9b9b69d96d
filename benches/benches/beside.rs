//! How many durable commands are there in a second, beside the others that keep events in SQLite?
//!
//! `cargo bench -p benches --bench beside [-- CALLERS MILLISECONDS]`
//!
//! Our side of the question, and one bare insert at a time, each made durable, in rounds in turn. The other side cannot be
//! linked with the same SQLite: the program `durable` of `benches/peers` runs this one in turn with theirs, and makes the table.
//!
//! A command finds the note's state (nothing is stored of it, which is looked for), adds 280 bytes of text, checks the version,
//! encodes, appends. WAL, `synchronous=FULL`.

use std::path::Path;
use std::time::{Duration, Instant};

use benches::load::Load;
use benches::{Add, Note, TEXT, envelope, next_id};
use cqrs_core::{Codec, Executor, ExecutorOptions, Handler, Partition, TailLog};
use cqrs_sqlite::{SqliteOptions, SqliteStore};
use rusqlite::{Connection, params};
use tokio::runtime::Runtime;

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let numbers: Vec<u64> = args.iter().filter_map(|arg| arg.parse().ok()).collect();
    let once = args.iter().any(|arg| arg == "--test");
    let (callers, millis) = match numbers[..] {
        [callers, millis] => (vec![callers as usize], millis),
        _ => (vec![1, 64], if once { 50 } else { 2_000 }),
    };
    let time = Duration::from_millis(millis);
    let runtime = Runtime::new().expect("a runtime");
    for callers in callers {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
        println!(
            "{}",
            runtime.block_on(commands(folder.path(), callers, time))
        );
        if callers == 1 {
            println!("{}", inserts(folder.path(), time));
        }
    }
}

async fn commands(folder: &Path, callers: usize, time: Duration) -> Load {
    let path = folder.join("notes.db");
    let store = SqliteStore::open(path, SqliteOptions::default()).expect("opened");
    let notes: Executor<Note, _> =
        Executor::new(store.clone(), Codec::new(), ExecutorOptions::default());
    let load = Load::of("ours", callers, time, move |note| {
        let notes = notes.clone();
        async move { notes.handle(Add(note), &envelope()).await.is_ok() }
    });
    let mut load = load.await;
    let head = store.head(Partition::new(0)).await;
    load.stored = head.expect("the log's end").get();
    assert_eq!(
        load.stored, load.acknowledged,
        "an answer means that it is stored"
    );
    store.close().await;
    load
}

/// One row of the same size for each commit, by a loop on one connection.
fn inserts(folder: &Path, time: Duration) -> Load {
    let connection = Connection::open(folder.join("bare.db")).expect("opened");
    let create = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;
         CREATE TABLE rows (id BLOB PRIMARY KEY, text TEXT NOT NULL) STRICT;";
    connection.execute_batch(create).expect("a table");
    let text = "x".repeat(TEXT);
    let mut insert = connection
        .prepare("INSERT INTO rows VALUES (?1, ?2)")
        .expect("a statement");
    let (start, mut times) = (Instant::now(), Vec::new());
    while start.elapsed() < time {
        let asked = Instant::now();
        let id = next_id();
        insert
            .execute(params![id.as_bytes(), text])
            .expect("inserted");
        times.push(asked.elapsed().as_secs_f64() * 1e3);
    }
    let elapsed = start.elapsed();
    times.sort_by(f64::total_cmp);
    let count = times.len() as u64;
    Load {
        name: "one bare insert".to_owned(),
        callers: 1,
        rate: count as f64 / elapsed.as_secs_f64(),
        p50: times[times.len() / 2],
        p99: times[times.len() * 99 / 100],
        acknowledged: count,
        refused: 0,
        stored: connection
            .query_row("SELECT count(*) FROM rows", [], |row| row.get(0))
            .map(i64::cast_unsigned)
            .expect("a count"),
    }
}
