//! Carrying an embedded installation into a distributed one.
//!
//! Every commit is appended in the file's order, so that its place in the new store follows from the file alone: whoever
//! goes on after an interruption finds a prefix of each partition, compares it, and appends the rest. Nobody else opens
//! the store before all is there. The command APIs make their ledger whole from the log when they start.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, bail, ensure};
use cqrs_core::{
    AppendError, AppendToLog, Appended, Commit, ExpectedVersion, LogPosition, Partition, Position,
    ReadLog, RecordedCommit, TailLog, Version,
};
use cqrs_mongo::{MongoImport, MongoStore};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesOrdered, StreamExt};
use social_service::transfer::{self, Header};
use tokio::sync::mpsc;

use crate::Ended;
use crate::bar::{self, Reached};
use crate::config::Config;

/// How many commits, and how many bytes of them, are on their way at most: far less than a partition's queue takes.
const COMMITS: usize = 1_000;
const BYTES: usize = 16 << 20;
/// How many events are compared at a time.
const COMPARED: usize = 2_000;

/// Fills an empty store from the file, or from stdin.
pub(crate) async fn import(config: &Config, from: Option<&Path>) -> anyhow::Result<Ended> {
    let shutdown = http_kit::shutdown_signal()?;
    let mut lines = lines(from)?;
    let first = lines.recv().await.context("the export is empty")??;
    let header = Header::parse(&first)?;
    let (store_id, namespace) = (header.store_id, header.namespace);
    let import = MongoImport::begin(config.log_options(), store_id, namespace).await?;
    let reached = Arc::new(Mutex::new(Reached {
        doing: "importing",
        commits: 0,
        commits_in_all: header.commits.iter().map(|commits| commits.get()).sum(),
        events: 0,
    }));
    let shown = Arc::clone(&reached);
    let show = move || *shown.lock().unwrap_or_else(PoisonError::into_inner);
    let fill = fill(&import, &header, lines, &reached);
    let filled = tokio::select! {
        filled = bar::show(show, fill) => Some(filled?),
        // What is on its way lands or not; the next run finds out.
        () = shutdown => None,
    };
    match filled {
        Some(Ok(())) => {}
        Some(Err(error)) => {
            import.store().close().await;
            return Err(error);
        }
        None => {
            import.store().close().await;
            return Ok(Ended::Interrupted);
        }
    }
    import.finish().await?;
    let done = *reached.lock().unwrap_or_else(PoisonError::into_inner);
    let partitions = config.partitions;
    println!(
        "imported {} commits into {partitions} partitions",
        done.commits
    );
    if partitions != header.partitions {
        println!(
            "the log had {} partitions: positions and consistency tokens of before say nothing any more",
            header.partitions
        );
    }
    Ok(Ended::Well)
}

/// The lines of the file or of stdin, read by a thread of their own.
fn lines(from: Option<&Path>) -> anyhow::Result<mpsc::Receiver<std::io::Result<String>>> {
    let (send, lines) = mpsc::channel(COMMITS);
    let reader: Box<dyn BufRead + Send> = match from {
        Some(path) => {
            let file = File::open(path);
            let file = file.with_context(|| format!("could not open `{}`", path.display()))?;
            Box::new(BufReader::new(file))
        }
        None => Box::new(BufReader::new(std::io::stdin())),
    };
    std::thread::Builder::new().spawn(move || {
        for line in reader.lines() {
            let last = line.is_err();
            // Nobody listens any more where the import has ended.
            if send.blocking_send(line).is_err() || last {
                break;
            }
        }
    })?;
    Ok(lines)
}

/// Appends every line; all that the header promises must come.
async fn fill(
    import: &MongoImport,
    header: &Header,
    mut lines: mpsc::Receiver<std::io::Result<String>>,
    reached: &Mutex<Reached>,
) -> anyhow::Result<()> {
    let mut filler = Filler::new(import.store()).await?;
    let mut read = vec![Position::START; usize::from(header.partitions)];
    while let Some(line) = lines.recv().await {
        let commit = transfer::parse_commit(&line?)?;
        let at = commit.at;
        let before = read.get_mut(usize::from(at.partition.index()));
        match before {
            Some(before) if before.next() == at.position => *before = at.position,
            _ => bail!("the export goes on with {at}, which is not the next"),
        }
        let events = commit.events.len() as u64;
        filler
            .put(commit)
            .await
            .with_context(|| format!("commit {at}"))?;
        let mut reached = reached.lock().unwrap_or_else(PoisonError::into_inner);
        reached.commits += 1;
        reached.events += events;
    }
    ensure!(
        read == header.commits,
        "the export is cut off: not all of its commits are there"
    );
    filler.end().await
}

/// What an append must come to.
struct Promised {
    at: LogPosition,
    version: Version,
    bytes: usize,
}

/// Appends commits in order, many at a time; those that are there already are compared instead.
struct Filler<'a> {
    store: &'a MongoStore,
    lanes: Vec<Lane>,
    appends: FuturesOrdered<BoxFuture<'a, Result<Appended, AppendError>>>,
    promised: VecDeque<Promised>,
    bytes: usize,
}

/// One partition of the new store.
struct Lane {
    /// The last position that was put or compared.
    last: Position,
    /// Where an earlier run ended.
    head: Position,
    /// What that run left and is to be compared, from `last` on.
    found: VecDeque<RecordedCommit>,
}

impl<'a> Filler<'a> {
    async fn new(store: &'a MongoStore) -> anyhow::Result<Self> {
        let mut lanes = Vec::new();
        for partition in Partition::all(store.partitions()) {
            lanes.push(Lane {
                last: Position::START,
                head: store.head(partition).await?,
                found: VecDeque::new(),
            });
        }
        Ok(Self {
            store,
            lanes,
            appends: FuturesOrdered::new(),
            promised: VecDeque::new(),
            bytes: 0,
        })
    }

    async fn put(&mut self, commit: RecordedCommit) -> anyhow::Result<()> {
        let partition = commit.stream.partition(self.store.partitions());
        let lane = &mut self.lanes[usize::from(partition.index())];
        let at = LogPosition::new(partition, lane.last.next());
        if at.position <= lane.head {
            return self.compare(at, commit).await;
        }
        lane.last = at.position;
        let before = commit.version_before();
        let promised = Promised {
            at,
            version: commit.version,
            bytes: commit.events.iter().map(|e| e.payload.len() + 256).sum(),
        };
        while self.appends.len() >= COMMITS
            || (self.bytes > 0 && self.bytes + promised.bytes > BYTES)
        {
            self.settle().await?;
        }
        self.bytes += promised.bytes;
        self.promised.push_back(promised);
        // The call takes the commit's place, not the first poll.
        let append = self.store.append(Commit {
            stream: commit.stream,
            expected: match before {
                Version::EMPTY => ExpectedVersion::NoStream,
                before => ExpectedVersion::Exact(before),
            },
            header: commit.header,
            events: commit.events,
            reservations: commit.reservations,
        });
        self.appends.push_back(Box::pin(append));
        Ok(())
    }

    /// What an earlier run put at `at` must be the same.
    async fn compare(&mut self, at: LogPosition, commit: RecordedCommit) -> anyhow::Result<()> {
        let lane = &mut self.lanes[usize::from(at.partition.index())];
        if lane.found.is_empty() {
            let slice = self
                .store
                .read_partition(at.partition, lane.last, COMPARED)
                .await?;
            lane.found.extend(slice);
        }
        let found = lane.found.pop_front();
        ensure!(
            found == Some(RecordedCommit { at, ..commit }),
            "the store holds another commit at {at}: it was filled from another export"
        );
        lane.last = at.position;
        Ok(())
    }

    /// Waits for the oldest append.
    async fn settle(&mut self) -> anyhow::Result<()> {
        let (Some(promised), Some(appended)) =
            (self.promised.pop_front(), self.appends.next().await)
        else {
            return Ok(());
        };
        self.bytes -= promised.bytes;
        let appended = appended?;
        ensure!(
            appended.at == promised.at && appended.version == promised.version,
            "it was to stand at {} and stands at {}",
            promised.at,
            appended.at
        );
        Ok(())
    }

    async fn end(mut self) -> anyhow::Result<()> {
        while !self.promised.is_empty() {
            self.settle().await?;
        }
        let over = self.lanes.iter().any(|lane| lane.last < lane.head);
        ensure!(!over, "the store holds more than the export");
        Ok(())
    }
}
