//! A topic that has lost what it held.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_topic_that_lost_records_is_filled_again_from_the_first_position() {
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
    relay("a").catch_up(pending()).await.unwrap();
    assert_eq!(taken(&bus, FIRST), ALL);
    bus.truncate(FIRST, 0);
    // Found out at the take-over.
    relay("b").catch_up(pending()).await.unwrap();
    assert_eq!(taken(&bus, FIRST), ALL);
    // Found out by the offset of the next slice.
    let running = relay("c");
    let script = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        bus.truncate(FIRST, 2);
        log.append("a-9", &[("noted", "7")]);
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    running.run(script).await.unwrap();
    let records = bus.records(FIRST);
    let ids: Vec<_> = records.iter().map(|r| r.id.to_string()).collect();
    let mut due = vec!["0-1-0", "0-1-1", "0-4-0"];
    due.extend(ALL);
    due.push("0-4-0");
    assert_eq!(ids, due);
}

/// Is made anew before it takes a slice, and then loses the answer.
#[derive(Default)]
struct Renewed(MemoryBus, AtomicBool);

impl PublishEvents for &Renewed {
    async fn publish(
        &self,
        partition: Partition,
        slice: &[RecordedCommit],
    ) -> Result<u64, BusError> {
        if !self.1.swap(false, Ordering::Relaxed) {
            return self.0.publish(partition, slice).await;
        }
        self.0.truncate(partition, 0);
        self.0.publish(partition, slice).await?;
        Err(BusError {
            source: "lost".into(),
        })
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
async fn a_topic_made_anew_is_noticed_though_it_has_grown_past_the_mark() {
    let (log, bus) = (log(), Renewed::default());
    let marks = Arc::new(MemoryRelayMarks::new());
    let relay = Relay::new(
        "relay",
        "a",
        log.clone(),
        marks,
        &bus,
        Time::new(),
        options(100),
    );
    relay.catch_up(pending()).await.unwrap();
    assert_eq!(taken(&bus.0, FIRST), ALL);
    // The slice alone is longer than all that was there.
    log.append("a-3", &[("noted", "7"); 9]);
    bus.1.store(true, Ordering::Relaxed);
    relay.catch_up(pending()).await.unwrap();
    // What came before the relay noticed is a hole to a consumer, which waits for the repeat.
    let mut sequencer = Sequencer::after(Position::START);
    let records = bus.0.records(FIRST);
    let taken = records.iter().filter(|record| {
        let accept = sequencer.accept(record.id.at.position, record.id.index, record.count);
        accept == Accept::Take
    });
    let taken: Vec<_> = taken.map(|record| record.id.to_string()).collect();
    assert_eq!(taken.len(), 15);
    assert_eq!(taken[..6], ALL);
}
