//! Promises of a bus to who publishes, and to who reads alone.

use std::future::pending;
use std::pin::pin;

use futures_util::FutureExt;
use futures_util::future::{join, select};

use crate::bus::{ConsumeEvents, PublishEvents};
use crate::position::Partition;
use crate::testing::fixtures::yield_now;

use super::brokers::{
    Brokers, FIRST, Reading, commits, due, end, holds, partitions, publish, reader, soon,
};

const SECOND: Partition = Partition::new(1);

/// All fields of all events, in order, in their partition, to whoever comes later; not what only the ledger needs.
pub async fn gives_back_what_was_published(bus: impl Brokers) {
    let publisher = bus.publisher();
    for partition in partitions(&bus) {
        let all = commits(partition, 1..=20);
        publish(&bus, &publisher, &all[..8]).await;
        publish(&bus, &publisher, &all[8..]).await;
    }
    let reader = reader(&bus).await;
    for partition in partitions(&bus) {
        let mut reading = Reading::after(&bus, &reader, partition, 0).await;
        reading.finds(&commits(partition, 1..=20)).await;
    }
}

/// The end is where the next record goes: 0 at first, then what was answered, for each partition by itself.
pub async fn a_publish_answers_where_it_ended(bus: impl Brokers) {
    let publisher = bus.publisher();
    for partition in partitions(&bus) {
        assert_eq!(end(&bus, &publisher, partition).await, 0);
        let mut ended = 0;
        // Another number in each partition.
        for from in (1..=10 + u64::from(partition.index())).step_by(5) {
            let slice = commits(partition, from..=from + 4);
            let next = publish(&bus, &publisher, &slice).await;
            assert!(next >= ended + due(&slice).len() as u64, "{ended} {next}");
            ended = next;
            assert_eq!(end(&bus, &publisher, partition).await, ended);
            assert_eq!(end(&bus, &bus.publisher(), partition).await, ended);
        }
        let empty = publisher.publish(partition, &[]);
        assert_eq!(soon(&bus, "nothing", empty).await.unwrap(), ended);
        let reader = reader(&bus).await;
        let mut reading = Reading::after(&bus, &reader, partition, 0).await;
        reading.up_to(ended).await;
        assert_eq!(reading.first, Some(0), "the beginning of what there is");
        assert_eq!(reading.came.keys().last(), Some(&(ended - 1)));
    }
}

/// The record before the offset that a slice was answered with is of the slice's last commit, and of no other.
pub async fn knows_what_it_holds(bus: impl Brokers) {
    let publisher = bus.publisher();
    assert!(!holds(&bus, &publisher, 1, 0).await);
    assert!(!holds(&bus, &publisher, 1, 1).await);
    let all = commits(FIRST, 1..=9);
    let mut answers = Vec::new();
    // The second time they stand elsewhere, and the first is still there.
    for slice in [&all[..5], &all[5..], &all[3..]] {
        let end = publish(&bus, &publisher, slice).await;
        answers.push((slice[slice.len() - 1].at.position.get(), end));
    }
    for publisher in [publisher, bus.publisher()] {
        for &(position, end) in &answers {
            assert!(holds(&bus, &publisher, position, end).await);
            assert!(!holds(&bus, &publisher, position - 1, end).await);
            assert!(!holds(&bus, &publisher, position + 1, end).await);
            assert!(!holds(&bus, &publisher, position, 0).await);
        }
        let (position, end) = answers[2];
        assert!(!holds(&bus, &publisher, position, end + 1).await);
        assert!(!holds(&bus, &publisher, position, end + 1_000).await);
    }
}

/// Repeats have offsets of their own, and are the same in all else.
pub async fn a_slice_published_again_is_there_again(bus: impl Brokers) {
    let publisher = bus.publisher();
    let all = commits(FIRST, 1..=10);
    let slices = [&all[..6], &all[2..6], &all[..]];
    let mut ended = 0;
    for slice in slices {
        ended = publish(&bus, &publisher, slice).await;
    }
    let reader = reader(&bus).await;
    let mut reading = Reading::after(&bus, &reader, FIRST, 0).await;
    let came = reading.up_to(ended).await;
    let published: Vec<_> = slices.into_iter().flat_map(due).collect();
    assert_eq!(came, published);
    assert_eq!(reading.taken, due(&all), "each is taken once");
}

/// Of a publish that was dropped, anything may be there; the whole slice again, and it is there whole.
pub async fn what_was_dropped_on_its_way_is_published_again(bus: impl Brokers) {
    let publisher = bus.publisher();
    let all = commits(FIRST, 1..=40);
    let mut ended = 0;
    for (slice, polls) in all.chunks(8).zip([0, 1, 2, 5, 12]) {
        let mut dropped = Box::pin(publisher.publish(FIRST, slice));
        for _ in 0..polls {
            if dropped.as_mut().now_or_never().is_some() {
                break;
            }
            yield_now().await;
        }
        drop(dropped);
        ended = publish(&bus, &publisher, slice).await;
        let last = slice[slice.len() - 1].at.position.get();
        assert!(holds(&bus, &publisher, last, ended).await);
    }
    let reader = reader(&bus).await;
    let mut reading = Reading::after(&bus, &reader, FIRST, 0).await;
    let due = due(&all);
    for record in reading.up_to(ended).await {
        assert!(due.contains(&record), "{record:?} was never published");
    }
    // A hole may have been there until it was filled.
    assert_eq!(reading.taken, due);
}

/// Two who publish the same at once cost repeats: each slice keeps its order, each is answered with its own end.
pub async fn publishers_at_once_lose_nothing(bus: impl Brokers) {
    let all = commits(FIRST, 1..=30);
    let publishers = [bus.publisher(), bus.publisher()];
    let one = async |publisher| {
        let mut ended = 0;
        for slice in all.chunks(6) {
            ended = publish(&bus, publisher, slice).await;
            let last = slice[slice.len() - 1].at.position.get();
            assert!(holds(&bus, publisher, last, ended).await);
        }
        ended
    };
    let (first, second) = join(one(&publishers[0]), one(&publishers[1])).await;
    let reader = reader(&bus).await;
    let mut reading = Reading::after(&bus, &reader, FIRST, 0).await;
    let mut came = reading.up_to(first.max(second)).await;
    assert_eq!((&reading.taken, reading.holes), (&due(&all), 0));
    came.sort_by_key(|record| record.id);
    let twice: Vec<_> = due(&all).into_iter().flat_map(|r| [r.clone(), r]).collect();
    assert_eq!(came, twice);
}

/// Wherever the cursor is moved, what follows comes whole: it is never behind the first record that was asked for.
pub async fn begins_behind_nothing_that_was_asked_for(bus: impl Brokers) {
    let publisher = bus.publisher();
    let all = commits(FIRST, 1..=12);
    // From position 3 to 6 there are two of each.
    publish(&bus, &publisher, &all[..6]).await;
    let ended = publish(&bus, &publisher, &all[2..]).await;
    let reader = reader(&bus).await;
    let mut whole = Reading::after(&bus, &reader, FIRST, 0).await;
    whole.up_to(ended).await;
    for after in [0, 5, 1, 11, 6, 2, 8, 0, 4, 3, 7, 10, 9] {
        let mut reading = Reading::after(&bus, &reader, FIRST, after).await;
        reading.finds(&commits(FIRST, after + 1..=12)).await;
        let first = whole.came.values().find(|r| r.id.at.position.get() > after);
        assert!(reading.first <= first.map(|record| record.offset));
        if after == 0 {
            assert_eq!(reading.first, Some(0), "the beginning of what there is");
        }
    }
    let mut reading = Reading::after(&bus, &reader, FIRST, 12).await;
    publish(&bus, &publisher, &commits(FIRST, 13..=15)).await;
    reading.finds(&commits(FIRST, 13..=15)).await;
}

/// At least one record, and no more than the reader has room for; nothing is lost between.
pub async fn gives_no_more_than_was_asked_for(bus: impl Brokers) {
    let publisher = bus.publisher();
    let all = commits(FIRST, 1..=30);
    publish(&bus, &publisher, &all).await;
    let reader = reader(&bus).await;
    let mut reading = Reading::after(&bus, &reader, FIRST, 0).await;
    for max in [1, 2, 3, 5, 1, 8].into_iter().cycle() {
        reading.try_next(max).await.unwrap();
        if reading.taken.len() == due(&all).len() {
            break;
        }
    }
    reading.finds(&all).await;
}

/// A reader waits where there is nothing, and is woken by what is published to its partition.
pub async fn waits_for_more(bus: impl Brokers) {
    let (publisher, reader) = (bus.publisher(), reader(&bus).await);
    let mut reading = Reading::after(&bus, &reader, FIRST, 0).await;
    let mut all = Vec::new();
    for position in 1..=5 {
        assert!(reader.next(FIRST, 7).now_or_never().is_none());
        all.extend(commits(FIRST, position..=position));
        let publish = async {
            // What comes elsewhere is not for it.
            publish(&bus, &publisher, &commits(SECOND, position..=position)).await;
            publish(&bus, &publisher, &commits(FIRST, position..=position)).await;
        };
        join(reading.finds(&all), publish).await;
    }
}

/// A read that is dropped takes nothing with it.
pub async fn a_dropped_read_loses_nothing(bus: impl Brokers) {
    let (publisher, reader) = (bus.publisher(), reader(&bus).await);
    let mut reading = Reading::after(&bus, &reader, FIRST, 0).await;
    let all = commits(FIRST, 1..=40);
    let publishing = async {
        for slice in all.chunks(4) {
            publish(&bus, &publisher, slice).await;
        }
        pending::<()>().await;
    };
    let due = due(&all);
    let dropping = async {
        for polls in (1..=4).cycle() {
            if reading.taken.len() >= due.len() {
                return;
            }
            let mut next = Box::pin(reader.next(FIRST, 3));
            for _ in 0..polls {
                if let Some(records) = next.as_mut().now_or_never() {
                    reading.take(records.unwrap(), 3);
                    break;
                }
                yield_now().await;
            }
        }
    };
    let what = "all comes in spite of dropped reads";
    soon(&bus, what, select(pin!(dropping), pin!(publishing))).await;
    assert_eq!((reading.taken, reading.holes), (due, 0));
}

/// What was assigned gives an error, and no record, until its cursor is moved; so each partition by itself.
pub async fn gives_nothing_before_its_cursor_is_moved(bus: impl Brokers) {
    let publisher = bus.publisher();
    for partition in partitions(&bus) {
        publish(&bus, &publisher, &commits(partition, 1..=3)).await;
    }
    let reader = reader(&bus).await;
    for partition in partitions(&bus) {
        let next = reader.next(partition, 9);
        let refused = soon(&bus, "a reader is told to move its cursor", next).await;
        assert!(refused.is_err(), "{refused:?}");
        let mut reading = Reading::after(&bus, &reader, partition, 0).await;
        reading.finds(&commits(partition, 1..=3)).await;
    }
}

/// No reader moves another's cursor, and none that of another partition.
pub async fn cursors_are_apart(bus: impl Brokers) {
    let publisher = bus.publisher();
    for partition in [FIRST, SECOND] {
        publish(&bus, &publisher, &commits(partition, 1..=20)).await;
    }
    let (one, other) = (reader(&bus).await, reader(&bus).await);
    let mut first = Reading::after(&bus, &one, FIRST, 0).await;
    let mut second = Reading::after(&bus, &one, SECOND, 10).await;
    let mut others = Reading::after(&bus, &other, FIRST, 5).await;
    for _ in 0..4 {
        first.try_next(3).await.unwrap();
        others.try_next(2).await.unwrap();
        second.try_next(1).await.unwrap();
    }
    first.finds(&commits(FIRST, 1..=20)).await;
    // One of the three goes where the others have not been.
    let mut again = Reading::after(&bus, &one, FIRST, 15).await;
    others.finds(&commits(FIRST, 6..=20)).await;
    second.finds(&commits(SECOND, 11..=20)).await;
    again.finds(&commits(FIRST, 16..=20)).await;
}
