//! What is said while the disk has not done its part, on disks that wait, fail, or look.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};

use cqrs_core::{
    Actor, AppendError, AppendToLog, Appended, CommandId, Commit, CommitHeader, Encoding,
    EventData, EventType, ExpectedVersion, Ledger, Partition, Position, ReadLog, RequestHash,
    Reservations, StreamName, TailLog, Timestamp, Version,
};
use rusqlite::Connection;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::disk::{Disk, WalFile};
use crate::open::{SqliteOptions, connect_reader};
use crate::{CheckError, SqliteStore};

const PARTITION: Partition = Partition::new(0);

/// A disk that can be told to wait, or to fail.
#[derive(Clone, Default)]
struct Told(Arc<(Mutex<Orders>, Condvar)>);

#[derive(Default)]
struct Orders {
    wait: bool,
    fail: bool,
    /// How many syncs wait now.
    waiting: usize,
}

impl Told {
    fn order(&self, order: impl FnOnce(&mut Orders)) {
        let (orders, changed) = &*self.0;
        order(&mut orders.lock().unwrap());
        changed.notify_all();
    }

    /// Returns once a sync waits.
    fn asked(&self) {
        let (orders, changed) = &*self.0;
        let orders = orders.lock().unwrap();
        drop(
            changed
                .wait_while(orders, |orders| orders.waiting == 0)
                .unwrap(),
        );
    }
}

impl Disk for (Told, WalFile) {
    fn sync(&self) -> io::Result<()> {
        let (orders, changed) = &*self.0.0;
        let mut orders = orders.lock().unwrap();
        orders.waiting += 1;
        changed.notify_all();
        orders = changed.wait_while(orders, |orders| orders.wait).unwrap();
        orders.waiting -= 1;
        match orders.fail {
            true => Err(io::Error::other("it is broken")),
            false => self.1.sync(),
        }
    }
}

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A store whose reads go to its file, by one thread.
fn options() -> SqliteOptions {
    SqliteOptions {
        readers: 1,
        recent_bytes: 0,
        ..SqliteOptions::default()
    }
}

fn open(folder: &TempDir, told: &Told) -> SqliteStore {
    let told = told.clone();
    let path = folder.path().join("store.db");
    SqliteStore::open_on(&path, options(), |wal| Box::new((told, wal))).unwrap()
}

fn stream(id: u64) -> StreamName {
    StreamName::new("thing", &id).unwrap()
}

fn commit(id: u64, expected: u64) -> Commit {
    let stream = stream(id);
    let id = Uuid::new_v5(
        &Uuid::NAMESPACE_OID,
        format!("{stream} {expected}").as_bytes(),
    );
    Commit {
        stream,
        expected: ExpectedVersion::Exact(Version::new(expected)),
        header: CommitHeader {
            command_id: CommandId::new(id),
            request: Some(RequestHash::new([7; 32])),
            actor: Actor::parse("ada").unwrap(),
            time: Timestamp::from_millis(1_700_000_000_000),
            correlation_id: id,
            causation_id: id,
            trace: None,
        },
        events: vec![EventData {
            event_type: EventType::new("thing-done", 1),
            encoding: Encoding::Json,
            payload: "{}".into(),
        }],
        reservations: Reservations::none(),
    }
}

/// What the file shows to whoever does not ask how much of it is durable; behind every read that was asked for before.
async fn shown(store: &SqliteStore) -> u64 {
    let count = |connection: &Connection| {
        connection.query_row("SELECT count(*) FROM commits", [], |row| row.get(0))
    };
    let read = store.read_derived::<i64, rusqlite::Error, _>(count);
    read.await.unwrap().cast_unsigned()
}

/// Lets every task of this thread go on as far as it can.
async fn settle() {
    for _ in 0..64 {
        tokio::task::yield_now().await;
    }
}

/// Appends two things at once, which are committed but wait for the disk on return.
async fn two_that_wait(
    store: &SqliteStore,
    told: &Told,
) -> [JoinHandle<Result<Appended, AppendError>>; 2] {
    // In one group: the writer is busy while both are asked for.
    let (let_go, gate) = mpsc::channel::<()>();
    let (at_gate, arrived) = mpsc::channel::<()>();
    drop(store.write(move |_: &Connection| {
        at_gate.send(()).unwrap();
        gate.recv()
    }));
    arrived.recv().unwrap();
    let both = [1, 2].map(|id| {
        let store = store.clone();
        tokio::spawn(async move { store.append(commit(id, 0)).await })
    });
    settle().await;
    told.order(|orders| orders.wait = true);
    let_go.send(()).unwrap();
    told.asked();
    both
}

#[tokio::test]
async fn what_waits_for_the_disk_is_neither_answered_nor_shown() {
    let (folder, told) = (folder(), Told::default());
    let store = open(&folder, &told);
    let first = store.append(commit(0, 0)).await.unwrap();
    let both = two_that_wait(&store, &told).await;

    let asked = {
        let (found, streams, slices, claims, follows, heads) = (
            store.clone(),
            store.clone(),
            store.clone(),
            store.clone(),
            store.clone(),
            store.clone(),
        );
        let command = commit(1, 0).header.command_id;
        [
            tokio::spawn(async move { drop(found.find_commit(command).await.unwrap()) }),
            tokio::spawn(async move {
                let read = streams.read_stream(&stream(1), Version::EMPTY, 9).await;
                assert_eq!(read.unwrap().len(), 1);
            }),
            tokio::spawn(async move {
                let read = slices.read_partition(PARTITION, Position::START, 9).await;
                assert_eq!(read.unwrap().len(), 3);
            }),
            tokio::spawn(async move {
                let (hash, time) = (RequestHash::new([7; 32]), Timestamp::from_millis(0));
                drop(claims.claim(command, hash, time).await.unwrap());
            }),
            tokio::spawn(async move {
                let past = Position::new(1);
                follows.wait_past(PARTITION, past).await.unwrap();
            }),
            tokio::spawn(async move {
                let version = Version::new(1).into();
                heads.confirm(&stream(1), version).await.unwrap();
            }),
        ]
    };
    settle().await;
    assert_eq!(shown(&store).await, 3, "it is in the file");
    settle().await;
    for waits in &both {
        assert!(!waits.is_finished(), "answered before it is durable");
    }
    for (index, waits) in asked.iter().enumerate() {
        assert!(
            !waits.is_finished(),
            "reader {index} tells what is not durable"
        );
    }
    assert_eq!(store.head(PARTITION).await.unwrap(), first.at.position);

    told.order(|orders| orders.wait = false);
    for waits in both {
        waits.await.unwrap().unwrap();
    }
    for waits in asked {
        waits.await.unwrap();
    }
    assert_eq!(store.head(PARTITION).await.unwrap(), Position::new(3));
}

#[tokio::test]
async fn the_next_group_is_executed_while_one_waits() {
    let (folder, told) = (folder(), Told::default());
    let store = open(&folder, &told);
    let both = two_that_wait(&store, &told).await;
    let (tell, executed) = mpsc::channel();
    // As many as are worth a wake-up of the writer.
    let next: Vec<_> = (0..16)
        .map(|_| {
            let tell = tell.clone();
            let write = store.write(move |_: &Connection| tell.send(()));
            tokio::spawn(write)
        })
        .collect();
    settle().await;
    for _ in &next {
        executed.recv().unwrap();
    }
    settle().await;
    let answered = both.iter().any(JoinHandle::is_finished);
    assert!(!answered && !next.iter().any(JoinHandle::is_finished));
    told.order(|orders| orders.wait = false);
    for waits in both {
        waits.await.unwrap().unwrap();
    }
    for waits in next {
        waits.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_told_of_until_the_store_is_opened_anew() {
    let (folder, told) = (folder(), Told::default());
    let store = open(&folder, &told);
    store.append(commit(0, 0)).await.unwrap();
    let both = two_that_wait(&store, &told).await;
    let reader = store.clone();
    let command = commit(1, 0).header.command_id;
    let found = tokio::spawn(async move { reader.find_commit(command).await });
    settle().await;
    assert_eq!(shown(&store).await, 3);
    told.order(|orders| (orders.wait, orders.fail) = (false, true));
    for waits in both {
        let answer = waits.await.unwrap();
        assert!(
            matches!(answer, Err(AppendError::Store { .. })),
            "{answer:?}"
        );
    }
    assert!(found.await.unwrap().is_err());
    // A disk that works again is too late: what it lost, it lost.
    told.order(|orders| orders.fail = false);
    let later = store.append(commit(3, 0)).await;
    assert!(matches!(later, Err(AppendError::Store { .. })), "{later:?}");
    assert!(
        store
            .read_stream(&stream(1), Version::EMPTY, 9)
            .await
            .is_err()
    );
    let check = store.check().await;
    assert!(matches!(check, Err(CheckError::Store(_))), "{check:?}");
    assert_eq!(store.head(PARTITION).await.unwrap(), Position::new(1));
    store.close().await;
    drop(store);

    let store = open(&folder, &told);
    store.append(commit(3, 0)).await.unwrap();
    let read = store.read_stream(&stream(0), Version::EMPTY, 9).await;
    assert_eq!(read.unwrap().len(), 1, "what was answered is there");
}

#[tokio::test]
async fn one_alone_is_synced_too() {
    let (folder, told) = (folder(), Told::default());
    let store = open(&folder, &told);
    told.order(|orders| orders.wait = true);
    let appender = store.clone();
    let alone = tokio::spawn(async move { appender.append(commit(1, 0)).await });
    settle().await;
    told.asked();
    assert_eq!(shown(&store).await, 1);
    settle().await;
    assert!(!alone.is_finished());
    told.order(|orders| orders.wait = false);
    alone.await.unwrap().unwrap();
}

/// A disk that looks how far the log is when a sync begins: so far it is durable when that returns.
struct Looking {
    wal: WalFile,
    file: Mutex<Connection>,
    durable: Arc<AtomicU64>,
}

impl Disk for Looking {
    fn sync(&self) -> io::Result<()> {
        let ends = crate::append::load_heads(&self.file.lock().unwrap(), 1).unwrap();
        self.wal.sync()?;
        self.durable.fetch_max(ends[0], Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_follows_a_sync_that_began_after_its_commit() {
    let folder = folder();
    let path = folder.path().join("store.db");
    let durable = Arc::new(AtomicU64::new(0));
    let looked = Arc::clone(&durable);
    // Checkpoints, and logs that begin anew, all the time.
    let options = SqliteOptions {
        autocheckpoint_pages: 20,
        ..options()
    };
    let store = SqliteStore::open_on(&path, options, |wal| {
        Box::new(Looking {
            wal,
            file: Mutex::new(connect_reader(&path, 256).unwrap()),
            durable: looked,
        })
    });
    let store = store.unwrap();
    let callers: Vec<_> = (0..16)
        .map(|caller| {
            let (store, durable) = (store.clone(), Arc::clone(&durable));
            tokio::spawn(async move {
                for version in 0..100 {
                    let appended = store.append(commit(caller, version)).await.unwrap();
                    let durable = durable.load(Ordering::SeqCst);
                    let position = appended.at.position.get();
                    assert!(position <= durable, "{position} of {durable}");
                    let head = store.head(PARTITION).await.unwrap().get();
                    assert!(position <= head);
                    let command = commit(caller, version).header.command_id;
                    assert!(store.find_commit(command).await.unwrap().is_some());
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert_eq!(durable.load(Ordering::SeqCst), 1_600);
}
