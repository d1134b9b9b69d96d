//! Promises of a bus to who shares its partitions.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::FutureExt;
use futures_util::future::{join, join_all, select_all};

use crate::bus::{Assigned, Assignment, ConsumeEvents};
use crate::position::{Partition, Position};

use super::brokers::{
    Brokers, Reading, assigned, commits, end, has_all, partitions, publish, soon,
};

const GROUP: &str = "readers";

/// A member that has all partitions.
async fn alone<B: Brokers>(bus: &B, group: &str) -> (B::Consumer, Assignment) {
    let member = bus.join(group);
    let what = "a member that is alone has all partitions";
    let all = assigned(bus, &member, what, has_all(bus)).await;
    (member, all)
}

/// What each of `members` has, once each has something, none what another has, and nothing is left over.
async fn shared<B: Brokers>(bus: &B, members: &[&B::Consumer]) -> Vec<Assignment> {
    let agreed = async {
        loop {
            let now = join_all(members.iter().map(|member| member.changed(u64::MAX))).await;
            let mut had: Vec<Partition> = Vec::new();
            had.extend(now.iter().flat_map(|its| its.partitions.keys().copied()));
            had.sort();
            let each = now.iter().all(|its| !its.partitions.is_empty());
            if each && had.into_iter().eq(partitions(bus)) {
                return now;
            }
            let changes = members.iter().zip(&now);
            let changes = changes.map(|(member, now)| Box::pin(member.changed(now.number)));
            select_all(changes).await;
        }
    };
    soon(bus, "the members share all partitions", agreed).await
}

/// Publishes commits `from..=to` to all partitions.
async fn fill<B: Brokers>(bus: &B, from: u64, to: u64) {
    let publisher = bus.publisher();
    for partition in partitions(bus) {
        publish(bus, &publisher, &commits(partition, from..=to)).await;
    }
}

/// Reads all of what is `member`'s, of which each partition has positions up to `last`.
async fn read<'a, B: Brokers>(
    bus: &'a B,
    member: &'a B::Consumer,
    share: &Assignment,
    last: u64,
) -> BTreeMap<Partition, Reading<'a, B>> {
    let mut readings = BTreeMap::new();
    for &partition in share.partitions.keys() {
        let mut reading = Reading::after(bus, member, partition, 0).await;
        reading.finds(&commits(partition, 1..=last)).await;
        readings.insert(partition, reading);
    }
    readings
}

/// A change has another number, an assigned partition another term; who was not looking is told late, and not too late.
pub async fn tells_of_each_change_until_it_is_seen(bus: impl Brokers) {
    let (one, first) = alone(&bus, GROUP).await;
    assert_ne!(first.number, 0, "0 is before the first");
    let (mut numbers, mut last) = (BTreeSet::from([first.number]), first.clone());
    let mut terms = BTreeSet::from_iter(first.partitions);
    for _ in 0..2 {
        let other = bus.join(GROUP);
        let shares = shared(&bus, &[&one, &other]).await;
        // Nobody looked meanwhile; and who does and goes away misses nothing.
        for seen in [0, u64::MAX, last.number] {
            let told = one.changed(seen).now_or_never();
            assert_eq!(told.as_ref(), Some(&shares[0]), "after {seen}");
        }
        let now = shares[0].number;
        assert!(one.changed(now).now_or_never().is_none());
        assert!(numbers.insert(now), "{now} was before: {numbers:?}");
        let told = soon(&bus, "the member is told of its change", one.changed(now));
        let (told, ()) = join(told, bus.leave(other)).await;
        assert_ne!(told.number, now);
        let what = "who stays has all partitions again";
        let after = assigned(&bus, &one, what, has_all(&bus)).await;
        assert!(numbers.insert(after.number));
        for (partition, term) in &after.partitions {
            let kept = shares[0].partitions.get(partition) == Some(term);
            assert!(kept || terms.insert((*partition, *term)), "an old term");
        }
        last = after;
    }
}

/// Each partition is one member's, who reads it; to the other it is none of his.
pub async fn members_share_the_partitions(bus: impl Brokers) {
    fill(&bus, 1, 6).await;
    let (one, other) = (bus.join(GROUP), bus.join(GROUP));
    let members = [&one, &other];
    let shares = shared(&bus, &members).await;
    let mut readings = BTreeMap::new();
    for (member, share) in members.into_iter().zip(&shares) {
        readings.extend(read(&bus, member, share, 6).await);
        for partition in partitions(&bus).filter(|p| !share.partitions.contains_key(p)) {
            let seek = member.seek(partition, Position::START);
            let refused = soon(&bus, "who has a partition not is told", seek).await;
            assert!(refused.is_err(), "{partition} is not its own");
            assert!(member.next(partition, 1).now_or_never().is_none());
        }
    }
    fill(&bus, 7, 9).await;
    for (&partition, reading) in &mut readings {
        reading.finds(&commits(partition, 1..=9)).await;
    }
}

/// Where each partition goes to when `leave` ends its reader: the next begins where the store says, and nothing is lost.
async fn handed_over<B: Brokers>(bus: &B, leave: impl AsyncFnOnce(B::Consumer)) {
    let (stays, all) = alone(bus, GROUP).await;
    fill(bus, 1, 6).await;
    // Else what it loses and gets back would have no cursor to forget.
    read(bus, &stays, &all, 6).await;
    let goes = bus.join(GROUP);
    let shares = shared(bus, &[&stays, &goes]).await;
    read(bus, &goes, &shares[1], 6).await;
    let mut readings = read(bus, &stays, &shares[0], 6).await;
    leave(goes).await;
    let what = "who stays has what the other had";
    let now = assigned(bus, &stays, what, has_all(bus)).await;
    fill(bus, 7, 9).await;
    for (partition, term) in &now.partitions {
        if shares[0].partitions.get(partition) == Some(term)
            && let Some(reading) = readings.get_mut(partition)
        {
            // It was never taken away: the cursor is where it was.
            reading.finds(&commits(*partition, 1..=9)).await;
            continue;
        }
        let next = stays.next(*partition, 9);
        let refused = soon(bus, "a new owner is told to move its cursor", next).await;
        assert!(refused.is_err(), "{refused:?}");
        // As if the last two that were read had not become durable.
        let mut reading = Reading::after(bus, &stays, *partition, 4).await;
        reading.finds(&commits(*partition, 5..=9)).await;
    }
}

/// In good order.
pub async fn one_who_leaves_gives_the_others_what_it_had(bus: impl Brokers) {
    handed_over(&bus, async |member| bus.leave(member).await).await;
}

/// As when its process is lost.
pub async fn one_who_is_gone_gives_the_others_what_it_had(bus: impl Brokers) {
    handed_over(&bus, async |member| drop(member)).await;
}

/// Who reads what is another's waits until it is its own, and is told then to move its cursor.
pub async fn what_is_not_ones_own_is_waited_for(bus: impl Brokers) {
    fill(&bus, 1, 3).await;
    let (one, other) = (bus.join(GROUP), bus.join(GROUP));
    let shares = shared(&bus, &[&one, &other]).await;
    let theirs: Vec<_> = shares[1].partitions.keys().copied().collect();
    let reads = theirs.iter().map(|&partition| one.next(partition, 9));
    let reads = soon(&bus, "a read ends with its turn", join_all(reads));
    let gone = async {
        fill(&bus, 4, 5).await;
        bus.leave(other).await;
    };
    let (reads, ()) = join(reads, gone).await;
    for (&partition, read) in theirs.iter().zip(reads) {
        assert!(read.is_err(), "{partition}: {read:?}");
        let mut reading = Reading::after(&bus, &one, partition, 2).await;
        reading.finds(&commits(partition, 3..=5)).await;
    }
}

/// Two groups have all of it each, and neither notices what the other does.
pub async fn groups_share_nothing(bus: impl Brokers) {
    let publisher = bus.publisher();
    fill(&bus, 1, 6).await;
    let (one, _) = alone(&bus, GROUP).await;
    let mut readings = BTreeMap::new();
    for partition in partitions(&bus) {
        let mut reading = Reading::after(&bus, &one, partition, 0).await;
        reading.try_next(2).await.unwrap();
        readings.insert(partition, reading);
    }
    let (other, all) = alone(&bus, "others").await;
    read(&bus, &other, &all, 6).await;
    for partition in partitions(&bus) {
        let end = end(&bus, &publisher, partition).await;
        other.done(partition, Position::new(6), end);
    }
    bus.leave(other).await;
    // No seek between: they were never taken away.
    for (&partition, reading) in &mut readings {
        reading.finds(&commits(partition, 1..=6)).await;
    }
}

/// Wherever a member said that it was, the next of the group begins behind nothing that its own store lacks.
pub async fn what_was_noted_skips_nothing(bus: impl Brokers) {
    const ONLY: Partition = Partition::new(0);
    let publisher = bus.publisher();
    publish(&bus, &publisher, &commits(ONLY, 1..=5)).await;
    let noted = publish(&bus, &publisher, &commits(ONLY, 6..=7)).await;
    publish(&bus, &publisher, &commits(ONLY, 8..=9)).await;
    for (after, done) in [(0, Some(7)), (7, None), (8, None), (3, None), (0, None)] {
        let (member, _) = alone(&bus, GROUP).await;
        let mut reading = Reading::after(&bus, &member, ONLY, after).await;
        reading.finds(&commits(ONLY, after + 1..=9)).await;
        if let Some(done) = done {
            member.done(ONLY, Position::new(done), noted);
        }
        bus.leave(member).await;
    }
}
