//! Several committers on one partition, any interleaving, any faults: the log's promises hold.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cqrs_core::testing::SeededRandom;
use cqrs_core::{AppendError, Appended, ExpectedVersion, Random, StreamName, Version};
use proptest::prelude::*;

use super::harness::{Answer, Harness, after, command, exactly, stream};
use super::memory::MemoryEngine;

/// What callers were told.
#[derive(Default)]
struct Told {
    landed: Vec<(u64, Appended)>,
    refused: Vec<u64>,
    /// (command, the one that it was decided on).
    chained: Vec<(u64, u64)>,
}

impl Told {
    /// Takes note of an answer; `false` where the same call must be made again.
    fn note(&mut self, number: u64, answer: Result<Appended, AppendError>) -> bool {
        match answer {
            Ok(appended) => self.landed.push((number, appended)),
            Err(AppendError::Conflict { .. }) => self.refused.push(number),
            Err(AppendError::Store { .. }) => return false,
            Err(other) => panic!("unexpected: {other:?}"),
        }
        true
    }
}

/// One call, which can be made again.
struct Call {
    number: u64,
    stream: StreamName,
    expected: ExpectedVersion,
    events: usize,
}

impl Call {
    fn make(&self, committer: &Harness) -> Answer<Appended> {
        let called = committer.try_append(self.number, &self.stream, self.expected, self.events);
        called.unwrap()
    }

    /// Makes it again until its outcome is known.
    async fn settle(&self, committer: &Harness, mut answer: Answer<Appended>, told: &Mutex<Told>) {
        loop {
            let came = answer.await.unwrap();
            if told.lock().unwrap().note(self.number, came) {
                return;
            }
            answer = self.make(committer);
        }
    }
}

async fn client(
    committer: &Harness,
    engine: &MemoryEngine,
    seed: u64,
    first: u64,
    told: &Mutex<Told>,
) {
    let random = SeededRandom::new(seed);
    for turn in 0..6 {
        let number = first + 2 * turn;
        let stream = stream(random.next_u64() % 3);
        let events = 1 + random.next_u64() as usize % 3;
        let version = {
            let state = engine.state();
            let of_stream = state.log.values().filter(|stub| stub.stream == stream);
            of_stream
                .map(|stub| stub.version().get())
                .max()
                .unwrap_or(0)
        };
        let expected = match random.next_u64() % 3 {
            0 => ExpectedVersion::Any,
            _ => exactly(version),
        };
        let call = Call {
            number,
            stream: stream.clone(),
            expected,
            events,
        };
        let next = Call {
            number: number + 1,
            expected: after(version + events as u64, number),
            events: 1,
            stream: stream.clone(),
        };
        // The next one is called before the first one is answered.
        let answer = call.make(committer);
        let chained = expected != ExpectedVersion::Any && random.next_u64().is_multiple_of(2);
        let chained = chained.then(|| next.make(committer));
        call.settle(committer, answer, told).await;
        if let Some(answer) = chained {
            told.lock().unwrap().chained.push((number + 1, number));
            next.settle(committer, answer, told).await;
        }
        if random.next_u64().is_multiple_of(3) {
            let confirmed = committer.confirm(&stream, ExpectedVersion::Any);
            drop(confirmed.await.unwrap());
        }
    }
}

fn check(engine: &MemoryEngine, told: &Told) -> Result<(), TestCaseError> {
    let state = engine.state();
    prop_assert!(state.holes.is_empty(), "holes before {:?}", state.holes);
    let positions: Vec<u64> = state.log.keys().copied().collect();
    prop_assert_eq!(
        &positions,
        &(1..=positions.len() as u64).collect::<Vec<_>>()
    );
    let mut ends: HashMap<_, (u64, _)> = HashMap::new();
    let mut behind = HashMap::new();
    for stub in state.log.values() {
        let end = ends.get(&stub.stream).copied();
        prop_assert_eq!(stub.first, end.map_or(0, |(version, _)| version) + 1);
        behind.insert(stub.command, end.map(|(_, command)| command));
        ends.insert(stub.stream.clone(), (stub.version().get(), stub.command));
    }
    prop_assert_eq!(behind.len(), positions.len(), "a command landed twice");
    for (number, appended) in &told.landed {
        let stub = &state.log[&appended.at.position.get()];
        prop_assert_eq!(stub.command, command(*number));
        prop_assert_eq!(stub.version(), appended.version);
    }
    for number in &told.refused {
        prop_assert!(
            !behind.contains_key(&command(*number)),
            "{} was refused",
            number
        );
    }
    for (number, predecessor) in &told.chained {
        if let Some(there) = behind.get(&command(*number)) {
            prop_assert_eq!(*there, Some(command(*predecessor)));
        }
    }
    Ok(())
}

async fn run(seed: u64, percent: u64, committers: u64) -> Result<(), TestCaseError> {
    let engine = MemoryEngine::new(seed, percent);
    let told = Arc::new(Mutex::new(Told::default()));
    let harnesses: Vec<_> = (0..committers)
        .map(|writer| Arc::new(Harness::start(&engine, writer as i64 + 1)))
        .collect();
    let mut clients = Vec::new();
    for (nth, harness) in harnesses.iter().enumerate() {
        for client_nth in 0..4 {
            let id = nth as u64 * 4 + client_nth;
            let (harness, engine, told) = (Arc::clone(harness), engine.clone(), Arc::clone(&told));
            clients.push(tokio::spawn(async move {
                client(&harness, &engine, seed ^ id, id * 1_000, &told).await;
            }));
        }
    }
    for client in clients {
        client.await.unwrap();
    }
    for harness in harnesses {
        let Ok(harness) = Arc::try_unwrap(harness) else {
            panic!("a client still holds its committer");
        };
        harness.end().await;
    }
    // The last of the attempts that were given up arrive when all is over.
    while engine.state().arrive() {}
    let told = told.lock().unwrap();
    prop_assert!(told.landed.iter().all(|(_, a)| a.version > Version::EMPTY));
    check(&engine, &told)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_interleaving_and_any_faults_keep_the_logs_promises(
        seed: u64,
        percent in 0_u64..60,
        committers in 1_u64..4,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(seed, percent, committers))?;
    }
}
