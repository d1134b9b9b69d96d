//! Promises of a projection about streams whose events cannot be applied.

use crate::log::{EventId, RecordedCommit};
use crate::position::{LogPosition, Position};
use crate::projection::{EventRef, Parked, ParkedStreams, Projection};

use super::notebook::{Notebook, NotebookStore};
use super::projection::{
    FIRST, SECOND, assert_notes, assert_poison, assert_stale, at, batch, checkpoint, event, every,
    stream_of, write,
};

const POISON: &str = Notebook::POISON;

fn because(reason: &str) -> Option<String> {
    Some(reason.to_owned())
}

async fn parked(store: &impl NotebookStore) -> Vec<Parked> {
    store.projection().parked(FIRST).await.unwrap()
}

fn first_at(position: u64, index: u32) -> EventId {
    EventId {
        at: LogPosition::new(FIRST, Position::new(position)),
        index,
    }
}

/// Parks stream 0 from its second event on, and applies the rest of `commits`.
async fn park_stream_0(store: &impl NotebookStore, commits: &[RecordedCommit]) {
    let mine = stream_of(store, FIRST, 0);
    let (all, first) = (every(commits), event(0, 0));
    let (park, apply): (Vec<EventRef>, _) = all
        .into_iter()
        .partition(|place| commits[place.commit].stream == mine && *place != first);
    let mut reason = because("illegible");
    let park: Vec<_> = park.into_iter().map(|p| (p, reason.take())).collect();
    let batch = batch(at(0), commits, &apply, &park);
    store.projection().apply(&batch).await.unwrap();
}

/// With rows and checkpoint, in one write: the first event, its reason, and how many wait.
pub async fn parks_a_stream_from_an_event_on(store: impl NotebookStore) {
    let commits: [(usize, &[&str]); 4] = [
        (0, &["1", POISON, "3"]),
        (1, &["4"]),
        (0, &["5"]),
        (2, &["6"]),
    ];
    let commits = write(&store, FIRST, &commits).await;
    park_stream_0(&store, &commits).await;
    assert_eq!(checkpoint(&store, FIRST).await, at(4));
    assert_notes(&store, FIRST, &[(0, 1), (1, 1), (2, 1)]).await;
    let expected = Parked {
        stream: stream_of(&store, FIRST, 0),
        first: first_at(1, 1),
        reason: "illegible".to_owned(),
        waiting: 3,
    };
    assert_eq!(parked(&store).await, [expected]);
}

/// A batch that is not written parks nothing either.
pub async fn parks_nothing_with_a_poisonous_batch(store: impl NotebookStore) {
    let commits = write(&store, FIRST, &[(0, &[POISON]), (1, &[POISON])]).await;
    let (apply, park) = ([event(1, 0)], [(event(0, 0), because("illegible"))]);
    let batch = batch(at(0), &commits, &apply, &park);
    assert_poison(store.projection().apply(&batch).await, 0);
    assert_eq!(parked(&store).await, []);
    assert_eq!(checkpoint(&store, FIRST).await, at(0));
}

/// In later batches too; the reason stays the first one's.
pub async fn later_events_queue_behind(store: impl NotebookStore) {
    let commits = write(&store, FIRST, &[(0, &["1", POISON]), (1, &["2"])]).await;
    park_stream_0(&store, &commits).await;
    let before = parked(&store).await;
    let commits = write(&store, FIRST, &[(0, &["3", "4"]), (1, &["5"])]).await;
    let (apply, park) = ([event(1, 0)], [event(0, 0), event(0, 1)].map(|e| (e, None)));
    let later = batch(at(2), &commits[2..], &apply, &park);
    store.projection().apply(&later).await.unwrap();
    let expected = Parked {
        waiting: 3,
        ..before[0].clone()
    };
    assert_eq!(parked(&store).await, [expected]);
    assert_notes(&store, FIRST, &[(0, 1), (1, 1), (1, 2)]).await;
}

/// Each with its own reason; releasing one leaves the other.
pub async fn parks_several_streams(store: impl NotebookStore) {
    let commits: [(usize, &[&str]); 3] = [(0, &[POISON]), (1, &[POISON]), (0, &["1"])];
    let commits = write(&store, FIRST, &commits).await;
    let park = [
        (event(0, 0), because("the first")),
        (event(1, 0), because("the second")),
        (event(2, 0), None),
    ];
    let parking = batch(at(0), &commits, &[], &park);
    store.projection().apply(&parking).await.unwrap();
    let streams = [0, 1].map(|nth| stream_of(&store, FIRST, nth));
    let mut found = parked(&store).await;
    found.sort_by_key(|parked| parked.first);
    let found: Vec<_> = found
        .iter()
        .map(|p| (&p.stream, p.first, p.reason.as_str(), p.waiting))
        .collect();
    let expected = [
        (&streams[0], first_at(1, 0), "the first", 2),
        (&streams[1], first_at(2, 0), "the second", 1),
    ];
    assert_eq!(found, expected);

    store.notebook().mend();
    let release = store.projection().release(FIRST, &streams[0]);
    release.await.unwrap();
    let left = parked(&store).await;
    assert_eq!((left.len(), &left[0].stream), (1, &streams[1]));
    assert_notes(&store, FIRST, &[(0, 1), (0, 2)]).await;
}

/// Parks all events of `commits`, which are of stream 0.
async fn park_all(store: &impl NotebookStore, commits: &[RecordedCommit]) {
    let mut reason = because("illegible");
    let park = every(commits).into_iter().map(|p| (p, reason.take()));
    let park: Vec<_> = park.collect();
    let batch = batch(at(0), commits, &[], &park);
    store.projection().apply(&batch).await.unwrap();
}

/// By position and by index as numbers, past 10 of both; the checkpoint stays, and nothing is released twice.
pub async fn releases_in_order_and_once(store: impl NotebookStore) {
    let many = [POISON; 12];
    let commits: Vec<(usize, &[&str])> = (0..12)
        .map(|n| (0, if n == 8 { &many[..] } else { &many[..1] }))
        .collect();
    let commits = write(&store, FIRST, &commits).await;
    park_all(&store, &commits).await;
    assert_eq!(parked(&store).await[0].waiting, 23);
    store.notebook().mend();
    let stream = stream_of(&store, FIRST, 0);
    for _ in 0..2 {
        store.projection().release(FIRST, &stream).await.unwrap();
        assert_eq!(parked(&store).await, []);
        assert_eq!(checkpoint(&store, FIRST).await, at(12));
        let all: Vec<_> = (1..=23).map(|version| (0, version)).collect();
        assert_notes(&store, FIRST, &all).await;
    }
}

/// The index is among the events that wait; none of them is applied and all of them stay.
pub async fn a_release_that_meets_poison_changes_nothing(store: impl NotebookStore) {
    let commits = write(&store, FIRST, &[(0, &["1", "2"]), (0, &["3", POISON, "5"])]).await;
    park_all(&store, &commits).await;
    let before = parked(&store).await;
    let stream = stream_of(&store, FIRST, 0);
    for _ in 0..2 {
        let release = store.projection().release(FIRST, &stream).await;
        assert_poison(release, 3);
        assert_eq!(parked(&store).await, before);
        assert_notes(&store, FIRST, &[]).await;
    }
    store.notebook().mend();
    store.projection().release(FIRST, &stream).await.unwrap();
    let all: Vec<_> = (1..=5).map(|version| (0, version)).collect();
    assert_notes(&store, FIRST, &all).await;
}

/// It goes on, and can be parked anew.
pub async fn a_released_stream_goes_on(store: impl NotebookStore) {
    let commits = write(&store, FIRST, &[(0, &["1"])]).await;
    park_all(&store, &commits).await;
    let stream = stream_of(&store, FIRST, 0);
    store.projection().release(FIRST, &stream).await.unwrap();

    let commits = write(&store, FIRST, &[(0, &["2"]), (0, &["3"])]).await;
    let (apply, park) = ([event(0, 0)], [(event(1, 0), because("again"))]);
    let next = batch(at(1), &commits[1..], &apply, &park);
    store.projection().apply(&next).await.unwrap();
    let expected = Parked {
        stream,
        first: first_at(3, 0),
        reason: "again".to_owned(),
        waiting: 1,
    };
    assert_eq!(parked(&store).await, [expected]);
    assert_notes(&store, FIRST, &[(0, 1), (0, 2)]).await;
}

/// A stream of another partition, or one that never was.
pub async fn releasing_what_is_not_parked_changes_nothing(store: impl NotebookStore) {
    let commits = write(&store, FIRST, &[(0, &["1"])]).await;
    park_all(&store, &commits).await;
    let before = parked(&store).await;
    let (mine, other) = (stream_of(&store, FIRST, 0), stream_of(&store, FIRST, 1));
    store.projection().release(FIRST, &other).await.unwrap();
    store.projection().release(SECOND, &mine).await.unwrap();
    assert_eq!(parked(&store).await, before);
    assert_notes(&store, FIRST, &[]).await;
}

/// A release moves no checkpoint, so that a runner elsewhere may not have seen it: what it would let wait behind
/// nothing is refused, as is what would overtake a parked stream.
pub async fn a_batch_that_is_wrong_about_parked_streams_is_stale(store: impl NotebookStore) {
    let commits = write(&store, FIRST, &[(0, &[POISON]), (0, &["2"])]).await;
    park_all(&store, &commits[..1]).await;
    let (apply, park) = ([event(0, 0)], [(event(0, 0), None)]);
    let overtaking = batch(at(1), &commits[1..], &apply, &[]);
    assert_stale(store.projection().apply(&overtaking).await);
    store.notebook().mend();
    let stream = stream_of(&store, FIRST, 0);
    store.projection().release(FIRST, &stream).await.unwrap();
    let queueing = batch(at(1), &commits[1..], &[], &park);
    assert_stale(store.projection().apply(&queueing).await);
    assert_eq!(parked(&store).await, []);
    assert_eq!(checkpoint(&store, FIRST).await, at(1));
    store.projection().apply(&overtaking).await.unwrap();
    assert_notes(&store, FIRST, &[(0, 1), (0, 2)]).await;
}
