//! A read model beside the log: checkpoint, poison, parking, release, rebuild.

use cqrs_core::{
    ApplyError, Batch, BoxError, Checkpoint, EventRef, LogPosition, ParkedStreams, Partition,
    Position, Projection, ReadLog, RecordedCommit, RecordedEvent,
};
use cqrs_sqlite::{
    ApplyFailure, ReadModel, SqliteProjection, SqliteStore, checkpoint_on, is_parked_on,
};
use rusqlite::Connection;

use crate::kit::{append, fixture, stream};

const PARTITION: Partition = Partition::new(0);

/// Counts events by stream. `bad` breaks a constraint, `panic` panics, while it is not `lenient`.
struct Counts {
    layout: u32,
    lenient: bool,
}

impl ReadModel for Counts {
    /// The stream and the payload.
    type Event = (String, Vec<u8>);

    fn name(&self) -> &str {
        "counts"
    }

    fn layout(&self) -> u32 {
        self.layout
    }

    fn handles(&self, event_type: &str) -> bool {
        event_type == "thing-done"
    }

    fn create(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(
            "CREATE TABLE counts (stream TEXT PRIMARY KEY, n INTEGER NOT NULL) STRICT",
        )
    }

    fn index(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch("CREATE INDEX IF NOT EXISTS counts_most ON counts (n)")
    }

    fn drop_tables(&self, connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch("DROP TABLE IF EXISTS counts")
    }

    fn decode(&self, event: &RecordedEvent<'_>) -> Result<Self::Event, BoxError> {
        let payload = &event.data.payload[..];
        assert!(payload != b"unreadable", "on purpose");
        Ok((event.commit.stream.to_string(), payload.to_vec()))
    }

    fn apply(
        &self,
        connection: &Connection,
        _: Partition,
        events: impl Iterator<Item = Result<Self::Event, ApplyFailure>>,
    ) -> Result<(), ApplyFailure> {
        for (index, event) in events.enumerate() {
            let (stream, payload) = event?;
            assert!(self.lenient || payload != b"panic", "on purpose");
            let n = (self.lenient || payload != b"bad").then_some(1);
            connection
                .execute(
                    "INSERT INTO counts VALUES (?1, ?2)
                     ON CONFLICT DO UPDATE SET n = n + excluded.n",
                    rusqlite::params![stream, n],
                )
                .map_err(|error| ApplyFailure::new(index, error))?;
        }
        Ok(())
    }
}

async fn counts(store: &SqliteStore, layout: u32, lenient: bool) -> SqliteProjection<Counts> {
    let model = Counts { layout, lenient };
    SqliteProjection::open(store.clone(), model).await.unwrap()
}

async fn total(store: &SqliteStore) -> i64 {
    let sum = |connection: &Connection| {
        connection.query_row("SELECT coalesce(sum(n), 0) FROM counts", [], |row| {
            row.get(0)
        })
    };
    store.read(sum).await.unwrap()
}

async fn is_indexed(store: &SqliteStore) -> bool {
    let named = "SELECT count(*) FROM sqlite_schema WHERE type = 'index' AND name = 'counts_most'";
    let count = move |connection: &Connection| connection.query_row(named, [], |row| row.get(0));
    let found: i64 = store.read(count).await.unwrap();
    found == 1
}

async fn log(store: &SqliteStore) -> Vec<RecordedCommit> {
    let all = store.read_partition(PARTITION, Position::START, 10_000);
    all.await.unwrap()
}

fn first_of(commits: &[RecordedCommit]) -> Vec<EventRef> {
    let first = |commit| EventRef { commit, event: 0 };
    (0..commits.len()).map(first).collect()
}

fn batch<'a>(
    expected: Checkpoint,
    position: u64,
    commits: &'a [RecordedCommit],
    apply: &'a [EventRef],
) -> Batch<'a> {
    Batch {
        partition: PARTITION,
        expected,
        position: Position::new(position),
        commits: commits.into(),
        apply,
        park: &[],
    }
}

fn at(position: u64, epoch: u64) -> Checkpoint {
    Checkpoint {
        position: Position::new(position),
        epoch,
    }
}

#[tokio::test]
async fn rows_and_checkpoint_move_together_once() {
    let fixture = fixture();
    let store = fixture.store.clone();
    for version in 0..3 {
        append(&store, &stream(1), version, &["{}"]).await;
    }
    let projection = counts(&store, 1, false).await;
    let commits = log(&store).await;
    let apply = first_of(&commits);
    let batch = batch(at(0, 0), 3, &commits, &apply);
    projection.apply(&batch).await.unwrap();
    let again = projection.apply(&batch).await;
    assert!(matches!(again, Err(ApplyError::Stale)), "{again:?}");
    assert_eq!(total(&store).await, 3);
    assert_eq!(projection.checkpoint(PARTITION).await.unwrap(), at(3, 0));
    let read = store.read(|connection| checkpoint_on(connection, "counts", PARTITION));
    assert_eq!(read.await.unwrap(), at(3, 0));
}

#[tokio::test]
async fn a_poisonous_event_is_named_and_undoes_its_batch() {
    let fixture = fixture();
    let store = fixture.store.clone();
    append(&store, &stream(1), 0, &["{}"]).await;
    append(&store, &stream(2), 0, &["bad"]).await;
    append(&store, &stream(3), 0, &["panic"]).await;
    append(&store, &stream(4), 0, &["unreadable"]).await;
    let projection = counts(&store, 1, false).await;
    let commits = log(&store).await;
    let apply = first_of(&commits);
    for poison in 1..4 {
        let apply = &[apply[0], apply[poison]][..];
        let poison = 1;
        let applied = projection.apply(&batch(at(0, 0), 3, &commits, apply)).await;
        let named = matches!(applied, Err(ApplyError::Poison { index, .. }) if index == poison);
        assert!(named, "{applied:?}");
        assert_eq!(total(&store).await, 0);
        assert_eq!(projection.checkpoint(PARTITION).await.unwrap(), at(0, 0));
    }
}

/// So many that the writer begins before the last of them is decoded.
#[tokio::test]
async fn a_large_batch_is_applied_as_a_whole_or_names_its_poison() {
    let fixture = fixture();
    let store = fixture.store.clone();
    let many = vec!["{}"; 400];
    for number in 1..=4 {
        append(&store, &stream(number), 0, &many).await;
    }
    append(&store, &stream(5), 0, &["unreadable"]).await;
    append(&store, &stream(6), 0, &["panic"]).await;
    let projection = counts(&store, 1, false).await;
    let commits = log(&store).await;
    let all = commits.iter().enumerate().flat_map(|(commit, recorded)| {
        let events = 0..recorded.events.len();
        events.map(move |event| EventRef { commit, event })
    });
    let all: Vec<_> = all.collect();
    assert_eq!(all.len(), 1_602);
    for poison in [1_600, 1_601] {
        let apply: Vec<_> = all[..1_600].iter().chain([&all[poison]]).copied().collect();
        let batch = batch(at(0, 0), 6, &commits, &apply);
        let applied = projection.apply(&batch).await;
        let named = matches!(applied, Err(ApplyError::Poison { index: 1_600, .. }));
        assert!(named, "{applied:?}");
        assert_eq!(total(&store).await, 0);
    }
    let batch = batch(at(0, 0), 6, &commits, &all[..1_600]);
    projection.apply(&batch).await.unwrap();
    assert_eq!(total(&store).await, 1_600);
}

#[tokio::test]
async fn parked_events_wait_in_order_and_are_released_together() {
    let fixture = fixture();
    let store = fixture.store.clone();
    append(&store, &stream(1), 0, &["bad"]).await;
    append(&store, &stream(2), 0, &["{}"]).await;
    append(&store, &stream(1), 1, &["{}", "{}"]).await;
    let projection = counts(&store, 1, false).await;
    let commits = log(&store).await;
    let event = |commit, event| EventRef { commit, event };
    let park = [
        (event(0, 0), Some("it is bad".to_owned())),
        (event(2, 0), None),
        (event(2, 1), None),
    ];
    let apply = [event(1, 0)];
    let batch = Batch {
        park: &park,
        ..batch(at(0, 0), 3, &commits, &apply)
    };
    projection.apply(&batch).await.unwrap();
    assert_eq!(total(&store).await, 1);

    let parked = projection.parked(PARTITION).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!((&parked[0].stream, parked[0].waiting), (&stream(1), 3));
    assert_eq!(parked[0].reason, "it is bad");
    let waits = |position| {
        let place = LogPosition::new(PARTITION, Position::new(position));
        store.read(move |connection| is_parked_on(connection, "counts", place))
    };
    assert!(waits(1).await.unwrap() && !waits(2).await.unwrap() && waits(3).await.unwrap());

    let release = projection.release(PARTITION, &stream(1)).await;
    assert!(
        matches!(release, Err(ApplyError::Poison { index: 0, .. })),
        "{release:?}"
    );
    assert_eq!(projection.parked(PARTITION).await.unwrap(), parked);

    let mended = counts(&store, 1, true).await;
    mended.release(PARTITION, &stream(1)).await.unwrap();
    assert_eq!(total(&store).await, 4);
    assert!(mended.parked(PARTITION).await.unwrap().is_empty());
    mended.release(PARTITION, &stream(1)).await.unwrap();
    assert_eq!(total(&store).await, 4, "nothing is released twice");
}

#[tokio::test]
async fn a_rebuild_and_another_layout_begin_anew_in_a_new_epoch() {
    let fixture = fixture();
    let store = fixture.store.clone();
    append(&store, &stream(1), 0, &["{}"]).await;
    let commits = log(&store).await;
    let apply = first_of(&commits);
    let projection = counts(&store, 1, false).await;
    projection
        .apply(&batch(at(0, 0), 1, &commits, &apply))
        .await
        .unwrap();

    let same = counts(&store, 1, false).await;
    assert_eq!(same.checkpoint(PARTITION).await.unwrap(), at(1, 0));
    projection.rebuild().await.unwrap();
    assert_eq!(projection.checkpoint(PARTITION).await.unwrap(), at(0, 1));
    assert_eq!(total(&store).await, 0);
    let zombie = projection
        .apply(&batch(at(0, 0), 1, &commits, &apply))
        .await;
    assert!(matches!(zombie, Err(ApplyError::Stale)), "{zombie:?}");

    let newer = counts(&store, 2, false).await;
    assert_eq!(newer.checkpoint(PARTITION).await.unwrap(), at(0, 2));
    newer
        .apply(&batch(at(0, 2), 1, &commits, &apply))
        .await
        .unwrap();
    assert_eq!(total(&store).await, 1);
}

#[tokio::test]
async fn a_rebuild_leaves_indexes_to_its_end_or_to_the_next_opening() {
    let fixture = fixture();
    let store = fixture.store.clone();
    append(&store, &stream(1), 0, &["{}"]).await;
    let commits = log(&store).await;
    let apply = first_of(&commits);
    let projection = counts(&store, 1, false).await;
    assert!(is_indexed(&store).await);

    projection.begin_rebuild().await.unwrap();
    assert!(!is_indexed(&store).await);
    let applied = batch(at(0, 1), 1, &commits, &apply);
    projection.apply(&applied).await.unwrap();
    projection.finish_rebuild().await.unwrap();
    projection.finish_rebuild().await.unwrap();
    assert!(is_indexed(&store).await);
    assert_eq!(total(&store).await, 1);

    projection.begin_rebuild().await.unwrap();
    let interrupted = counts(&store, 1, false).await;
    assert!(is_indexed(&store).await);
    assert_eq!(interrupted.checkpoint(PARTITION).await.unwrap(), at(0, 2));
    projection.rebuild().await.unwrap();
    assert!(is_indexed(&store).await);
}
