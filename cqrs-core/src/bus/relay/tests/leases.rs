//! Leases that slow slices and wrong clocks try.

use super::*;

/// Takes so long for each slice.
struct Sluggish(MemoryBus, Duration);

impl PublishEvents for &Sluggish {
    async fn publish(
        &self,
        partition: Partition,
        slice: &[RecordedCommit],
    ) -> Result<u64, BusError> {
        Paused.sleep(self.1).await;
        self.0.publish(partition, slice).await
    }

    async fn end(&self, partition: Partition) -> Result<u64, BusError> {
        self.0.end(partition).await
    }

    async fn holds(
        &self,
        partition: Partition,
        position: Position,
        offset: u64,
    ) -> Result<bool, BusError> {
        self.0.holds(partition, position, offset).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_slice_that_takes_longer_than_a_lease_is_not_taken_over() {
    let marks = Arc::new(MemoryRelayMarks::new());
    let bus = Sluggish(MemoryBus::new(), Duration::from_secs(25));
    let (time, log) = (Time::new(), log());
    let relay = |owner: &str| {
        let marks = Arc::clone(&marks);
        Relay::new("relay", owner, log.clone(), marks, &bus, time, options(3))
    };
    let (first, second) = (relay("first"), relay("second"));
    let stop = Notify::new();
    let script = async {
        tokio::time::sleep(Duration::from_secs(300)).await;
        stop.notify_waiters();
    };
    let relays = join(first.run(stop.notified()), second.run(stop.notified()));
    let ((first_ended, second_ended), ()) = join(relays, script).await;
    first_ended.unwrap();
    second_ended.unwrap();
    assert_eq!(taken(&bus.0, FIRST), ALL);
    assert_eq!(bus.0.records(FIRST).len(), 6, "nothing was published twice");
}

#[tokio::test(start_paused = true)]
async fn a_dead_owner_whose_clock_was_ahead_is_followed_all_the_same() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let log = log();
    let dead = Relay::new(
        "relay",
        "dead",
        log.clone(),
        Arc::clone(&marks),
        bus.clone(),
        (Ahead(time), Paused),
        options(9),
    );
    let crash = tokio::time::timeout(Duration::from_millis(1), dead.run(pending())).await;
    assert!(crash.is_err());
    log.append("a-3", &[("noted", "7")]);
    let heir = Relay::new("relay", "heir", log, marks, bus, time, options(9));
    let started = Instant::now();
    let published = heir.progress();
    let at = LogPosition::new(FIRST, Position::new(4));
    heir.run(async { published.reached(at).await })
        .await
        .unwrap();
    let waited = started.elapsed();
    assert!(waited >= Duration::from_secs(10), "{waited:?}");
    assert!(waited < Duration::from_secs(20), "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn relays_that_take_from_each_other_for_ever_get_on_all_the_same() {
    let marks = Arc::new(MemoryRelayMarks::new());
    let bus = Sluggish(MemoryBus::new(), Duration::from_millis(30));
    let (time, log) = (Time::new(), wide());
    fill(&log, 0, 2_000).await;
    let options = RelayOptions {
        max_events: 2,
        mark_every: Duration::from_secs(2),
        lease: Duration::from_secs(3),
        ..RelayOptions::default()
    };
    let (one, other) = (Arc::clone(&marks), Arc::clone(&marks));
    let right = Relay::new("relay", "right", log.clone(), one, &bus, time, options);
    let ahead = (Ahead(time), Paused);
    let ahead = Relay::new("relay", "ahead", log.clone(), other, &bus, ahead, options);
    let over = Notify::new();
    let script = async {
        for partition in Partition::all(4) {
            let head = log.head(partition).await.unwrap();
            let marked = || marks.book("relay", partition).pop().map(|m| m.position);
            while marked() != Some(head) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
        over.notify_waiters();
    };
    let relays = join(right.run(over.notified()), ahead.run(over.notified()));
    let all = tokio::time::timeout(Duration::from_secs(600), join(relays, script));
    let ((right, ahead), ()) = all.await.expect("they stand still");
    right.unwrap();
    ahead.unwrap();
    let owners = Partition::all(4).map(|p| marks.book("relay", p).into_iter().map(|m| m.owner));
    let changes = owners.map(|owners| {
        let owners: Vec<_> = owners.collect();
        owners.windows(2).filter(|two| two[0] != two[1]).count()
    });
    let changes: usize = changes.sum();
    assert!(changes > 5, "they took {changes} times from each other");
    for partition in Partition::all(4) {
        let head = log.head(partition).await.unwrap();
        assert_eq!(taken(&bus.0, partition).len() as u64, 2 * head.get());
    }
}
