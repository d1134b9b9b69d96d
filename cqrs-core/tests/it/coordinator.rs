//! The coordinator beside the contract suites: its background parts, and a ledger that is lost under it.

#![expect(
    clippy::disallowed_methods,
    reason = "a test drives the parts as a binary does, on the runtime's paused time"
)]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cqrs_core::testing::contract::crowds::{Crowd, race};
use cqrs_core::testing::contract::{TwoStores, races};
use cqrs_core::testing::{Fault, Faults, Faulty, InstantTimer, ManualClock, envelope};
use cqrs_core::{
    AppendToLog, Claimed, Clock, Commit, CommitHeader, Coordinator, CoordinatorOptions, Encoding,
    Envelope, EventData, EventLog, EventType, ExpectedVersion, Identity, IntentsBackup, Ledger,
    LedgerError, MemoryIntents, MemoryStore, RequestHash, Reservations, ReservedValue, StreamName,
    Timer, Timestamp,
};
use tokio::time::Instant;
use uuid::Uuid;

const REQUEST: RequestHash = RequestHash::new([3; 32]);

fn stores() -> TwoStores<MemoryStore, MemoryIntents<Arc<ManualClock>>> {
    TwoStores {
        log: MemoryStore::new(3),
        intents: MemoryIntents::new(Arc::default()),
        spare: MemoryIntents::new(Arc::default()),
    }
}

#[tokio::test]
async fn a_ledger_wiped_under_a_running_process_is_made_whole() {
    let wipe = |intents: &MemoryIntents<_>| intents.restore(IntentsBackup::default());
    races::a_ledger_is_lost_under_a_running_process(stores(), |_| {}, wipe).await;
}

#[tokio::test]
async fn a_ledger_restored_under_a_running_process_is_made_whole() {
    let backup = std::cell::RefCell::new(IntentsBackup::default());
    let keep = |intents: &MemoryIntents<_>| *backup.borrow_mut() = intents.backup();
    let restore = |intents: &MemoryIntents<_>| intents.restore(backup.take());
    races::a_ledger_is_lost_under_a_running_process(stores(), keep, restore).await;
}

/// Of any size: `CQRS_RACE=10000x1000` are 10,000 registrations of 1,000 names; small without.
#[tokio::test]
async fn a_race_of_any_size() {
    let size = std::env::var("CQRS_RACE").unwrap_or_else(|_| "2000x200".to_owned());
    let crowd = Crowd::parse(&size).expect("CQRS_RACE is REGISTRATIONSxNAMES");
    race(stores(), crowd).await;
}

/// The paused time of the runtime, as timer and as clock.
#[derive(Debug, Clone)]
struct Paused(Instant);

impl Timer for Paused {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

impl Clock for Paused {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.elapsed().as_millis() as i64)
    }
}

struct World {
    log: MemoryStore,
    intents: MemoryIntents<Paused>,
    time: Paused,
}

impl World {
    fn new() -> Self {
        let time = Paused(Instant::now());
        Self {
            log: MemoryStore::new(2),
            intents: MemoryIntents::new(time.clone()),
            time,
        }
    }

    fn instance(&self, number: u128) -> Coordinator<MemoryStore, MemoryIntents<Paused>, Paused> {
        self.instance_on(self.log.clone(), number, CoordinatorOptions::default())
    }

    fn instance_on<L: EventLog>(
        &self,
        log: L,
        number: u128,
        options: CoordinatorOptions,
    ) -> Coordinator<L, MemoryIntents<Paused>, Paused> {
        let instance = Uuid::from_u128(number);
        Coordinator::new(
            log,
            self.intents.clone(),
            self.time.clone(),
            instance,
            options,
        )
    }
}

fn keyed() -> Envelope {
    envelope("ada").with_identity(Identity::Keyed(REQUEST))
}

fn value() -> ReservedValue {
    ReservedValue::new("handle", "ada")
}

fn commit(envelope: &Envelope, reserve: bool) -> Commit {
    Commit {
        stream: StreamName::new("author", &"ada").unwrap(),
        expected: ExpectedVersion::NoStream,
        header: CommitHeader::from(envelope),
        events: vec![EventData {
            event_type: EventType::new("done", 1),
            encoding: Encoding::Json,
            payload: Bytes::from_static(b"{}"),
        }],
        reservations: Reservations {
            reserve: if reserve { vec![value()] } else { Vec::new() },
            release: Vec::new(),
        },
    }
}

#[tokio::test(start_paused = true)]
async fn a_claim_is_held_while_its_process_lives_and_taken_over_when_it_is_gone() {
    let world = World::new();
    let command = keyed();
    let (id, other) = (command.command_id, world.instance(2));
    let first = world.instance(1);
    let running = tokio::spawn({
        let first = first.clone();
        async move { first.run(std::future::pending()).await }
    });
    let Claimed::Granted { claim, attempt, .. } =
        first.claim(id, REQUEST, command.time).await.unwrap()
    else {
        panic!("not granted")
    };
    assert_eq!(attempt, 1);
    let later = Timestamp::from_millis(command.time.as_millis() + 5);
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_secs(6)).await;
        let held = other.claim(id, REQUEST, later).await.unwrap();
        assert!(matches!(held, Claimed::Running));
    }
    running.abort();
    drop(claim);
    let held = other.claim(id, REQUEST, later).await.unwrap();
    assert!(matches!(held, Claimed::Running), "the lease runs on");
    tokio::time::sleep(Duration::from_secs(11)).await;
    let taken = other.claim(id, REQUEST, later).await.unwrap();
    assert!(
        matches!(taken, Claimed::Granted { attempt: 2, time, .. } if time == command.time),
        "with the first attempt's time"
    );
}

#[tokio::test(start_paused = true)]
async fn an_intent_whose_process_is_gone_is_swept() {
    let world = World::new();
    let command = keyed();
    // The head and a slice of each of two partitions are read first.
    let read = [Fault::None; 4];
    let script = read.into_iter().chain([Fault::Before]);
    let faulty = Faulty::new(world.log.clone(), Faults::script(script));
    let gone = world.instance_on(faulty, 1, CoordinatorOptions::default());
    let unknown = gone.append(commit(&command, true)).await;
    assert!(unknown.is_err(), "{unknown:?}");
    drop(gone);
    assert_eq!(world.intents.unsettled(), (1, 1));

    let other = world.instance(2);
    let time = world.time.clone();
    let lease = CoordinatorOptions::default().lease;
    let shutdown = async move { time.sleep(lease + Duration::from_secs(2)).await };
    other.run(shutdown).await.unwrap();
    assert_eq!(world.intents.unsettled(), (0, 0));
    let owner = other.owner(&value()).await.unwrap();
    assert_eq!(owner, Some(commit(&command, true).stream));
    let claimed = other.claim(command.command_id, REQUEST, command.time).await;
    assert!(matches!(
        claimed.unwrap(),
        Claimed::Granted { attempt: 2.., .. }
    ));
}

#[tokio::test(start_paused = true)]
async fn finishes_are_written_before_the_end() {
    let world = World::new();
    let process = world.instance(1);
    let command = keyed();
    let claimed = process
        .claim(command.command_id, REQUEST, command.time)
        .await;
    process.append(commit(&command, true)).await.unwrap();
    drop(claimed);
    assert_eq!(world.intents.unsettled(), (1, 1));
    process.run_finishes(std::future::ready(())).await;
    assert_eq!(world.intents.unsettled(), (0, 0));
}

#[tokio::test]
async fn nothing_is_granted_before_the_fold_has_reached_the_head() {
    let world = World::new();
    let first = keyed();
    world.log.append(commit(&first, true)).await.unwrap();
    let options = CoordinatorOptions {
        fold_at_once: 0,
        ..CoordinatorOptions::default()
    };
    let process = world.instance_on(world.log.clone(), 1, options);
    let second = keyed();
    let early = process.claim(second.command_id, REQUEST, second.time).await;
    assert!(matches!(early, Err(LedgerError::Store { .. })), "{early:?}");
    let early = process.append(commit(&second, true)).await;
    assert!(early.is_err(), "{early:?}");
    // What needs no ledger goes on.
    let mut bare = commit(&envelope("bob"), false);
    bare.stream = StreamName::new("author", &"bob").unwrap();
    process.append(bare).await.unwrap();

    process.catch_up(std::future::pending()).await.unwrap();
    let claimed = process.claim(second.command_id, REQUEST, second.time).await;
    assert!(matches!(
        claimed.unwrap(),
        Claimed::Granted { attempt: 1, .. }
    ));
    let again = process.claim(first.command_id, REQUEST, first.time).await;
    assert!(matches!(
        again.unwrap(),
        Claimed::Granted { attempt: 2, .. }
    ));
}

#[tokio::test]
async fn a_new_connection_is_trusted_after_another_look_at_the_log() {
    let stores = stores();
    let process = Coordinator::new(
        stores.log.clone(),
        stores.intents.clone(),
        InstantTimer,
        Uuid::from_u128(1),
        CoordinatorOptions::default(),
    );
    let (first, second) = (keyed(), keyed());
    let claimed = process.claim(first.command_id, REQUEST, first.time).await;
    assert!(matches!(
        claimed.unwrap(),
        Claimed::Granted { attempt: 1, .. }
    ));
    // Landed by somebody else, and lost by the server that the new connection leads to.
    stores.log.append(commit(&second, false)).await.unwrap();
    stores.intents.reconnect();
    let claimed = process.claim(second.command_id, REQUEST, second.time).await;
    assert!(matches!(
        claimed.unwrap(),
        Claimed::Granted { attempt: 2, .. }
    ));
}
