//! Promises of a projection: rows and checkpoint, by compare-and-set.

use futures_util::FutureExt;
use futures_util::future::join_all;

use crate::log::{AppendToLog, ReadLog, RecordedCommit, TailLog};
use crate::position::{Partition, Position};
use crate::projection::{
    ApplyError, Batch, Checkpoint, Commits, EventRef, ParkedStreams, Projection,
};
use crate::stream::StreamName;
use crate::version::ExpectedVersion;

use super::notebook::{Note, Notebook, NotebookStore};

pub(super) const FIRST: Partition = Partition::new(0);
pub(super) const SECOND: Partition = Partition::new(1);

/// Stream `nth` of those that `partition` has.
pub(super) fn stream_of(
    store: &impl NotebookStore,
    partition: Partition,
    nth: usize,
) -> StreamName {
    let partitions = store.log().partitions();
    assert!(partitions > 1, "the suite wants two partitions or more");
    let streams = (0..).map(super::stream);
    let mut mine = streams.filter(|stream| stream.partition(partitions) == partition);
    mine.nth(nth).unwrap()
}

/// Appends commits to streams of `partition`; gives all that the log has of it then.
pub(super) async fn write(
    store: &impl NotebookStore,
    partition: Partition,
    commits: &[(usize, &[&str])],
) -> Vec<RecordedCommit> {
    let log = store.log();
    let head = log.head(partition).await.unwrap().get();
    for (number, (stream, payloads)) in (head + 1..).zip(commits) {
        let number = u64::from(partition.index()) * 1_000_000 + number;
        let stream = stream_of(store, partition, *stream);
        let commit = super::commit(number, &stream, ExpectedVersion::Any, payloads);
        log.append(commit).await.unwrap();
    }
    let all = log.read_partition(partition, Position::START, 10_000);
    all.await.unwrap()
}

pub(super) fn event(commit: usize, event: usize) -> EventRef {
    EventRef { commit, event }
}

pub(super) fn every(commits: &[RecordedCommit]) -> Vec<EventRef> {
    let events = |(n, commit): (usize, &RecordedCommit)| {
        let events = 0..commit.events.len();
        events.map(move |e| event(n, e))
    };
    commits.iter().enumerate().flat_map(events).collect()
}

pub(super) fn at(position: u64) -> Checkpoint {
    Checkpoint {
        position: Position::new(position),
        epoch: 0,
    }
}

/// From the checkpoint to the last of `commits`.
pub(super) fn batch<'a>(
    from: Checkpoint,
    commits: &'a [RecordedCommit],
    apply: &'a [EventRef],
    park: &'a [(EventRef, Option<String>)],
) -> Batch<'a> {
    let last = commits.last().unwrap().at;
    Batch {
        partition: last.partition,
        expected: from,
        position: last.position,
        commits: commits.into(),
        apply,
        park,
    }
}

pub(super) async fn checkpoint(store: &impl NotebookStore, partition: Partition) -> Checkpoint {
    store.projection().checkpoint(partition).await.unwrap()
}

/// The rows are of these streams of `partition`, at these versions, in this order.
pub(super) async fn assert_notes(
    store: &impl NotebookStore,
    partition: Partition,
    expected: &[(usize, u64)],
) {
    let expected: Vec<_> = expected
        .iter()
        .map(|(stream, version)| Note {
            stream: stream_of(store, partition, *stream).to_string(),
            version: *version,
        })
        .collect();
    assert_eq!(store.notes().await, expected);
}

pub(super) fn assert_stale(result: Result<(), ApplyError>) {
    assert!(matches!(result, Err(ApplyError::Stale)), "{result:?}");
}

pub(super) fn assert_poison(result: Result<(), ApplyError>, at: usize) {
    let named = matches!(&result, Err(ApplyError::Poison { index, .. }) if *index == at);
    assert!(named, "expected poison at {at}, got {result:?}");
}

/// Under its name, of its event type, at position 0 of epoch 0, without rows.
pub async fn begins_empty_at_the_start(store: impl NotebookStore) {
    let projection = store.projection();
    assert_eq!(projection.name(), Notebook::NAME);
    assert!(projection.handles(Notebook::EVENT));
    assert!(!projection.handles("contract-tested-otherwise"));
    for partition in Partition::all(store.log().partitions()) {
        assert_eq!(checkpoint(&store, partition).await, at(0));
        assert_eq!(projection.parked(partition).await.unwrap(), []);
    }
    assert_eq!(store.notes().await, []);
}

/// Batch by batch, past position 10.
pub async fn moves_rows_and_checkpoint_together(store: impl NotebookStore) {
    let mut expected = Vec::new();
    for n in 0..12 {
        let commits = write(&store, FIRST, &[(0, &["1", "2"]), (1, &["3"])]).await;
        let new = &commits[2 * n..];
        let events = every(new);
        let batch = batch(at(2 * n as u64), new, &events, &[]);
        store.projection().apply(&batch).await.unwrap();
        assert_eq!(checkpoint(&store, FIRST).await, at(2 * (n as u64 + 1)));
        let n = n as u64;
        expected.extend([(0, 2 * n + 1), (0, 2 * n + 2), (1, n + 1)]);
    }
    assert_notes(&store, FIRST, &expected).await;
}

/// Of some commits, and some of their events; the position may be past the last of them.
pub async fn applies_what_it_is_given_and_moves_as_far_as_it_is_told(store: impl NotebookStore) {
    let commits = write(&store, FIRST, &[(0, &["1", "2", "3"]), (1, &["4"])]).await;
    let some = [event(0, 0), event(0, 2)];
    let some = Batch {
        position: Position::new(2),
        ..batch(at(0), &commits[..1], &some, &[])
    };
    store.projection().apply(&some).await.unwrap();
    let nothing = Batch {
        position: Position::new(7),
        ..batch(at(2), &commits, &[], &[])
    };
    let nothing = Batch {
        commits: Commits::Borrowed(&[]),
        ..nothing
    };
    store.projection().apply(&nothing).await.unwrap();
    assert_eq!(checkpoint(&store, FIRST).await, at(7));
    assert_notes(&store, FIRST, &[(0, 1), (0, 3)]).await;
}

/// Whether the position is behind, ahead, or of another epoch.
pub async fn a_stale_batch_writes_nothing(store: impl NotebookStore) {
    let commits = write(&store, FIRST, &[(0, &["1"]), (0, &["2"]), (1, &["3"])]).await;
    let first = [event(0, 0)];
    let first = batch(at(0), &commits[..1], &first, &[]);
    store.projection().apply(&first).await.unwrap();
    let of_another_epoch = Checkpoint { epoch: 1, ..at(1) };
    for wrong in [at(0), at(2), of_another_epoch] {
        let (apply, park) = ([event(0, 0)], [(event(0, 0), Some("why".to_owned()))]);
        let rows = batch(wrong, &commits[2..], &apply, &[]);
        assert_stale(store.projection().apply(&rows).await);
        let parking = batch(wrong, &commits[2..], &[], &park);
        assert_stale(store.projection().apply(&parking).await);
    }
    assert_eq!(checkpoint(&store, FIRST).await, at(1));
    assert_eq!(store.projection().parked(FIRST).await.unwrap(), []);
    assert_notes(&store, FIRST, &[(0, 1)]).await;
}

/// As after an answer that was lost.
pub async fn a_repeated_batch_is_harmless(store: impl NotebookStore) {
    let commits = write(&store, FIRST, &[(0, &["1"]), (1, &["2"])]).await;
    let (apply, park) = ([event(0, 0)], [(event(1, 0), Some("why".to_owned()))]);
    let batch = batch(at(0), &commits, &apply, &park);
    store.projection().apply(&batch).await.unwrap();
    for _ in 0..3 {
        assert_stale(store.projection().apply(&batch).await);
    }
    assert_eq!(checkpoint(&store, FIRST).await, at(2));
    assert_eq!(
        store.projection().parked(FIRST).await.unwrap()[0].waiting,
        1
    );
    assert_notes(&store, FIRST, &[(0, 1)]).await;
}

/// Several runners with the same slice.
pub async fn of_rivals_exactly_one_writes(store: impl NotebookStore) {
    for n in 0..5 {
        let commits = write(&store, FIRST, &[(0, &["{}"])]).await;
        let apply = [event(0, 0)];
        let batch = batch(at(n as u64), &commits[n..], &apply, &[]);
        let answers = join_all((0..4).map(|_| store.projection().apply(&batch))).await;
        let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "{lost:?}");
        lost.into_iter().for_each(assert_stale);
    }
    let all: Vec<_> = (1..=5).map(|version| (0, version)).collect();
    assert_notes(&store, FIRST, &all).await;
}

/// Its outcome is unknown; whoever loads the checkpoint and goes on from there writes each row once.
pub async fn a_dropped_call_writes_all_or_nothing(store: impl NotebookStore) {
    for n in 0..5 {
        let commits = write(&store, FIRST, &[(0, &["1", "2"])]).await;
        let apply = [event(0, 0), event(0, 1)];
        let batch = batch(at(n as u64), &commits[n..], &apply, &[]);
        // Polled once or not at all.
        let dropped = store.projection().apply(&batch);
        if n % 2 == 0 {
            drop(dropped.now_or_never());
        } else {
            drop(dropped);
        }
        match store.projection().apply(&batch).await {
            Ok(()) => {}
            stale => assert_stale(stale),
        }
        assert_eq!(checkpoint(&store, FIRST).await, at(n as u64 + 1));
    }
    let all: Vec<_> = (1..=10).map(|version| (0, version)).collect();
    assert_notes(&store, FIRST, &all).await;
}

/// By its index among the events to apply, whatever else is in the slice; again and again the same.
pub async fn a_poisonous_event_is_named_and_undoes_its_batch(store: impl NotebookStore) {
    let commits = write(
        &store,
        FIRST,
        &[(0, &["1", "2"]), (1, &["3", Notebook::POISON]), (2, &["4"])],
    )
    .await;
    let all = every(&commits);
    for (apply, poison) in [(&all[..], 3), (&all[1..], 2), (&all[3..], 0)] {
        for _ in 0..2 {
            let batch = batch(at(0), &commits, apply, &[]);
            assert_poison(store.projection().apply(&batch).await, poison);
        }
    }
    assert_eq!(checkpoint(&store, FIRST).await, at(0));
    assert_notes(&store, FIRST, &[]).await;
    store.notebook().mend();
    let batch = batch(at(0), &commits, &all, &[]);
    store.projection().apply(&batch).await.unwrap();
    assert_notes(&store, FIRST, &[(0, 1), (0, 2), (1, 1), (1, 2), (2, 1)]).await;
}

/// Each has its checkpoint and its parked streams, and one that stands still holds back no other.
pub async fn keeps_partitions_apart(store: impl NotebookStore) {
    let first = write(&store, FIRST, &[(0, &[Notebook::POISON])]).await;
    let second = write(&store, SECOND, &[(0, &["1"]), (0, &["2"])]).await;
    let park = [(event(0, 0), Some("why".to_owned()))];
    let parking = batch(at(0), &first, &[], &park);
    store.projection().apply(&parking).await.unwrap();
    assert_eq!(checkpoint(&store, SECOND).await, at(0));
    assert_eq!(store.projection().parked(SECOND).await.unwrap(), []);

    let apply = every(&second);
    let applying = batch(at(0), &second, &apply, &[]);
    store.projection().apply(&applying).await.unwrap();
    assert_eq!(checkpoint(&store, FIRST).await, at(1));
    assert_eq!(checkpoint(&store, SECOND).await, at(2));
    assert_eq!(store.projection().parked(FIRST).await.unwrap().len(), 1);
    assert_notes(&store, SECOND, &[(0, 1), (0, 2)]).await;
}
