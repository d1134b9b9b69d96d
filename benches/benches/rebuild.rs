//! How fast is the embedded system's read model made again from the log, which is in the same file?
//!
//! `cargo bench -p benches --bench rebuild`
//!
//! - `rebuild`: the tables are emptied, then a [`ProjectionRunner`] goes along the log: decode, load what a slice touches, fold, write.
//! - `raw read + raw insert`: all columns of all commits read by the driver, nothing decoded; the very rows that the rebuild made
//!   inserted into the same tables with the same indexes, in the order of their keys, each once. It changes no row.
//!
//! Of ten events one creates a post, six like it (three of them long after), three comment. Rounds in turn, medians; the ratio is the median of
//! those round by round.

use std::future::pending;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use cqrs_core::{
    Actor, AppendToLog, Codec, Commit, CommitHeader, Envelope, ExpectedVersion, ProjectionRunner,
    Reservations, StreamName, Timer, Timestamp, Version,
};
use cqrs_sqlite::{ReadModel, SqliteOptions, SqliteProjection, SqliteStore};
use futures_util::future::try_join_all;
use mimalloc::MiMalloc;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, params_from_iter};
use social_domain::{CommentAdded, PostCreated, PostEvent, PostLiked};
use social_read_model::SocialReadModel;
use tokio::runtime::Runtime;
use uuid::Uuid;

/// As the binary has it that does this.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// How many rows a transaction of the raw side has.
const INSERTED: usize = 10_000;
/// A post's last three likes come when so many posts have followed.
const LATER: usize = 100;
const TEXT: usize = 280;
const ACTORS: usize = 1_000;

fn main() {
    let test = std::env::args().any(|arg| arg == "--test");
    let (posts, rounds) = if test { (200, 1) } else { (10_000, 9) };
    let runtime = Runtime::new().expect("a runtime");
    let (events, rates) = runtime.block_on(measure(posts, rounds));
    println!("| events | rebuild, events/s | raw read + raw insert | ratio |");
    println!("|---|---|---|---|");
    println!(
        "| {events} | {:.0} | {:.0} | {:.2} |",
        median(rates.iter().map(|(ours, _)| events as f64 / ours)),
        median(rates.iter().map(|(_, raw)| events as f64 / raw)),
        median(rates.iter().map(|(ours, raw)| raw / ours)),
    );
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// How many events there are, and the seconds that each side took, by round.
async fn measure(posts: usize, rounds: usize) -> (usize, Vec<(f64, f64)>) {
    // Beside the build, not in a temporary directory, which may well be in memory.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let path = folder.path().join("store.db");
    let store = SqliteStore::open(&path, SqliteOptions::default()).expect("a store");
    let commits = history(posts);
    let events = commits.len();
    for commits in commits.chunks(500) {
        let appended = commits.iter().map(|commit| store.append(commit.clone()));
        try_join_all(appended).await.expect("appended");
    }
    let projection = SqliteProjection::open(store.clone(), SocialReadModel::new()).await;
    let projection = projection.expect("a projection");
    let mut took = Vec::new();
    for round in 0..rounds {
        let begun = Instant::now();
        projection.begin_rebuild().await.expect("it is emptied");
        let options = projection.rebuild_options();
        let runner = ProjectionRunner::new(store.clone(), projection.clone(), Tokio, options);
        runner.catch_up(pending()).await.expect("it catches up");
        projection.finish_rebuild().await.expect("it is indexed");
        let ours = begun.elapsed();

        let tables = tables(&path);
        let made = tables.iter().find(|table| table.name == "social_post");
        assert_eq!(made.map(|table| table.rows.len()), Some(posts), "posts");
        let copy = folder.path().join(format!("copy-{round}.db"));
        let raw = raw(&path, &copy, &tables);
        assert!(
            tables.iter().all(|table| table.made_of(&copy)),
            "other rows"
        );
        took.push((ours.as_secs_f64(), raw.as_secs_f64()));
    }
    store.close().await;
    (events, took)
}

struct Tokio;

impl Timer for Tokio {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// Each event is a commit of its own.
fn history(posts: usize) -> Vec<Commit> {
    let mut commits = Vec::new();
    let ids: Vec<Uuid> = (0..posts).map(|_| benches::next_id()).collect();
    let actor = |number: usize| format!("actor-{}", number % ACTORS);
    let like = |post: usize, time: usize| PostLiked {
        actor: actor(post + 101 * time),
    };
    let text = || "x".repeat(TEXT);
    for (number, post) in ids.iter().enumerate() {
        let created = PostCreated {
            author: actor(number),
            message: text(),
        };
        commits.push(commit(*post, 0, created));
        for time in 1..=3 {
            commits.push(commit(*post, 2 * time - 1, like(number, time as usize)));
            let comment = CommentAdded {
                comment_id: benches::next_id(),
                author: actor(number + 7 * time as usize),
                message: text(),
            };
            commits.push(commit(*post, 2 * time, comment));
        }
        if let Some(earlier) = number.checked_sub(LATER) {
            for time in 4..=6 {
                let like = like(earlier, time as usize);
                commits.push(commit(ids[earlier], time + 3, like));
            }
        }
    }
    commits
}

fn commit(post: Uuid, before: u64, event: impl Into<PostEvent>) -> Commit {
    let data = Codec::<PostEvent>::new().encode(&event.into());
    let actor = Actor::parse("ada").expect("a valid actor");
    let time = Timestamp::from_millis(1_700_000_000_000);
    let envelope = Envelope::new(benches::envelope().command_id, actor, time);
    Commit {
        stream: StreamName::new("post", &post).expect("a name"),
        expected: match before {
            0 => ExpectedVersion::NoStream,
            before => ExpectedVersion::Exact(Version::new(before)),
        },
        header: CommitHeader::from(&envelope),
        events: vec![data.expect("an event is encoded")],
        reservations: Reservations::none(),
    }
}

/// A table of the read model that is not empty.
struct Table {
    name: String,
    rows: Vec<Vec<Value>>,
}

impl Table {
    /// Whether `file` has as many rows of it.
    fn made_of(&self, file: &Path) -> bool {
        let count = format!("SELECT count(*) FROM {}", self.name);
        let count = reader(file).query_row(&count, [], |row| row.get(0));
        let count: i64 = count.expect("a count");
        count == self.rows.len() as i64
    }
}

fn reader(file: &Path) -> Connection {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    Connection::open_with_flags(file, flags).expect("opened")
}

/// What the rebuild made, in the order of the tables' keys.
fn tables(file: &Path) -> Vec<Table> {
    let connection = reader(file);
    let names = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'social\\_%' ESCAPE '\\'";
    let mut names = connection.prepare(names).expect("a statement");
    let names = names.query_map([], |row| row.get(0)).expect("names");
    let tables = names.map(|name: rusqlite::Result<String>| {
        let name = name.expect("a name");
        let select = format!("SELECT * FROM {name}");
        let mut select = connection.prepare(&select).expect("a statement");
        let columns = select.column_count();
        let rows = select.query_map([], |row| {
            (0..columns).map(|column| row.get(column)).collect()
        });
        let rows = rows.expect("rows").collect::<Result<_, _>>();
        let rows = rows.expect("a row");
        Table { name, rows }
    });
    tables.filter(|table| !table.rows.is_empty()).collect()
}

/// Reads every commit as it is stored, decodes nothing; inserts the rows into the same tables with the same indexes.
fn raw(log: &Path, copy: &Path, tables: &[Table]) -> Duration {
    let target = Connection::open(copy).expect("opened");
    let pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;";
    target.execute_batch(pragmas).expect("set");
    let model = SocialReadModel::new();
    model.create(&target).expect("the tables");
    let begun = Instant::now();
    let connection = reader(log);
    let commits =
        "SELECT at, stream, first, count, command, request, actor, time, correlation, causation,
         traceparent, tracestate, reservations, events FROM commits ORDER BY at";
    let mut commits = connection.prepare(commits).expect("a statement");
    let mut commits = commits.query([]).expect("commits");
    while let Some(commit) = commits.next().expect("a commit") {
        black_box(commit.get_ref(13).expect("its events"));
    }
    for table in tables {
        let marks = vec!["?"; table.rows[0].len()].join(", ");
        let insert = format!("INSERT INTO {} VALUES ({marks})", table.name);
        let mut insert = target.prepare(&insert).expect("a statement");
        for rows in table.rows.chunks(INSERTED) {
            target.execute_batch("BEGIN IMMEDIATE").expect("begun");
            for row in rows {
                insert.execute(params_from_iter(row)).expect("inserted");
            }
            target.execute_batch("COMMIT").expect("committed");
        }
    }
    model.index(&target).expect("the indexes");
    begun.elapsed()
}
