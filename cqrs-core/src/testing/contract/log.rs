//! Promises of the event log.

use bytes::Bytes;
use futures_util::future::{join, join_all};
use uuid::Uuid;

use crate::codec::{Encoding, EventType};
use crate::envelope::{Actor, CommandId, RequestHash, TraceContext};
use crate::ledger::{Reservations, ReservedValue};
use crate::log::{
    AppendError, Commit, CommitHeader, EventData, EventLog, InvalidCommit, ReadError, Subscribe,
};
use crate::position::{Partition, Position};
use crate::time::Timestamp;
use crate::version::{ExpectedVersion, Version};

use super::{commit, exactly, fill, stream};

/// An empty commit is refused.
pub async fn refuses_an_empty_commit(log: impl EventLog) {
    let empty = log.append(commit(1, &stream(1), exactly(0), &[])).await;
    assert!(matches!(
        empty,
        Err(AppendError::Invalid(InvalidCommit::Empty))
    ));
}

/// More than [`Commit::MAX_EVENTS`] are refused.
pub async fn refuses_a_commit_with_too_many_events(log: impl EventLog) {
    let payloads = vec!["{}"; Commit::MAX_EVENTS + 1];
    let refused = log.append(commit(1, &stream(1), exactly(0), &payloads));
    assert!(matches!(
        refused.await,
        Err(AppendError::Invalid(InvalidCommit::TooManyEvents { .. }))
    ));
}

/// Versions count events, positions count commits, neither with a hole.
pub async fn counts_versions_and_positions_densely(log: impl EventLog) {
    let stream = stream(1);
    let first = commit(1, &stream, exactly(0), &["1", "2"]);
    let first = log.append(first).await.unwrap();
    let second = commit(2, &stream, exactly(2), &["3"]);
    let second = log.append(second).await.unwrap();
    assert_eq!((first.version.get(), second.version.get()), (2, 3));
    assert_eq!((first.at.position.get(), second.at.position.get()), (1, 2));
    assert_eq!(first.at.partition, stream.partition(log.partitions()));
    assert!(!first.repeated && !second.repeated);
    let head = log.head(first.at.partition).await.unwrap();
    assert_eq!(head, second.at.position);
}

/// All events of a commit are there, or none.
pub async fn appends_all_events_of_a_commit_together(log: impl EventLog) {
    let stream = stream(1);
    log.append(commit(1, &stream, exactly(0), &["1", "2", "3"]))
        .await
        .unwrap();
    let stale = commit(2, &stream, exactly(1), &["4", "5"]);
    log.append(stale).await.unwrap_err();
    let read = log.read_stream(&stream, Version::EMPTY, 100).await.unwrap();
    let payloads: Vec<_> = read.iter().flat_map(|c| &c.events).collect();
    assert_eq!(payloads.len(), 3);
}

/// Another version than the expected is a conflict that names both.
pub async fn rejects_a_stale_expected_version(log: impl EventLog) {
    let stream = stream(1);
    fill(&log, &stream, 1, 2).await;
    for wrong in [0, 1, 3] {
        let stale = log.append(commit(9, &stream, exactly(wrong), &["{}"]));
        match stale.await {
            Err(AppendError::Conflict {
                stream: named,
                expected,
                actual,
            }) => {
                assert_eq!(named, stream);
                assert_eq!((expected, actual), (exactly(wrong), Version::new(2)));
            }
            other => panic!("expected a conflict, got {other:?}"),
        }
    }
}

/// `Any` appends to an empty and to a filled stream.
pub async fn any_takes_whatever_is_there(log: impl EventLog) {
    let stream = stream(1);
    for n in 1..=3 {
        let any = commit(n, &stream, ExpectedVersion::Any, &["{}"]);
        assert_eq!(log.append(any).await.unwrap().version.get(), n);
    }
}

/// `NoStream` appends to an empty stream only.
pub async fn no_stream_takes_only_an_empty_one(log: impl EventLog) {
    let stream = stream(1);
    let begin = |n| commit(n, &stream, ExpectedVersion::NoStream, &["{}"]);
    log.append(begin(1)).await.unwrap();
    let again = log.append(begin(2)).await;
    assert!(matches!(again, Err(AppendError::Conflict { .. })));
}

/// What is expected is the end of a commit.
pub async fn a_version_inside_a_commit_is_a_conflict(log: impl EventLog) {
    let stream = stream(1);
    log.append(commit(1, &stream, exactly(0), &["1", "2"]))
        .await
        .unwrap();
    let inside = log.append(commit(2, &stream, exactly(1), &["{}"])).await;
    assert!(matches!(inside, Err(AppendError::Conflict { .. })));
}

/// 9 < 10 and 99 < 100.
pub async fn versions_past_ten_and_a_hundred_are_compared_as_numbers(log: impl EventLog) {
    let stream = stream(1);
    let last = fill(&log, &stream, 1, 120).await;
    assert_eq!(last.version.get(), 120);
    let stale = log.append(commit(999, &stream, exactly(99), &["{}"])).await;
    assert!(
        matches!(stale, Err(AppendError::Conflict { actual, .. }) if actual == Version::new(120))
    );
    let read = log.read_stream(&stream, Version::new(9), 1_000);
    assert_eq!(read.await.unwrap().len(), 111);
}

/// The right version is not enough where the commit that ends there is another.
pub async fn after_tells_commits_at_one_version_apart(log: impl EventLog) {
    let stream = stream(1);
    log.append(commit(1, &stream, exactly(0), &["{}"]))
        .await
        .unwrap();
    let after = |number| ExpectedVersion::After {
        version: Version::new(1),
        command: commit(number, &stream, exactly(0), &[]).header.command_id,
    };
    let lost = log.append(commit(3, &stream, after(2), &["{}"])).await;
    assert!(matches!(lost, Err(AppendError::Conflict { .. })));
    let lost = log.confirm(&stream, after(2)).await;
    assert!(matches!(lost, Err(AppendError::Conflict { .. })));
    log.confirm(&stream, after(1)).await.unwrap();
    let landed = log.append(commit(3, &stream, after(1), &["{}"])).await;
    assert_eq!(landed.unwrap().version.get(), 2);
}

/// Decided on a commit that did not land, although its version came to be.
pub async fn a_lost_predecessor_takes_its_successor_with_it(log: impl EventLog) {
    let stream = stream(1);
    fill(&log, &stream, 1, 2).await;
    let lost = commit(8, &stream, exactly(1), &["{}"]);
    let after = ExpectedVersion::After {
        version: Version::new(2),
        command: lost.header.command_id,
    };
    let lost = log.append(lost);
    let successor = log.append(commit(9, &stream, after, &["{}"]));
    let (lost, successor) = join(lost, successor).await;
    assert!(matches!(lost, Err(AppendError::Conflict { .. })));
    assert!(matches!(successor, Err(AppendError::Conflict { .. })));
    log.confirm(&stream, exactly(2)).await.unwrap();
}

/// Whatever it expects by then.
pub async fn a_repeated_command_gets_the_first_answer(log: impl EventLog) {
    let stream = stream(1);
    let first = log
        .append(commit(1, &stream, exactly(0), &["{}"]))
        .await
        .unwrap();
    log.append(commit(2, &stream, exactly(1), &["{}"]))
        .await
        .unwrap();
    for expected in [0, 1, 2, 7] {
        let again = commit(1, &stream, exactly(expected), &["{}"]);
        let again = log.append(again).await.unwrap();
        assert_eq!((again.at, again.version), (first.at, first.version));
        assert!(again.repeated);
    }
    log.confirm(&stream, exactly(2)).await.unwrap();
}

/// The same id, asked for otherwise.
pub async fn a_command_id_with_another_request_is_refused(log: impl EventLog) {
    let stream = stream(1);
    let asked = |digest: Option<u8>| {
        let mut asked = commit(1, &stream, ExpectedVersion::Any, &["{}"]);
        asked.header.request = digest.map(|d| RequestHash::new([d; 32]));
        asked
    };
    log.append(asked(Some(1))).await.unwrap();
    for other in [Some(2), None] {
        let reused = log.append(asked(other)).await;
        assert!(matches!(reused, Err(AppendError::KeyReused)), "{reused:?}");
    }
    assert!(log.append(asked(Some(1))).await.unwrap().repeated);
}

/// The call counts, not the poll.
pub async fn calls_take_their_places_unpolled(log: impl EventLog) {
    let stream = stream(1);
    let first = log.append(commit(1, &stream, exactly(0), &["1"]));
    let second = log.append(commit(2, &stream, exactly(1), &["2"]));
    let third = log.append(commit(3, &stream, exactly(2), &["3"]));
    // Polled in the wrong order.
    let (third, (second, first)) = join(third, join(second, first)).await;
    let versions = [first, second, third].map(|appended| appended.unwrap().version.get());
    assert_eq!(versions, [1, 2, 3]);
}

/// Its outcome is unknown, but the next call gets an answer.
pub async fn a_dropped_call_leaves_the_log_usable(log: impl EventLog) {
    let stream = stream(1);
    drop(log.append(commit(1, &stream, exactly(0), &["{}"])));
    let again = log.append(commit(1, &stream, exactly(0), &["{}"]));
    assert_eq!(again.await.unwrap().version.get(), 1);
    let next = log.append(commit(2, &stream, exactly(1), &["{}"])).await;
    assert_eq!(next.unwrap().version.get(), 2);
}

/// The head is confirmed with its place; an empty stream with position 0.
pub async fn confirms_a_head_and_nothing_else(log: impl EventLog) {
    let stream = stream(1);
    let none = log.confirm(&stream, exactly(0)).await.unwrap();
    assert_eq!(none.position, Position::START);
    assert_eq!(none.partition, stream.partition(log.partitions()));
    let last = fill(&log, &stream, 1, 3).await;
    assert_eq!(log.confirm(&stream, exactly(3)).await.unwrap(), last.at);
    for wrong in [0, 2, 4] {
        let wrong = log.confirm(&stream, exactly(wrong)).await;
        assert!(
            matches!(wrong, Err(AppendError::Conflict { actual, .. }) if actual == Version::new(3))
        );
    }
}

/// A confirmation is behind the appends that were called before it.
pub async fn confirms_behind_what_was_called_before(log: impl EventLog) {
    let stream = stream(1);
    let appended = log.append(commit(1, &stream, exactly(0), &["{}"]));
    let confirmed = log.confirm(&stream, exactly(1));
    let (confirmed, appended) = join(confirmed, appended).await;
    assert_eq!(confirmed.unwrap(), appended.unwrap().at);
}

/// Pages are whole commits, at least one.
pub async fn reads_a_stream_in_whole_commits(log: impl EventLog) {
    let stream = stream(1);
    for n in 0..3 {
        let two = commit(n + 1, &stream, exactly(2 * n), &["1", "2"]);
        log.append(two).await.unwrap();
    }
    for (max_events, commits) in [(1, 1), (2, 1), (3, 1), (4, 2), (6, 3), (100, 3)] {
        let page = log.read_stream(&stream, Version::EMPTY, max_events);
        assert_eq!(page.await.unwrap().len(), commits, "of {max_events} events");
    }
    let rest = log
        .read_stream(&stream, Version::new(4), 100)
        .await
        .unwrap();
    assert_eq!((rest.len(), rest[0].version), (1, Version::new(6)));
    let end = log
        .read_stream(&stream, Version::new(6), 100)
        .await
        .unwrap();
    assert!(end.is_empty());
    let other = super::stream("none");
    let none = log.read_stream(&other, Version::EMPTY, 100).await;
    assert!(none.unwrap().is_empty());
}

/// Inside of a commit, or past the stream's end, nothing is read.
pub async fn reads_a_stream_from_the_end_of_a_commit_only(log: impl EventLog) {
    let stream = stream(1);
    log.append(commit(1, &stream, exactly(0), &["1", "2"]))
        .await
        .unwrap();
    for wrong in [1, 3, 99] {
        let read = log.read_stream(&stream, Version::new(wrong), 100).await;
        assert!(matches!(read, Err(ReadError::Corrupt { .. })), "{read:?}");
    }
}

/// In order, whole, from any position.
pub async fn reads_a_partition_in_whole_commits(log: impl EventLog) {
    let stream = stream(1);
    for n in 0..5 {
        let two = commit(n + 1, &stream, exactly(2 * n), &["1", "2"]);
        log.append(two).await.unwrap();
    }
    let partition = stream.partition(log.partitions());
    let read = |after, max_events| log.read_partition(partition, Position::new(after), max_events);
    let positions = |slice: Vec<crate::RecordedCommit>| {
        let each = slice.iter().map(|commit| commit.at.position.get());
        each.collect::<Vec<_>>()
    };
    assert_eq!(positions(read(0, 5).await.unwrap()), [1, 2]);
    assert_eq!(positions(read(2, 1).await.unwrap()), [3]);
    assert_eq!(positions(read(3, 100).await.unwrap()), [4, 5]);
    assert!(read(5, 100).await.unwrap().is_empty());
}

/// Where it says that nothing follows, waiting finds what comes.
pub async fn knows_what_a_slice_left_out(log: impl EventLog) {
    let stream = stream(1);
    let partition = stream.partition(log.partitions());
    for n in 0..3 {
        let next = commit(n + 1, &stream, exactly(n), &["{}"]);
        log.append(next).await.unwrap();
    }
    for (after, max_events, goes_on) in [(0, 1, true), (1, 1, true), (0, 2, true), (0, 3, false)] {
        let after = Position::new(after);
        let slice = log.read_partition(partition, after, max_events).await;
        let last = slice.unwrap().last().unwrap().at.position;
        // A log that does not know says `true`.
        assert!(log.goes_on(partition, last) || !goes_on);
    }
    let end = Position::new(3);
    let wait = log.wait_past(partition, end);
    let append = log.append(commit(4, &stream, exactly(3), &["{}"]));
    let (waited, appended) = join(wait, append).await;
    waited.unwrap();
    appended.unwrap();
    assert!(log.goes_on(partition, end));
}

/// Typed, for every call that names a partition.
pub async fn refuses_a_partition_that_it_has_not(log: impl EventLog) {
    let beyond = Partition::new(log.partitions());
    let read = log.read_partition(beyond, Position::START, 1).await;
    assert!(matches!(read, Err(ReadError::NoSuchPartition { .. })));
    let head = log.head(beyond).await;
    assert!(matches!(head, Err(ReadError::NoSuchPartition { .. })));
    let wait = log.wait_past(beyond, Position::START).await;
    assert!(matches!(wait, Err(ReadError::NoSuchPartition { .. })));
}

/// By its command, or not at all.
pub async fn finds_a_commit_by_its_command(log: impl EventLog) {
    let stream = stream(1);
    let wanted = commit(2, &stream, exactly(1), &["{}"]);
    let id = wanted.header.command_id;
    fill(&log, &stream, 1, 1).await;
    assert!(log.find_commit(id).await.unwrap().is_none());
    let appended = log.append(wanted).await.unwrap();
    let found = log.find_commit(id).await.unwrap().unwrap();
    assert_eq!((found.at, found.version), (appended.at, appended.version));
}

/// Byte for byte, header and all.
pub async fn gives_back_what_was_appended(log: impl EventLog) {
    let stream = stream("with~every!thing");
    let trace = TraceContext::parse(
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        Some("vendor=state"),
    );
    let event = |name: &'static str, version, payload: &'static [u8]| EventData {
        event_type: EventType::new(name, version),
        encoding: Encoding::Json,
        payload: Bytes::from_static(payload),
    };
    let appended = Commit {
        stream: stream.clone(),
        expected: ExpectedVersion::NoStream,
        header: CommitHeader {
            command_id: CommandId::new(Uuid::from_u128(u128::MAX - 1)),
            request: Some(RequestHash::new([0xfe; 32])),
            actor: Actor::parse("Ада 🦀 o'hara").unwrap(),
            time: Timestamp::from_millis(-1),
            correlation_id: Uuid::from_u128(2),
            causation_id: Uuid::from_u128(3),
            trace,
        },
        events: vec![
            event("done", 1, b"{\"a\": \"\xc3\xa9\\u0000\"}"),
            event("done-otherwise", 4_000_000_000, b""),
            event("done", 2, &[0, 255, 128]),
        ],
        reservations: Reservations {
            reserve: vec![ReservedValue::new("name", "ä 'x'")],
            release: vec![ReservedValue::new("name", "old")],
        },
    };
    let at = log.append(appended.clone()).await.unwrap().at;
    let read = log.read_stream(&stream, Version::EMPTY, 10).await.unwrap();
    let [read] = &read[..] else {
        panic!("expected one commit, read {read:?}");
    };
    assert_eq!(
        (&read.stream, read.version, read.at),
        (&stream, Version::new(3), at)
    );
    assert_eq!(read.header, appended.header);
    assert_eq!(read.events, appended.events);
    assert_eq!(read.reservations, appended.reservations);
}

/// Now or once something is appended.
pub async fn wakes_whoever_waits(log: impl EventLog) {
    let stream = stream(1);
    let partition = stream.partition(log.partitions());
    let wait = log.wait_past(partition, Position::START);
    let append = log.append(commit(1, &stream, exactly(0), &["{}"]));
    let (waited, appended) = join(wait, append).await;
    waited.unwrap();
    appended.unwrap();
    log.wait_past(partition, Position::START).await.unwrap();
}

/// While four streams are written to.
pub async fn a_subscription_sees_each_commit_once_and_in_order(log: impl EventLog) {
    const EACH: u64 = 25;
    let streams: Vec<_> = (0..4).map(stream).collect();
    let writers = join_all(streams.iter().zip(0..).map(|(stream, nth)| {
        let log = &log;
        async move { fill(log, stream, 1_000 * nth + 1, EACH).await }
    }));
    let readers = join_all(Partition::all(log.partitions()).map(|partition| {
        let expected = EACH
            * streams
                .iter()
                .filter(|stream| stream.partition(log.partitions()) == partition)
                .count() as u64;
        let log = &log;
        async move {
            let mut subscription = log.subscribe(partition, Position::START);
            let mut next = Position::START.next();
            while next.get() <= expected {
                for commit in subscription.next_slice(7).await.unwrap() {
                    assert_eq!(commit.at.position, next);
                    next = next.next();
                }
            }
            assert_eq!(subscription.position().get(), expected);
        }
    }));
    join(writers, readers).await;
}

/// Of eight that append at each version, one is acknowledged, and that one is stored.
pub async fn of_rivals_exactly_one_wins_each_version(log: impl EventLog) {
    let stream = stream(1);
    for version in 0..20 {
        let rivals = (0..8).map(|rival| {
            let number = version * 8 + rival + 1;
            log.append(commit(number, &stream, exactly(version), &["{}"]))
        });
        let answers = join_all(rivals).await;
        let winners: Vec<_> = answers.iter().filter_map(|a| a.as_ref().ok()).collect();
        assert_eq!(winners.len(), 1, "at version {version}");
        assert_eq!(winners[0].version, Version::new(version + 1));
    }
    let read = log.read_stream(&stream, Version::EMPTY, 1_000).await;
    assert_eq!(read.unwrap().len(), 20);
}
