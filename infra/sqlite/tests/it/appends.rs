//! What a group of appends does, beyond the contract.

use cqrs_core::{
    AppendError, AppendToLog, ExpectedVersion, Partition, Position, ReadError, ReadLog,
    ReservedValue, TailLog, Version,
};
use cqrs_sqlite::{SqliteOptions, SqliteStore};
use rusqlite::Connection;

use crate::kit::{append, commit, fixture, from_the_file, open, stream};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_commits_of_64_callers_are_dense() {
    let fixture = fixture();
    let callers: Vec<_> = (0..64)
        .map(|caller| {
            let store = fixture.store.clone();
            tokio::spawn(async move {
                let stream = stream(caller);
                let count = if caller < 16 { 157 } else { 156 };
                for version in 0..count {
                    let appended = append(&store, &stream, version, &["{}"]).await;
                    assert_eq!(appended.version, Version::new(version + 1));
                }
            })
        })
        .collect();
    for caller in callers {
        caller.await.unwrap();
    }
    let partition = Partition::default();
    let mut after = Position::START;
    loop {
        let slice = fixture.store.read_partition(partition, after, 1_000);
        let slice = slice.await.unwrap();
        let Some(last) = slice.last() else { break };
        after = last.at.position;
    }
    assert_eq!(after, Position::new(10_000));
    assert_eq!(fixture.store.head(partition).await.unwrap(), after);
}

#[tokio::test]
async fn what_was_decided_on_a_refused_commit_falls_with_it() {
    let fixture = fixture();
    let store = fixture.store.clone();
    let (rival, mine) = (stream("rival"), stream("mine"));
    let mut taking = commit(&rival, 0, &["{}"]);
    let value = ReservedValue::new("handle", "ada");
    taking.reservations.reserve.push(value.clone());
    store.append(taking).await.unwrap();

    let mut refused = commit(&mine, 0, &["{}"]);
    refused.reservations.reserve.push(value);
    let after = ExpectedVersion::After {
        version: Version::new(1),
        command: refused.header.command_id,
    };
    // All called before the first answer is known, for the writer is kept busy meanwhile.
    // The third was decided on the first.
    let (open_gate, gate) = std::sync::mpsc::channel::<()>();
    let busy = store.write(move |_: &Connection| gate.recv());
    let first = store.append(refused);
    let second = store.append(commit(&mine, 0, &["1"]));
    let mut dependent = commit(&mine, 1, &["2"]);
    dependent.expected = after;
    let third = store.append(dependent);
    let confirmed = store.confirm(&mine, after);
    open_gate.send(()).unwrap();
    busy.await.unwrap();
    let (first, second, third, confirmed) = tokio::join!(first, second, third, confirmed);
    assert!(
        matches!(first, Err(AppendError::Reserved { .. })),
        "{first:?}"
    );
    assert_eq!(second.unwrap().version, Version::new(1));
    assert!(
        matches!(third, Err(AppendError::Conflict { .. })),
        "{third:?}"
    );
    assert!(
        matches!(confirmed, Err(AppendError::Conflict { .. })),
        "{confirmed:?}"
    );
    // Called afterwards, the same is welcome.
    append(&store, &mine, 1, &["3"]).await;
}

#[tokio::test]
async fn a_full_queue_refuses_and_the_rest_lands() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions {
        queue: 2,
        ..SqliteOptions::default()
    };
    let store = SqliteStore::open(folder.path().join("store.db"), options).unwrap();
    let (open_gate, gate) = std::sync::mpsc::channel::<()>();
    let (at_gate, arrived) = std::sync::mpsc::channel::<()>();
    let busy = store.write(move |_: &Connection| {
        at_gate.send(()).unwrap();
        gate.recv()
    });
    arrived.recv().unwrap();
    let first = store.append(commit(&stream(1), 0, &["{}"]));
    let second = store.append(commit(&stream(2), 0, &["{}"]));
    let third = store.append(commit(&stream(3), 0, &["{}"])).await;
    assert!(matches!(third, Err(AppendError::Overloaded)), "{third:?}");
    open_gate.send(()).unwrap();
    busy.await.unwrap();
    let (first, second) = tokio::join!(first, second);
    assert!(first.is_ok() && second.is_ok());
}

#[tokio::test]
async fn a_failing_or_panicking_write_undoes_itself_alone() {
    let fixture = fixture();
    let store = fixture.store.clone();
    let insert = "INSERT INTO consumer_checkpoint VALUES ('x', 0, 1)";
    let failing = store.write(move |connection: &Connection| -> Result<(), &'static str> {
        connection.execute(insert, []).unwrap();
        Err("no")
    });
    let panicking = store.write(move |connection: &Connection| -> Result<(), &'static str> {
        connection.execute(insert, []).unwrap();
        panic!("on purpose")
    });
    let appended = store.append(commit(&stream(1), 0, &["{}"]));
    let (failing, panicking, appended) = tokio::join!(failing, panicking, appended);
    assert!(failing.is_err() && panicking.is_err());
    assert_eq!(appended.unwrap().version, Version::new(1));
    let rows = store.read(|connection| {
        connection.query_row("SELECT count(*) FROM consumer_checkpoint", [], |row| {
            row.get::<_, i64>(0)
        })
    });
    assert_eq!(rows.await.unwrap(), 0);
}

#[tokio::test]
async fn a_store_that_fails_says_so_and_goes_on() {
    let fixture = fixture();
    append(&fixture.store, &stream(1), 0, &["{}"]).await;
    let outsider = Connection::open(fixture.folder.path().join("store.db")).unwrap();
    outsider
        .execute_batch("ALTER TABLE commits RENAME TO hidden")
        .unwrap();
    let refused = fixture.store.append(commit(&stream(1), 1, &["{}"])).await;
    assert!(
        matches!(refused, Err(AppendError::Store { .. })),
        "{refused:?}"
    );
    outsider
        .execute_batch("ALTER TABLE hidden RENAME TO commits")
        .unwrap();
    let appended = append(&fixture.store, &stream(1), 1, &["{}"]).await;
    assert_eq!(appended.at.position, Position::new(2));
}

#[tokio::test]
async fn a_damaged_row_is_corrupt() {
    let fixture = from_the_file();
    let stream = stream(1);
    for version in 0..3 {
        append(&fixture.store, &stream, version, &["{}"]).await;
    }
    let damage = |sql: &'static str| {
        let store = fixture.store.clone();
        async move {
            let write = store.write(move |connection: &Connection| connection.execute_batch(sql));
            write.await.unwrap();
        }
    };
    damage("UPDATE commits SET events = substr(events, 1, 9) WHERE position = 2").await;
    let read = fixture.store.read_stream(&stream, Version::EMPTY, 100);
    assert!(matches!(read.await, Err(ReadError::Corrupt { at, .. }) if at.position.get() == 2));

    damage("DELETE FROM commits WHERE position = 2").await;
    let partition = Partition::default();
    let read = fixture
        .store
        .read_partition(partition, Position::START, 100);
    assert!(matches!(read.await, Err(ReadError::Corrupt { .. })));
    let read = fixture.store.read_stream(&stream, Version::EMPTY, 100);
    assert!(matches!(read.await, Err(ReadError::Corrupt { .. })));
}

#[tokio::test]
async fn each_partition_counts_for_itself() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(&folder, 4);
    let mut counts = [0; 4];
    for id in 0..40 {
        let appended = append(&store, &stream(id), 0, &["{}"]).await;
        let count = &mut counts[usize::from(appended.at.partition.index())];
        *count += 1;
        assert_eq!(appended.at.position.get(), *count);
    }
    assert!(counts.iter().all(|count| *count > 0));
    store.close().await;
    drop(store);
    let store = open(&folder, 4);
    for (partition, count) in Partition::all(4).zip(counts) {
        assert_eq!(store.head(partition).await.unwrap().get(), count);
    }
}
