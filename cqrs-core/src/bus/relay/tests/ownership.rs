//! Who has a partition: joins, ends, deaths, and two at once.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_dead_owner_is_followed_when_its_lease_is_over() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let log = log();
    let relay = |owner: &str| {
        let marks = Arc::clone(&marks);
        Relay::new(
            "relay",
            owner,
            log.clone(),
            marks,
            bus.clone(),
            time,
            options(2),
        )
    };
    let dead = relay("dead");
    // Dropped in the middle of its run: a crash.
    let crash = tokio::time::timeout(Duration::from_millis(1), dead.run(pending())).await;
    assert!(crash.is_err());
    log.append("a-3", &[("noted", "7")]);
    let heir = relay("heir");
    let started = Instant::now();
    let published = heir.progress();
    let at = LogPosition::new(FIRST, Position::new(4));
    let done = async { published.reached(at).await };
    heir.run(done).await.unwrap();
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(9), "{waited:?}");
    assert!(waited < Duration::from_secs(11), "{waited:?}");
    assert_eq!(
        bus.records(FIRST).len(),
        7,
        "it went on where the mark stood"
    );
    let owners: Vec<_> = marks
        .book("relay", FIRST)
        .into_iter()
        .map(|m| m.owner)
        .collect();
    assert_eq!(owners.iter().filter(|owner| *owner == "heir").count(), 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_not_marked_is_published_again_by_whoever_takes_over() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let relay = |owner: &str| {
        let marks = Arc::clone(&marks);
        let options = RelayOptions {
            max_events: 1,
            ..RelayOptions::default()
        };
        Relay::new("relay", owner, log(), marks, bus.clone(), time, options)
    };
    let dead = relay("dead");
    let crash = tokio::time::timeout(Duration::from_millis(50), dead.run(pending())).await;
    assert!(crash.is_err());
    let book = marks.book("relay", FIRST);
    assert_eq!(book.last().map(|mark| mark.position), Some(Position::START));
    assert_eq!(bus.records(FIRST).len(), 6);
    tokio::time::sleep(Duration::from_secs(11)).await;
    relay("heir").catch_up(pending()).await.unwrap();
    assert_eq!(bus.records(FIRST).len(), 12);
    assert_eq!(taken(&bus, FIRST), ALL);
}

#[tokio::test(start_paused = true)]
async fn an_orderly_end_is_followed_at_once_and_a_lease_is_renewed_until_then() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let log = log();
    let relay = |owner: &str| {
        let marks = Arc::clone(&marks);
        Relay::new(
            "relay",
            owner,
            log.clone(),
            marks,
            bus.clone(),
            time,
            options(9),
        )
    };
    let (first, second) = (relay("first"), relay("second"));
    let stop = async {
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(first.owns(FIRST) && !second.owns(FIRST));
    };
    let took_over = async {
        tokio::time::sleep(Duration::from_secs(65)).await;
        assert!(second.owns(FIRST) && !first.owns(FIRST));
    };
    let (first_ended, second_ended) = join(first.run(stop), second.run(took_over)).await;
    first_ended.unwrap();
    second_ended.unwrap();
    assert_eq!(bus.records(FIRST).len(), 6, "nothing was published twice");
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_joins_gets_its_share_and_nothing_is_lost_by_the_change() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let log = wide();
    fill(&log, 0, 40).await;
    let relay = |owner: &str| {
        let marks = Arc::clone(&marks);
        Relay::new(
            "relay",
            owner,
            log.clone(),
            marks,
            bus.clone(),
            time,
            options(3),
        )
    };
    let (first, second, third) = (relay("first"), relay("second"), relay("third"));
    let counts =
        || [&first, &second, &third].map(|r| Partition::all(4).filter(|&p| r.owns(p)).count());
    let over = Notify::new();
    let later = |relay, seconds| {
        let over = &over;
        async move {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            Relay::run(relay, over.notified()).await.unwrap();
        }
    };
    let script = async {
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert_eq!(counts(), [4, 0, 0]);
        for round in 1..=30 {
            fill(&log, round * 40, round * 40 + 40).await;
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        assert_eq!(counts(), [2, 2, 0]);
        tokio::time::sleep(Duration::from_secs(40)).await;
        let mut shares = counts();
        shares.sort_unstable();
        assert_eq!(shares, [1, 1, 2]);
        over.notify_waiters();
    };
    let relays = join(join(later(&first, 0), later(&second, 6)), later(&third, 40));
    join(relays, script).await;
    let mut all = 0;
    for partition in Partition::all(4) {
        let head = log.head(partition).await.unwrap();
        let taken = taken(&bus, partition);
        assert_eq!(taken.len() as u64, 2 * head.get());
        all += taken.len();
    }
    assert_eq!(all, 31 * 80);
}

#[tokio::test(start_paused = true)]
async fn two_owners_at_once_cost_repeats_and_the_slower_stops() {
    let (marks, bus, time) = (
        Arc::new(MemoryRelayMarks::new()),
        MemoryBus::new(),
        Time::new(),
    );
    let log = log();
    /// Publishes, but answers only when it is let go on.
    struct Slow(MemoryBus, Notify);
    impl PublishEvents for &Slow {
        async fn publish(
            &self,
            partition: Partition,
            slice: &[RecordedCommit],
        ) -> Result<u64, BusError> {
            let end = self.0.publish(partition, slice).await?;
            self.1.notified().await;
            Ok(end)
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
    let slow_bus = Slow(bus.clone(), Notify::new());
    let slow = Relay::new(
        "relay",
        "slow",
        log.clone(),
        Arc::clone(&marks),
        &slow_bus,
        // A long pause: it shows no life.
        (time, Never),
        options(3),
    );
    let fast = Relay::new(
        "relay",
        "fast",
        log.clone(),
        Arc::clone(&marks),
        bus.clone(),
        time,
        options(3),
    );
    let stop = Notify::new();
    let script = async {
        // Long past the slow one's lease.
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert!(fast.owns(FIRST));
        slow_bus.1.notify_one();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!slow.owns(FIRST), "it has lost its next mark");
        log.append("a-1", &[("noted", "7")]);
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.notify_waiters();
    };
    let late = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        fast.run(stop.notified()).await.unwrap();
    };
    let (ended, ..) = join(slow.run(stop.notified()), join(late, script)).await;
    ended.unwrap();
    assert_eq!(taken(&bus, FIRST).len(), 7);
    assert_eq!(
        bus.records(FIRST).len(),
        10,
        "only the slice in doubt came twice"
    );
}
