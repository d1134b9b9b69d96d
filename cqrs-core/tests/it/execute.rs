//! The command path: speculation, durability of answers, failures, repeats, snapshots, bounds.

use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Mutex;
use std::task::Poll;

use bytes::Bytes;
use cqrs_core::{
    Actor, Aggregate, AppendError, AppendToLog, Appended, BoxError, Codec, Command, CommandId,
    Commit, Decide, Decided, DispatchError, Encoding, Envelope, EventType, Executor,
    ExecutorOptions, ExpectedVersion, Handler, Identity, LogPosition, MemoryStore, Message,
    Outcome, Partition, Position, Precondition, ReadError, ReadLog, RecordedCommit, ReplayMark,
    Snapshot, SnapshotStore, Snapshotted, StreamName, TailLog, Timestamp, Version,
};
use futures_util::future::{FutureExt, join, join_all, poll_fn};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Added {
    by: u64,
}

cqrs_core::events! {
    #[derive(Debug, Clone, PartialEq)]
    enum TallyEvent { Added = "added" v1 }
}

/// A sum that may not exceed 1,000,000 and panics when it becomes 666.
#[derive(Debug, Default)]
struct Tally {
    sum: u64,
}

impl Aggregate for Tally {
    const CATEGORY: &'static str = "tally";
    type Id = &'static str;
    type Event = TallyEvent;

    fn evolve(self, event: &TallyEvent) -> Self {
        let TallyEvent::Added(added) = event;
        let sum = self.sum + added.by;
        assert_ne!(sum, 666, "the beast");
        Self { sum }
    }

    fn weight(&self) -> usize {
        1_000
    }
}

impl Snapshotted for Tally {
    type Wire = u64;

    fn schema() -> EventType {
        EventType::new("tally", 1)
    }

    fn to_wire(&self) -> u64 {
        self.sum
    }

    fn from_wire(sum: u64) -> Result<Self, BoxError> {
        Ok(Self { sum })
    }
}

#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the sum would be {0}")]
struct TooMuch(u64);

#[derive(Debug, PartialEq)]
struct Receipt {
    outcome: Outcome,
    version: u64,
    at: LogPosition,
}

/// Adds; zero is nothing to do.
struct Add(&'static str, u64);

/// Adds to a tally that should be new.
struct Begin(&'static str);

macro_rules! command {
    ($name:ident) => {
        impl Message for $name {
            const NAME: &'static str = stringify!($name);
            type Reply = Receipt;
            type Error = TooMuch;
        }
        impl Command for $name {}
    };
}
command!(Add);
command!(Begin);

fn receipt(decided: &Decided<'_, TallyEvent>) -> Receipt {
    Receipt {
        // A repeat's receipt is the first one's.
        outcome: match decided.outcome {
            Outcome::Repeated => Outcome::Committed,
            other => other,
        },
        version: decided.version.get(),
        at: decided.at,
    }
}

impl Decide<Add> for Tally {
    fn target(command: &Add, _: &Envelope) -> &'static str {
        command.0
    }

    fn decide(&self, command: &Add, _: &Envelope) -> Result<Vec<TallyEvent>, TooMuch> {
        match self.sum + command.1 {
            sum if sum > 1_000_000 => Err(TooMuch(sum)),
            _ if command.1 == 0 => Ok(vec![]),
            _ => Ok(vec![Added { by: command.1 }.into()]),
        }
    }

    fn reply(_: &Add, decided: &Decided<'_, TallyEvent>) -> Receipt {
        receipt(decided)
    }
}

impl Decide<Begin> for Tally {
    const BEGINS: bool = true;

    fn target(command: &Begin, _: &Envelope) -> &'static str {
        command.0
    }

    fn decide(&self, _: &Begin, _: &Envelope) -> Result<Vec<TallyEvent>, TooMuch> {
        match self.sum {
            0 => Ok(vec![Added { by: 1 }.into()]),
            sum => Err(TooMuch(sum)),
        }
    }

    fn reply(_: &Begin, decided: &Decided<'_, TallyEvent>) -> Receipt {
        receipt(decided)
    }
}

/// A log that takes appends at once but lets nobody know before the gate opens.
#[derive(Clone)]
struct Gated {
    store: MemoryStore,
    gate: watch::Sender<bool>,
}

impl Gated {
    fn new(open: bool) -> Self {
        Self {
            store: MemoryStore::new(1),
            gate: watch::Sender::new(open),
        }
    }

    fn open(&self) {
        self.gate.send_replace(true);
    }

    fn close(&self) {
        self.gate.send_replace(false);
    }

    async fn passed(&self) {
        let mut open = self.gate.subscribe();
        open.wait_for(|open| *open).await.unwrap();
    }
}

impl AppendToLog for Gated {
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        let landing = self.store.append(commit);
        async move {
            self.passed().await;
            landing.await
        }
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> impl Future<Output = Result<LogPosition, AppendError>> + Send {
        let head = self.store.confirm(stream, expected);
        async move {
            self.passed().await;
            head.await
        }
    }
}

impl ReadLog for Gated {
    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        self.passed().await;
        self.store.read_stream(stream, after, max_events).await
    }

    async fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        self.store
            .read_partition(partition, after, max_events)
            .await
    }

    async fn find_commit(&self, command: CommandId) -> Result<Option<RecordedCommit>, ReadError> {
        self.store.find_commit(command).await
    }
}

impl TailLog for Gated {
    fn partitions(&self) -> u16 {
        self.store.partitions()
    }

    async fn head(&self, partition: Partition) -> Result<Position, ReadError> {
        self.store.head(partition).await
    }

    async fn wait_past(&self, partition: Partition, after: Position) -> Result<(), ReadError> {
        self.store.wait_past(partition, after).await
    }
}

fn envelope() -> Envelope {
    static NEXT: Mutex<u128> = Mutex::new(1);
    let mut next = NEXT.lock().unwrap();
    *next += 1;
    let id = CommandId::new(Uuid::from_u128(*next));
    Envelope::new(id, Actor::parse("ada").unwrap(), Timestamp::from_millis(7))
}

fn executor<L: cqrs_core::EventLog>(log: L) -> Executor<Tally, L> {
    Executor::new(log, Codec::new(), ExecutorOptions::default())
}

fn stream(id: &str) -> StreamName {
    StreamName::new("tally", &id).unwrap()
}

async fn add<L: cqrs_core::EventLog>(
    tally: &Executor<Tally, L>,
    id: &'static str,
    by: u64,
) -> Result<Receipt, DispatchError<TooMuch>> {
    tally.handle(Add(id, by), &envelope()).await
}

/// Appends behind the cache's back, as another process would.
async fn rival(store: &MemoryStore, id: &str, by: u64) {
    let commit = Commit {
        stream: stream(id),
        expected: ExpectedVersion::Any,
        header: (&envelope()).into(),
        events: vec![
            Codec::<TallyEvent>::new()
                .encode(&Added { by }.into())
                .unwrap(),
        ],
        reservations: cqrs_core::Reservations::none(),
    };
    store.append(commit).await.unwrap();
}

async fn sum(store: &MemoryStore, id: &str) -> u64 {
    let commits = store
        .read_stream(&stream(id), Version::EMPTY, usize::MAX)
        .await
        .unwrap();
    let codec = Codec::<TallyEvent>::new();
    let events = commits.iter().flat_map(|commit| &commit.events);
    events
        .map(|event| match codec.decode(event).unwrap() {
            TallyEvent::Added(added) => added.by,
        })
        .sum()
}

#[tokio::test]
async fn a_hot_stream_lands_whole_and_without_a_conflict() {
    let log = Gated::new(false);
    let tally = executor(log.clone());
    let commands = join_all((0..500).map(|_| add(&tally, "hot", 1)));
    let open = async { log.open() };
    let (replies, ()) = join(commands, open).await;
    let mut versions: Vec<u64> = replies
        .iter()
        .map(|r| r.as_ref().unwrap().version)
        .collect();
    versions.sort_unstable();
    assert_eq!(versions, (1..=500).collect::<Vec<_>>());
    assert_eq!(tally.stats().conflicts, 0);
    assert_eq!(sum(&log.store, "hot").await, 500);
}

#[tokio::test]
async fn no_answer_is_given_before_it_is_durable_not_even_a_refusal() {
    let log = Gated::new(true);
    let tally = executor(log.clone());
    add(&tally, "a", 999_999).await.unwrap();
    log.close();
    let mut commit = pin!(add(&tally, "a", 1));
    let mut refusal = pin!(add(&tally, "a", 1));
    let mut nothing = pin!(add(&tally, "a", 0));
    poll_fn(|cx| {
        assert!(commit.as_mut().poll(cx).is_pending());
        assert!(refusal.as_mut().poll(cx).is_pending());
        assert!(nothing.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
    log.open();
    assert_eq!(commit.await.unwrap().version, 2);
    assert!(matches!(
        refusal.await,
        Err(DispatchError::Refused(TooMuch(1_000_001)))
    ));
    let nothing = nothing.await.unwrap();
    assert_eq!(
        (nothing.outcome, nothing.version, nothing.at.position.get()),
        (Outcome::Nothing, 2, 2)
    );
}

#[tokio::test]
async fn a_lost_predecessor_takes_its_successors_with_it_and_all_can_be_decided_again() {
    let log = Gated::new(true);
    let tally = executor(log.clone());
    add(&tally, "a", 1).await.unwrap();
    rival(&log.store, "a", 10).await;
    log.close();
    let lost = join_all((0..3).map(|_| add(&tally, "a", 1)));
    let (lost, ()) = join(lost, async { log.open() }).await;
    assert!(
        lost.iter()
            .all(|r| matches!(r, Err(DispatchError::Conflict { .. })))
    );
    assert_eq!(add(&tally, "a", 1).await.unwrap().version, 3);
    assert_eq!(sum(&log.store, "a").await, 12);
}

#[tokio::test]
async fn a_refusal_on_a_state_that_never_came_to_be_is_not_given() {
    let log = Gated::new(true);
    let tally = executor(log.clone());
    add(&tally, "a", 1).await.unwrap();
    rival(&log.store, "a", 10).await;
    log.close();
    let both = join(add(&tally, "a", 999_999), add(&tally, "a", 5));
    let ((lost, refusal), ()) = join(both, async { log.open() }).await;
    assert!(matches!(lost, Err(DispatchError::Conflict { .. })));
    assert!(matches!(refusal, Err(DispatchError::Conflict { .. })));
}

#[tokio::test]
async fn a_caller_that_goes_away_leaves_the_stream_sound() {
    let log = Gated::new(true);
    let tally = executor(log.clone());
    add(&tally, "a", 1).await.unwrap();
    log.close();
    {
        let mut gone = pin!(add(&tally, "a", 1));
        assert!(gone.as_mut().now_or_never().is_none());
    }
    log.open();
    let next = add(&tally, "a", 1).await.unwrap();
    assert_eq!(next.version, 3);
    assert_eq!(tally.stats().loads, 2, "it was evicted and read again");
}

#[tokio::test]
async fn when_a_loader_goes_away_the_next_one_loads() {
    let log = Gated::new(false);
    let tally = executor(log.clone());
    let mut second = pin!(add(&tally, "a", 1));
    {
        let mut first = pin!(add(&tally, "a", 1));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
    }
    log.open();
    assert_eq!(second.await.unwrap().version, 1);
}

#[tokio::test]
async fn a_beginning_reads_nothing_and_a_wrong_one_is_decided_again() {
    let store = MemoryStore::new(1);
    let tally = executor(store.clone());
    assert_eq!(
        tally
            .handle(Begin("new"), &envelope())
            .await
            .unwrap()
            .version,
        1
    );
    assert_eq!(tally.stats().loads, 0);

    rival(&store, "old", 10).await;
    let refused = tally.handle(Begin("old"), &envelope()).await;
    assert!(matches!(refused, Err(DispatchError::Refused(TooMuch(10)))));
    assert_eq!(sum(&store, "old").await, 10);
}

#[tokio::test]
async fn a_repeat_gets_the_first_reply_and_is_marked() {
    let store = MemoryStore::new(1);
    let first = envelope().with_identity(Identity::Derived);
    let reply = executor(store.clone())
        .handle(Add("a", 600_000), &first)
        .await
        .unwrap();
    assert!(!first.replayed.is_set());
    for tally in [executor(store.clone()), executor(store.clone())] {
        // Decided anew, it would be refused: the sum is too high for a second one.
        let mut again = first.clone();
        again.replayed = ReplayMark::watched();
        let repeated = tally.handle(Add("a", 600_000), &again).await.unwrap();
        assert_eq!(repeated, reply);
        assert!(again.replayed.is_set());
    }
    assert_eq!(sum(&store, "a").await, 600_000);
}

#[tokio::test]
async fn an_id_used_for_another_stream_is_refused() {
    let store = MemoryStore::new(1);
    let tally = executor(store);
    let envelope = envelope().with_identity(Identity::Derived);
    tally.handle(Add("a", 1), &envelope).await.unwrap();
    let other = tally.handle(Add("b", 1), &envelope).await;
    assert!(matches!(other, Err(DispatchError::KeyReused)));
}

#[tokio::test]
async fn a_precondition_is_part_of_the_decision() {
    let tally = executor(MemoryStore::new(1));
    let exactly = |n| envelope().with_precondition(Precondition::Exact(Version::new(n)));
    tally.handle(Add("a", 1), &exactly(0)).await.unwrap();
    let stale = tally.handle(Add("a", 1), &exactly(0)).await;
    assert!(matches!(
        stale,
        Err(DispatchError::VersionMismatch { actual, .. }) if actual == Version::new(1)
    ));
    let absent = envelope().with_precondition(Precondition::Exists);
    let absent = tally.handle(Add("none", 1), &absent).await;
    assert!(matches!(absent, Err(DispatchError::VersionMismatch { .. })));
}

#[tokio::test]
async fn the_queue_of_a_stream_is_bounded() {
    let log = Gated::new(true);
    let options = ExecutorOptions {
        stream_queue: 3,
        ..ExecutorOptions::default()
    };
    let tally: Executor<Tally, _> = Executor::new(log.clone(), Codec::new(), options);
    add(&tally, "a", 1).await.unwrap();
    log.close();
    let mut queued: Vec<_> = (0..3).map(|_| Box::pin(add(&tally, "a", 1))).collect();
    for command in &mut queued {
        assert!(command.as_mut().now_or_never().is_none());
    }
    assert!(matches!(
        add(&tally, "a", 1).await,
        Err(DispatchError::Overloaded)
    ));
    log.open();
    assert!(join_all(queued).await.iter().all(Result::is_ok));
    assert_eq!(sum(&log.store, "a").await, 4);
}

#[tokio::test]
async fn the_cache_is_bounded_by_weight() {
    let options = ExecutorOptions {
        cache_bytes: 10_000,
        shards: 1,
        ..ExecutorOptions::default()
    };
    let tally: Executor<Tally, _> = Executor::new(MemoryStore::new(1), Codec::new(), options);
    let ids: Vec<&'static str> = (0..50)
        .map(|n| &*Box::leak(n.to_string().into_boxed_str()))
        .collect();
    for id in &ids {
        add(&tally, id, 1).await.unwrap();
        assert!(tally.stats().cached_bytes <= 10_000);
    }
    assert!(tally.stats().cached_bytes > 5_000, "it is used");
    assert_eq!(add(&tally, ids[0], 1).await.unwrap().version, 2);
}

#[tokio::test]
async fn a_panic_in_a_fold_evicts_the_stream_and_nothing_else() {
    let tally = executor(MemoryStore::new(1));
    add(&tally, "a", 600).await.unwrap();
    let beast = AssertUnwindSafe(add(&tally, "a", 66)).catch_unwind().await;
    assert!(beast.is_err());
    // The event landed, so the stream cannot be folded any more; others can.
    let again = AssertUnwindSafe(add(&tally, "a", 1)).catch_unwind().await;
    assert!(again.is_err());
    add(&tally, "b", 1).await.unwrap();
}

#[tokio::test]
async fn snapshots_are_taken_when_the_tail_is_long_and_used_when_they_fit() {
    let store = MemoryStore::new(1);
    let open = || {
        let options = ExecutorOptions::default();
        Executor::<Tally, _>::with_snapshots(store.clone(), Codec::new(), options, store.clone())
    };
    let tally = open();
    for _ in 0..300 {
        add(&tally, "a", 1).await.unwrap();
    }
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut run = pin!(tally.run_snapshots(async { drop(stopped.await) }));
    assert!(run.as_mut().now_or_never().is_none());
    drop(stop);
    run.await;
    let snapshot = store.load(&stream("a")).await.unwrap().unwrap();
    assert_eq!(&snapshot.payload[..], b"300");
    assert_eq!(snapshot.version, Version::new(300));

    // What the snapshot says is believed as long as it fits its stream …
    let trusted = Snapshot {
        payload: Bytes::from_static(b"1000000"),
        version: Version::new(300),
        schema: EventType::new("tally", 1),
        encoding: Encoding::Json,
        ..snapshot.clone()
    };
    let other = MemoryStore::new(1);
    for _ in 0..300 {
        rival(&other, "a", 1).await;
    }
    other.save(trusted).await.unwrap();
    let from_snapshot: Executor<Tally, _> = Executor::with_snapshots(
        other.clone(),
        Codec::new(),
        ExecutorOptions::default(),
        other.clone(),
    );
    assert!(add(&from_snapshot, "a", 1).await.is_err());

    // … and discarded when it is beyond its end, or of another schema.
    for broken in [
        Snapshot {
            version: Version::new(9_999),
            payload: Bytes::from_static(b"1000000"),
            ..snapshot.clone()
        },
        Snapshot {
            schema: EventType::new("tally", 2),
            payload: Bytes::from_static(b"1000000"),
            ..snapshot.clone()
        },
        Snapshot {
            payload: Bytes::from_static(b"nonsense"),
            ..snapshot
        },
    ] {
        let other = MemoryStore::new(1);
        rival(&other, "a", 1).await;
        other.save(broken).await.unwrap();
        let tally: Executor<Tally, _> = Executor::with_snapshots(
            other.clone(),
            Codec::new(),
            ExecutorOptions::default(),
            other.clone(),
        );
        assert_eq!(add(&tally, "a", 1).await.unwrap().version, 2);
    }
}
