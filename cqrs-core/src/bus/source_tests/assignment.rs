//! Partitions that come and go.

use super::*;

#[tokio::test(start_paused = true)]
async fn exactly_the_assigned_partitions_are_followed() {
    let (log, bus) = (MemoryStore::new(3), MemoryBus::new());
    let partitions: Vec<_> = Partition::all(3).collect();
    let publish = async |stream: &str, n: u128| {
        let stream = StreamName::parse(stream).unwrap();
        let id = CommandId::new(uuid::Uuid::from_u128(n));
        let envelope = Envelope::new(id, Actor::parse("ada").unwrap(), Timestamp::default());
        let commit = Commit {
            stream,
            expected: ExpectedVersion::Any,
            header: CommitHeader::from(&envelope),
            events: vec![EventData {
                event_type: EventType::new("noted", 1),
                encoding: Encoding::Json,
                payload: "{}".into(),
            }],
            reservations: Reservations::none(),
        };
        let at = log.append(commit).await.unwrap().at;
        let before = Position::new(at.position.get() - 1);
        let slice = log.read_partition(at.partition, before, 1).await.unwrap();
        bus.publish(at.partition, &slice).await.unwrap();
    };
    // Streams of which each partition has some.
    let names: Vec<_> = (0..30).map(|n| format!("s-{n}")).collect();
    let (a, b) = (bus.consumer(), bus.consumer());
    // One read model, two members of its group.
    let shared = Arc::new(tokio::sync::Mutex::new(
        BTreeMap::<Partition, Vec<u64>>::new(),
    ));
    let member = |consumer: &MemoryConsumer| {
        let source = BusSource::new(consumer.clone(), 3, Paused);
        let rows = Rows(Arc::clone(&shared));
        ProjectionRunner::new(source, rows, Paused, RunnerOptions::default())
    };
    let (first, second) = (member(&a), member(&b));
    let stop = Notify::new();
    let script = async {
        let mut n = 0;
        let splits: [[&[Partition]; 2]; 6] = [
            [&partitions, &[]],
            [&partitions[..1], &partitions[1..]],
            [&[], &partitions],
            // A zombie: both believe that the second partition is theirs.
            [&partitions[..2], &partitions[1..]],
            [&partitions[1..], &partitions[..1]],
            [&partitions, &[]],
        ];
        for [to_a, to_b] in splits {
            a.assign(to_a.iter().copied());
            b.assign(to_b.iter().copied());
            for name in &names {
                n += 1;
                publish(name, n).await;
                tokio::task::yield_now().await;
            }
            for &partition in &partitions {
                let head = log.head(partition).await.unwrap().get();
                while shared.lock().await.get(&partition).map_or(0, Vec::len) as u64 != head {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        }
        stop.notify_waiters();
    };
    let runs = join(
        first.run_assigned(&a, stop.notified()),
        second.run_assigned(&b, stop.notified()),
    );
    let ((ended_a, ended_b), ()) = join(runs, script).await;
    ended_a.unwrap();
    ended_b.unwrap();
    for (partition, positions) in &*shared.lock().await {
        let head = log.head(*partition).await.unwrap().get();
        assert_eq!(*positions, (1..=head).collect::<Vec<_>>());
    }
    assert!(first.progress().counts().events > 0 && second.progress().counts().events > 0);
}

/// The positions that were applied, by partition; shared by all members of a group, with a compare-and-set.
struct Rows(Arc<tokio::sync::Mutex<BTreeMap<Partition, Vec<u64>>>>);

impl Projection for Rows {
    fn name(&self) -> &str {
        "rows"
    }

    fn handles(&self, _: &str) -> bool {
        true
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Checkpoint, ApplyError> {
        let rows = self.0.lock().await;
        let last = rows.get(&partition).and_then(|rows| rows.last());
        Ok(Checkpoint {
            position: Position::new(last.copied().unwrap_or(0)),
            epoch: 0,
        })
    }

    async fn apply(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        tokio::task::yield_now().await;
        let mut all = self.0.lock().await;
        let rows = all.entry(batch.partition).or_default();
        if rows.last().copied().unwrap_or(0) != batch.expected.position.get() {
            return Err(ApplyError::Stale);
        }
        rows.extend(batch.commits.iter().map(|c| c.at.position.get()));
        Ok(())
    }
}

impl ParkedStreams for Rows {
    async fn parked(&self, _: Partition) -> Result<Vec<Parked>, ApplyError> {
        Ok(Vec::new())
    }

    async fn release(&self, _: Partition, _: &StreamName) -> Result<(), ApplyError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_stopped_is_tried_anew_when_it_is_assigned_anew() {
    let bus = MemoryBus::new();
    let commits = commits(&log()).await;
    bus.publish(FIRST, &commits[1..]).await.unwrap();
    let consumer = consumer(&bus);
    let source = BusSource::new(consumer.clone(), 1, Paused);
    let runner = ProjectionRunner::new(source, seen(), Paused, RunnerOptions::default());
    let ended = runner.run_assigned(&consumer, pending()).await;
    assert!(matches!(ended, Err(RunnerError::Hole { .. })));
    bus.publish(FIRST, &commits).await.unwrap();
    let progress = runner.progress();
    runner
        .run_assigned(&consumer, reached(progress, 4))
        .await
        .unwrap();
    assert_eq!(applied(&runner), ALL);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// However the bus repeats, leaves out and is rebalanced, every commit is applied once and in order.
    #[test]
    fn whatever_the_bus_does_each_commit_is_applied_once(
        moves in prop::collection::vec((any::<prop::sample::Index>(), 0usize..4, any::<bool>()), 1..30),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let (log, bus) = (log(), MemoryBus::new());
            for _ in 0..6 {
                log.append("a-1", &[("noted", "x"), ("noted", "y")]);
            }
            let all = commits(&log).await;
            let consumer = consumer(&bus);
            let source = BusSource::new(consumer.clone(), 1, Paused).with_log(log.clone());
            let runner = ProjectionRunner::new(source, seen(), Paused, RunnerOptions { max_events: 3, ..RunnerOptions::default() });
            let progress = runner.progress();
            let over = AtomicBool::new(false);
            let script = async {
                for (from, count, rebalance) in moves {
                    let from = from.index(all.len());
                    bus.publish(FIRST, &all[from..(from + count).min(all.len())]).await.unwrap();
                    if rebalance {
                        consumer.assign([]);
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        consumer.assign([FIRST]);
                    }
                    tokio::time::sleep(Duration::from_millis(700)).await;
                }
                bus.publish(FIRST, &all).await.unwrap();
                reached(progress, 10).await;
                over.store(true, Ordering::Relaxed);
            };
            runner.run_assigned(&consumer, script).await.unwrap();
            assert!(over.load(Ordering::Relaxed));
            let due: Vec<_> = all
                .iter()
                .flat_map(RecordedCommit::recorded_events)
                .filter(|event| event.data.event_type.name() == "noted")
                .map(|event| event.id.to_string())
                .collect();
            assert_eq!(applied(&runner), due);
        });
    }
}
