//! A simulation of one's own aggregate, as the documentation shows it.

use std::time::Duration;

use cqrs_core::testing::sim::{Plan, Sim};
use cqrs_core::{
    Actor, Aggregate, Clock, Codec, Command, CommandId, Decide, Decided, Envelope, Executor,
    ExecutorOptions, Handler, Message, Timer,
};
use cqrs_mongo::testing::{SimulatedLog, SimulatedOptions, SimulatedServer};
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Counted {
    by: u32,
}

cqrs_core::events! {
    #[derive(Debug, Clone, PartialEq)]
    enum CounterEvent { Counted = "counted" v1 }
}

#[derive(Default)]
struct Counter {
    total: u32,
}

impl Aggregate for Counter {
    const CATEGORY: &'static str = "counter";
    type Id = String;
    type Event = CounterEvent;

    fn evolve(self, event: &CounterEvent) -> Self {
        let CounterEvent::Counted(counted) = event;
        Self {
            total: self.total + counted.by,
        }
    }
}

struct Count {
    counter: String,
    by: u32,
}

impl Message for Count {
    const NAME: &'static str = "Count";
    type Reply = u64;
    type Error = std::convert::Infallible;
}

impl Command for Count {}

impl Decide<Count> for Counter {
    fn target(command: &Count, _: &Envelope) -> String {
        command.counter.clone()
    }

    fn decide(
        &self,
        command: &Count,
        _: &Envelope,
    ) -> Result<Vec<CounterEvent>, std::convert::Infallible> {
        Ok(vec![Counted { by: command.by }.into()])
    }

    fn reply(_: &Count, decided: &Decided<'_, CounterEvent>) -> u64 {
        decided.version.get()
    }
}

fn actor() -> Actor {
    Actor::parse("ada").unwrap()
}

/// One run of `seed`: how often it was counted.
fn counted(seed: u64) -> usize {
    // As documented, from here …
    let sim = Sim::new(seed);
    let (place, server) = (sim.engine("mongo"), SimulatedServer::new(&sim, 2));
    let log = server.clone();
    sim.node("api", move |node| {
        let log = SimulatedLog::open(&node, place, &log, SimulatedOptions::default());
        let executor: Executor<Counter, _> =
            Executor::new(log, Codec::new(), ExecutorOptions::default());
        let task = node.clone();
        node.spawn(async move {
            loop {
                let envelope = Envelope::new(CommandId::fresh(&task, &task), actor(), task.now());
                let counter = "a".to_owned();
                let _ = executor.handle(Count { counter, by: 1 }, &envelope).await;
                task.sleep(Duration::from_millis(10)).await;
            }
        });
    });
    sim.follow(Plan::draw(seed, &sim, Duration::from_secs(5), 10));
    sim.run_for(Duration::from_secs(5));
    sim.heal();
    sim.run_for(Duration::from_secs(60));
    // Then look at `server.journal()`: is it what was acknowledged?
    // … to here.
    let journal = server.journal();
    sim.close();
    journal.len()
}

#[test]
fn it_runs_and_a_seed_is_one_run() {
    for seed in 0..5 {
        let first = counted(seed);
        assert!(first > 100, "{first}");
        assert_eq!(first, counted(seed));
    }
}

#[test]
fn the_documentation_shows_what_runs() {
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(|line| line.trim().to_owned());
        lines.filter(|line| !line.is_empty()).collect()
    };
    let this = include_str!("own.rs");
    let (_, rest) = this.split_once("// As documented, from here …").unwrap();
    let (runs, _) = rest.split_once("// … to here.").unwrap();
    let document = include_str!("../../../../docs/SIMULATION.md");
    let (_, rest) = document.split_once("```rust\n").unwrap();
    let (shown, _) = rest.split_once("```").unwrap();
    assert_eq!(lines(runs), lines(shown));
}
