//! Several committers on one partition, any interleaving, any faults, any crashes: the log's promises hold.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cqrs_core::testing::SeededRandom;
use cqrs_core::{AppendError, Appended, CommandId, ExpectedVersion, Random, StreamName};
use futures_util::future::{Either, select};
use proptest::prelude::*;

use super::harness::{Answer, Harness, after, command, exactly, stream};
use super::memory::MemoryEngine;

const STREAMS: u64 = 3;
const CLIENTS: u64 = 4;

/// What one call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Landed {
        at: u64,
        version: u64,
        repeated: bool,
    },
    Refused,
    Unknown,
}

impl Outcome {
    /// Whether it landed by this very call.
    fn is_own(self) -> bool {
        matches!(
            self,
            Self::Landed {
                repeated: false,
                ..
            }
        )
    }
}

/// One call of a commit to one committer.
#[derive(Debug, Clone)]
struct Attempt {
    number: u64,
    writer: u64,
    stream: StreamName,
    expected: ExpectedVersion,
    /// The commit that it was decided on, called right before it and not yet answered.
    decided_on: Option<u64>,
    called: u64,
    answered: u64,
    /// The stream's version when it was called, and when it was answered.
    versions: (u64, u64),
    outcome: Outcome,
}

/// A commit, which can be called again.
struct Call {
    number: u64,
    stream: StreamName,
    expected: ExpectedVersion,
    events: usize,
    decided_on: Option<u64>,
}

/// The place of a committer: one that crashed is followed by another.
struct Place {
    writer: u64,
    harness: Harness,
}

struct World {
    engine: MemoryEngine,
    places: Mutex<Vec<Place>>,
    attempts: Mutex<Vec<Attempt>>,
    /// Of each confirmation: the position that was told, and the stream's version at the call.
    confirmed: Mutex<Vec<(StreamName, u64, u64)>>,
    clock: AtomicU64,
    writers: AtomicU64,
}

impl World {
    fn new(engine: MemoryEngine, committers: u64) -> Self {
        let world = Self {
            engine,
            places: Mutex::default(),
            attempts: Mutex::default(),
            confirmed: Mutex::default(),
            clock: AtomicU64::new(0),
            writers: AtomicU64::new(0),
        };
        let places = (0..committers).map(|_| world.start()).collect();
        *world.places.lock().unwrap() = places;
        world
    }

    fn start(&self) -> Place {
        let writer = self.writers.fetch_add(1, Ordering::Relaxed) + 1;
        let harness = Harness::start(&self.engine, writer as i64);
        Place { writer, harness }
    }

    fn crash(&self, place: u64) {
        let mut places = self.places.lock().unwrap();
        let nth = place as usize % places.len();
        places[nth].harness.crash();
        places[nth] = self.start();
    }

    /// What `with` makes of one of the committers.
    fn at<T>(&self, place: u64, with: impl FnOnce(&Place) -> T) -> T {
        let places = self.places.lock().unwrap();
        with(&places[place as usize % places.len()])
    }

    fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::Relaxed)
    }

    fn version(&self, stream: &StreamName) -> u64 {
        let state = self.engine.state();
        let of_stream = state.log.values().filter(|stub| stub.stream == *stream);
        of_stream.map(|s| s.version().get()).max().unwrap_or(0)
    }

    /// Calls `call` at once; its outcome later.
    fn call<'a>(
        &'a self,
        call: &Call,
        place: u64,
    ) -> impl Future<Output = Outcome> + Send + use<'a> {
        let (writer, answer) = self.at(place, |place| {
            let (number, events) = (call.number, call.events);
            let called = place
                .harness
                .try_append(number, &call.stream, call.expected, events);
            (place.writer, called)
        });
        let attempt = Attempt {
            number: call.number,
            writer,
            stream: call.stream.clone(),
            expected: call.expected,
            decided_on: call.decided_on,
            called: self.tick(),
            answered: u64::MAX,
            versions: (self.version(&call.stream), 0),
            outcome: Outcome::Unknown,
        };
        async move { self.outcome(attempt, answer.ok()).await }
    }

    async fn outcome(&self, mut attempt: Attempt, answer: Option<Answer<Appended>>) -> Outcome {
        let answer = match answer {
            Some(answer) => answer.await.ok(),
            None => None,
        };
        attempt.outcome = match answer {
            // It crashed.
            None | Some(Err(AppendError::Store { .. })) => Outcome::Unknown,
            Some(Err(AppendError::Conflict { .. })) => Outcome::Refused,
            Some(Err(other)) => panic!("unexpected: {other:?}"),
            Some(Ok(appended)) => {
                let at = appended.at.position.get();
                // What is told is there already.
                let there = self.engine.state().log.get(&at).map(|stub| stub.command);
                assert_eq!(there, Some(command(attempt.number)), "told too early");
                Outcome::Landed {
                    at,
                    version: appended.version.get(),
                    repeated: appended.repeated,
                }
            }
        };
        if attempt.outcome != Outcome::Unknown {
            attempt.answered = self.tick();
        }
        attempt.versions.1 = self.version(&attempt.stream);
        let outcome = attempt.outcome;
        self.attempts.lock().unwrap().push(attempt);
        outcome
    }

    /// Calls it again until its outcome is known, at whichever committer.
    async fn settle(&self, call: &Call, random: &SeededRandom, mut outcome: Outcome) {
        while outcome == Outcome::Unknown {
            outcome = self.call(call, random.next_u64()).await;
        }
    }

    async fn confirm(&self, stream: &StreamName, place: u64) {
        let version = self.version(stream);
        let answer = self.at(place, |place| {
            place.harness.try_confirm(stream, ExpectedVersion::Any)
        });
        if let Ok(answer) = answer
            && let Ok(Ok(at)) = answer.await
        {
            let told = (stream.clone(), at.position.get(), version);
            self.confirmed.lock().unwrap().push(told);
        }
    }
}

async fn client(world: &World, seed: u64, first: u64) {
    let random = SeededRandom::new(seed);
    for turn in 0..6 {
        let number = first + 2 * turn;
        let stream = stream(random.next_u64() % STREAMS);
        let version = world.version(&stream);
        let expected = match random.next_u64() % 4 {
            0 => ExpectedVersion::Any,
            // Whether it is there or not: only the index knows.
            1 => ExpectedVersion::NoStream,
            _ => exactly(version),
        };
        let call = Call {
            number,
            stream: stream.clone(),
            expected,
            events: 1 + random.next_u64() as usize % 2,
            decided_on: None,
        };
        let base = match expected {
            ExpectedVersion::NoStream => 0,
            _ => version,
        };
        let ends = base + call.events as u64;
        let next = Call {
            number: number + 1,
            expected: match random.next_u64() % 3 {
                0 => after(ends, number),
                1 => exactly(ends),
                _ => ExpectedVersion::Any,
            },
            events: 1,
            stream: stream.clone(),
            decided_on: Some(number),
        };
        let place = random.next_u64();
        let mut outcome = pin!(world.call(&call, place));
        // The next one is called before the first one is answered: at once, into its group, or while that is on its way.
        let chained = random.next_u64().is_multiple_of(2);
        let mut known = None;
        if chained && random.next_u64().is_multiple_of(2) {
            let pause = pin!(tokio::time::sleep(Duration::from_millis(
                random.next_u64() % 10
            )));
            if let Either::Left((outcome, _)) = select(outcome.as_mut(), pause).await {
                known = Some(outcome);
            }
        }
        let chained = (chained && known.is_none()).then(|| world.call(&next, place));
        // The same one by another process, at the same time.
        let twin = random.next_u64().is_multiple_of(6);
        let twin = twin.then(|| world.call(&call, place + 1));
        let outcome = match known {
            Some(outcome) => outcome,
            None => outcome.await,
        };
        world.settle(&call, &random, outcome).await;
        if let Some(twin) = twin {
            twin.await;
        }
        if let Some(chained) = chained {
            world.settle(&next, &random, chained.await).await;
        }
        if random.next_u64().is_multiple_of(3) {
            world.confirm(&stream, random.next_u64()).await;
        }
    }
}

/// What stands in the log: by command the one before it in its stream, and by (stream, version) who ends there.
struct Log {
    before: HashMap<CommandId, Option<CommandId>>,
    ends: HashMap<(StreamName, u64), CommandId>,
}

impl Log {
    /// Dense, each stream's versions without hole or repeat, each command once.
    fn check(engine: &MemoryEngine) -> Result<Self, TestCaseError> {
        let state = engine.state();
        prop_assert!(state.holes.is_empty(), "holes before {:?}", state.holes);
        let positions: Vec<u64> = state.log.keys().copied().collect();
        let dense: Vec<u64> = (1..=positions.len() as u64).collect();
        prop_assert_eq!(&positions, &dense);
        let mut last: HashMap<_, (u64, _)> = HashMap::new();
        let (mut before, mut ends) = (HashMap::new(), HashMap::new());
        for stub in state.log.values() {
            let end = last.get(&stub.stream).copied();
            prop_assert_eq!(stub.first, end.map_or(0, |(version, _)| version) + 1);
            before.insert(stub.command, end.map(|(_, command)| command));
            let version = stub.version().get();
            ends.insert((stub.stream.clone(), version), stub.command);
            last.insert(stub.stream.clone(), (version, stub.command));
        }
        prop_assert_eq!(before.len(), positions.len(), "a command landed twice");
        Ok(Self { before, ends })
    }

    fn has(&self, number: u64) -> bool {
        self.before.contains_key(&command(number))
    }

    /// Whether what `attempt` expected was there all the time from its call to its answer.
    fn was_as_expected(&self, attempt: &Attempt) -> bool {
        let (version, last) = match attempt.expected {
            ExpectedVersion::Any => return true,
            ExpectedVersion::NoStream => (0, None),
            ExpectedVersion::Exact(version) => (version.get(), None),
            ExpectedVersion::After { version, command } => (version.get(), Some(command)),
        };
        let end = (attempt.stream.clone(), version);
        attempt.versions == (version, version)
            && last.is_none_or(|last| self.ends.get(&end) == Some(&last))
    }
}

/// What callers were told is what is there, and nobody was refused without a reason.
fn check(world: &World) -> Result<(), TestCaseError> {
    let log = Log::check(&world.engine)?;
    let attempts = world.attempts.lock().unwrap();
    let mut by_number: HashMap<u64, Vec<&Attempt>> = HashMap::new();
    for attempt in attempts.iter() {
        by_number.entry(attempt.number).or_default().push(attempt);
    }
    for (number, tried) in &by_number {
        for attempt in tried {
            if let Outcome::Landed { at, version, .. } = attempt.outcome {
                let stub = world.engine.state().log[&at].clone();
                prop_assert_eq!(stub.command, command(*number));
                prop_assert_eq!(stub.version().get(), version);
            }
        }
        let own = tried.iter().filter(|a| a.outcome.is_own()).count();
        prop_assert!(own <= 1, "{} landed twice: {:?}", number, tried);
        if let [only] = tried[..] {
            let repeated = matches!(only.outcome, Outcome::Landed { repeated: true, .. });
            prop_assert!(!repeated, "nobody called it before: {:?}", only);
        }
        if tried.iter().all(|a| a.outcome == Outcome::Refused) {
            prop_assert!(!log.has(*number), "{} was refused", number);
        }
    }
    let state = world.engine.state();
    for attempt in attempts.iter() {
        if attempt.outcome == Outcome::Refused {
            // Called behind one of its stream that did not land, which takes with it what follows.
            let taken_along = attempts.iter().any(|other| {
                let same = other.writer == attempt.writer && other.stream == attempt.stream;
                let behind = other.called < attempt.called && attempt.called < other.answered;
                same && behind && !other.outcome.is_own()
            });
            prop_assert!(
                taken_along || !log.was_as_expected(attempt),
                "refused without a reason: {:?}",
                attempt
            );
        }
        let Some(decided_on) = attempt.decided_on.filter(|_| attempt.outcome.is_own()) else {
            continue;
        };
        let base = attempts.iter().find(|other| {
            other.number == decided_on
                && other.writer == attempt.writer
                && other.called < attempt.called
                && attempt.called < other.answered
        });
        // One whose outcome was unknown may have been answered before it was sent at all.
        let Some(base) = base.filter(|base| base.outcome != Outcome::Unknown) else {
            continue;
        };
        // One that was refused before it was sent takes nobody with it who does not say that it comes after it.
        let sent = (command(base.number), base.writer as i64);
        if !base.outcome.is_own() && !state.sent.contains(&sent) {
            let says_so = matches!(attempt.expected, ExpectedVersion::After { .. });
            let refused = base.outcome == Outcome::Refused;
            prop_assert!(!(says_so && refused), "{:?} came after {:?}", attempt, base);
            continue;
        }
        prop_assert!(
            base.outcome.is_own(),
            "{:?} was decided on {:?}",
            attempt,
            base
        );
        let before = log.before[&command(attempt.number)];
        let follows =
            attempt.expected == ExpectedVersion::Any || before == Some(command(decided_on));
        prop_assert!(follows, "{:?} does not follow {:?}", attempt, base);
    }
    for (stream, at, version_then) in world.confirmed.lock().unwrap().iter() {
        let told = match *at {
            0 => 0,
            at => {
                prop_assert_eq!(&state.log[&at].stream, stream);
                state.log[&at].version().get()
            }
        };
        prop_assert!(told >= *version_then, "a confirmation was stale");
    }
    Ok(())
}

async fn run(seed: u64, percent: u64, committers: u64, crashes: u64) -> Result<(), TestCaseError> {
    let engine = MemoryEngine::new(seed, percent);
    let world = Arc::new(World::new(engine, committers));
    let mut clients = Vec::new();
    for id in 0..committers * CLIENTS {
        let world = Arc::clone(&world);
        clients.push(tokio::spawn(async move {
            client(&world, seed ^ id, id * 1_000).await;
        }));
    }
    let random = SeededRandom::new(!seed);
    for _ in 0..crashes {
        tokio::time::sleep(Duration::from_millis(random.next_u64() % 60)).await;
        world.crash(random.next_u64());
    }
    for client in clients {
        client.await.unwrap();
    }
    let places = std::mem::take(&mut *world.places.lock().unwrap());
    for place in places {
        place.harness.end().await;
    }
    // The last of the attempts that were given up arrive when all is over.
    while world.engine.state().arrive() {}
    check(&world)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn any_interleaving_and_any_faults_keep_the_logs_promises(
        seed: u64,
        percent in 0_u64..60,
        committers in 1_u64..4,
        crashes in 0_u64..6,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(seed, percent, committers, crashes))?;
    }
}
