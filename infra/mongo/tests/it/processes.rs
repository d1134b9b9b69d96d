//! Several processes append to the same partitions, while one reads along.
//!
//! The test runs itself again as the processes: what `CHILD` says is what they do.

use std::collections::HashMap;
use std::fmt::Debug;
use std::process::Stdio;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use cqrs_core::{
    AppendError, AppendToLog, Appended, CommandId, ExpectedVersion, LogPosition, Partition,
    Position, ReadError, ReadLog, Subscribe, Version,
};
use cqrs_mongo::{MongoOptions, MongoStore};
use futures_util::future::join_all;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;
use uuid::Uuid;

use crate::kit::{commit, options, stream, uri};
use crate::proxy::Proxy;

/// `uri`, database, number of the process and commits of each task, separated by blanks.
const CHILD: &str = "CQRS_MONGO_CHILD";
const PROCESSES: u64 = 4;
const TASKS: u64 = 8;
const PARTITIONS: u16 = 2;
/// Commits that a task has on their way at a time.
const WINDOW: u64 = 16;
/// Streams that everybody appends to.
const SHARED: u64 = 24;

fn commits() -> u64 {
    let asked = std::env::var("MONGO_COMMITS").ok();
    asked.map_or(5_000, |asked| asked.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MONGODB_URI"]
async fn four_processes_of_eight_tasks_keep_the_logs_promises() {
    if let Ok(child) = std::env::var(CHILD) {
        return run_child(&child).await;
    }
    let name = "processes::four_processes_of_eight_tasks_keep_the_logs_promises";
    run_processes(name, uri(), commits()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs MONGODB_URI"]
async fn they_keep_them_over_a_network_that_loses_requests_and_answers() {
    if let Ok(child) = std::env::var(CHILD) {
        return run_child(&child).await;
    }
    let uri = uri();
    let server = uri.trim_start_matches("mongodb://");
    let server = server.split(['/', '?', ',']).next().unwrap();
    let server = server.rsplit('@').next().unwrap().to_owned();
    let proxy = Proxy::start(server.clone(), 60, 7).await;
    let through = uri.replacen(&server, &proxy.address.to_string(), 1);
    let separator = if through.contains('?') { '&' } else { '?' };
    let direct = match through.contains("directConnection") {
        true => through,
        false => format!("{through}{separator}directConnection=true"),
    };
    let name = "processes::they_keep_them_over_a_network_that_loses_requests_and_answers";
    run_processes(name, direct, commits() / 5).await;
    let cut = proxy.cut.load(Ordering::Relaxed);
    assert!(cut > 10, "only {cut} connections were cut");
}

async fn run_processes(test: &str, uri: String, commits: u64) {
    let options = MongoOptions {
        partitions: PARTITIONS,
        ..options(PARTITIONS)
    };
    let store = MongoStore::open(options.clone()).await.unwrap();
    let each = commits.div_ceil(PROCESSES * TASKS);
    let total = each * PROCESSES * TASKS;
    let children = (0..PROCESSES).map(|nth| {
        let child = format!("{uri} {} {nth} {each}", options.database);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", test, "--include-ignored", "--nocapture"])
            .env(CHILD, child)
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        acknowledgements(command)
    });
    let readers = Partition::all(PARTITIONS).map(|partition| {
        let store = store.clone();
        tokio::spawn(async move { follow(&store, partition).await })
    });
    let readers: Vec<_> = readers.collect();
    let told: HashMap<Uuid, (LogPosition, Version)> =
        join_all(children).await.into_iter().flatten().collect();
    assert_eq!(told.len() as u64, total, "every commit was acknowledged");
    // The readers stop at one more commit in each partition.
    for partition in Partition::all(PARTITIONS) {
        let mut names = (0..).map(|n| stream(format!("last-{n}")));
        let stream = names
            .find(|name| name.partition(PARTITIONS) == partition)
            .unwrap();
        let last = append_known(
            &store,
            last_of(partition),
            &stream,
            ExpectedVersion::Any,
            &["{}"],
        );
        last.await.unwrap();
    }
    let mut read = HashMap::new();
    for reader in readers {
        read.extend(reader.await.unwrap());
    }
    assert_eq!(
        read.len() as u64,
        total,
        "the log holds what was acknowledged, and nothing else"
    );
    for (command, answer) in told {
        assert_eq!(read.get(&command), Some(&answer), "{command}");
    }
    store.close().await;
}

/// The command of the last commit of a partition.
fn last_of(partition: Partition) -> Uuid {
    Uuid::from_u64_pair(0x1a57, u64::from(partition.index()))
}

/// Runs a process to its end and reads what was acknowledged to it.
async fn acknowledgements(mut command: Command) -> Vec<(Uuid, (LogPosition, Version))> {
    let mut child = command.spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut told = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        let Some((_, acknowledged)) = line.split_once("landed ") else {
            continue;
        };
        let parts: Vec<_> = acknowledged.split(' ').collect();
        let version = Version::new(parts[2].parse().unwrap());
        told.push((
            parts[0].parse().unwrap(),
            (parts[1].parse().unwrap(), version),
        ));
    }
    assert!(child.wait().await.unwrap().success());
    told
}

/// Reads along until the last commit; every position once and in order, every version of a stream too.
async fn follow(store: &MongoStore, partition: Partition) -> HashMap<Uuid, (LogPosition, Version)> {
    let end = CommandId::new(last_of(partition));
    let mut subscription = store.subscribe(partition, Position::START);
    let (mut next, mut read) = (Position::START.next(), HashMap::new());
    let mut versions = HashMap::new();
    let mut patience = Patience::new();
    loop {
        let slice = match subscription.next_slice(100).await {
            Ok(slice) => slice,
            // A server under load, or a cut connection: asked again. Anything else is a finding.
            Err(error @ ReadError::Store { .. }) => {
                patience.spend(&error);
                continue;
            }
            Err(error) => panic!("{error:?}"),
        };
        patience = Patience::new();
        for commit in slice {
            assert_eq!(commit.at, LogPosition::new(partition, next));
            next = next.next();
            let version = versions
                .entry(commit.stream.clone())
                .or_insert(Version::EMPTY);
            assert_eq!(*version, commit.version_before(), "{}", commit.stream);
            *version = commit.version;
            if commit.header.command_id == end {
                return read;
            }
            let command = commit.header.command_id.as_uuid();
            let before = read.insert(command, (commit.at, commit.version));
            assert_eq!(before, None, "{command} stands in the log twice");
        }
    }
}

async fn run_child(child: &str) {
    let parts: Vec<_> = child.split(' ').collect();
    let (nth, each): (u64, u64) = (parts[2].parse().unwrap(), parts[3].parse().unwrap());
    let options = MongoOptions {
        partitions: PARTITIONS,
        ..MongoOptions::new(parts[0], parts[1])
    };
    // The network may lose this too.
    let patience = Patience::new();
    let store = loop {
        match MongoStore::open(options.clone()).await {
            Ok(store) => break store,
            Err(error) => patience.spend(&error),
        }
    };
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let store = store.clone();
            tokio::spawn(async move { append_all(&store, nth * TASKS + task, each).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    store.close().await;
    assert_eq!(store.queued(), 0);
}

async fn append_all(store: &MongoStore, task: u64, each: u64) {
    for window in (0..each).step_by(WINDOW as usize) {
        let numbers: Vec<u64> = (window..each.min(window + WINDOW)).collect();
        join_all(
            numbers
                .iter()
                .map(|number| append_one(store, task, *number)),
        )
        .await;
    }
}

/// Appends one commit, again and again until it is acknowledged: of six, two to a stream that everybody appends to,
/// one at a version that was read of a stream with a rival in each process, the others to streams of the task's own.
async fn append_one(store: &MongoStore, task: u64, number: u64) {
    let command = Uuid::from_u64_pair(task + 1, number);
    let payloads = ["{}"; 3];
    let payloads = &payloads[..1 + number as usize % 3];
    let stream = match number % 6 {
        0 | 1 => stream(format!("shared-{}", (task + number) % SHARED)),
        2 => stream(format!("rivals-{}-{}", task % TASKS, number % 5)),
        _ => stream(format!("own-{task}-{}", number % 7)),
    };
    let appended: Appended = loop {
        let expected = match number % 6 {
            2 => ExpectedVersion::Exact(version(store, &stream).await),
            _ => ExpectedVersion::Any,
        };
        match append_known(store, command, &stream, expected, payloads).await {
            Ok(appended) => break appended,
            // The stream went on: decide again.
            Err(AppendError::Conflict { .. }) => {}
            Err(error) => panic!("{error:?}"),
        }
    };
    println!("landed {command} {} {}", appended.at, appended.version);
}

/// The identical call until its outcome is known.
async fn append_known(
    store: &MongoStore,
    command: Uuid,
    stream: &cqrs_core::StreamName,
    expected: ExpectedVersion,
    payloads: &[&str],
) -> Result<Appended, AppendError> {
    let patience = Patience::new();
    loop {
        match store
            .append(commit(command, stream, expected, payloads))
            .await
        {
            Err(error @ (AppendError::Store { .. } | AppendError::Overloaded)) => {
                patience.spend(&error);
            }
            known => return known,
        }
    }
}

/// The version of a stream, read as a client reads it.
async fn version(store: &MongoStore, stream: &cqrs_core::StreamName) -> Version {
    let mut at = Version::EMPTY;
    let patience = Patience::new();
    loop {
        match store.read_stream(stream, at, 1_000).await {
            Ok(slice) => match slice.last() {
                Some(last) => at = last.version,
                None => return at,
            },
            Err(error) => patience.spend(&error),
        }
    }
}

/// What is asked again and again: a server that never answers fails the test.
struct Patience(Instant);

impl Patience {
    fn new() -> Self {
        Self(Instant::now())
    }

    fn spend(&self, error: &dyn Debug) {
        eprintln!("once more: {error:?}");
        let spent = self.0.elapsed();
        assert!(spent < Duration::from_secs(300), "for {spent:?}: {error:?}");
    }
}
