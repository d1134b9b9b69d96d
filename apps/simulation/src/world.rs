//! One run: the system, its clients, its faults; then peace, until all has settled; then the checks.

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::testing::SeededRandom;
use cqrs_core::testing::sim::{Fault, NodeId, Plan, Sim};
use cqrs_core::{MemoryIntents, MemoryRelayMarks, Partition, Position, Random};
use cqrs_mongo::testing::SimulatedServer;

use crate::checks::{self, Violation};
use crate::engines::at_once;
use crate::engines::bus::Bus;
use crate::engines::ledger::Ledger;
use crate::engines::models::{Models, Want, checkpoint};
use crate::history::History;
use crate::system::api::{Api, ApiAt};
use crate::system::client::{Client, Manners};
use crate::system::{projector, relay, replay};
use crate::traps;

/// Partitions of log, bus and read model.
pub(crate) const PARTITIONS: u16 = 2;
/// How long there are faults.
const TROUBLE: Duration = Duration::from_secs(6);
/// How long it may take afterwards until all has settled: a late message comes within 16 s, leases take 2 s.
const BOUND: Duration = Duration::from_secs(90);
/// How often the database writes to disk what it has acknowledged.
const FLUSH: Duration = Duration::from_millis(200);
/// What operators want, and what it is called in a plan.
const WANTED: [(&str, Want); 4] = [
    ("a rebuild is wanted", Want::Rebuild),
    ("a roll back is wanted", Want::RollBack),
    ("a cancel is wanted", Want::Cancel),
    ("a version is to be retired", Want::Retire),
];

/// All engines.
#[derive(Clone)]
pub(crate) struct Engines {
    pub(crate) mongo: NodeId,
    pub(crate) server: SimulatedServer,
    pub(crate) marks: Arc<MemoryRelayMarks>,
    pub(crate) mssql: NodeId,
    pub(crate) ledger: Ledger,
    pub(crate) kafka: NodeId,
    pub(crate) bus: Bus,
    pub(crate) postgres: NodeId,
    pub(crate) models: Models,
}

/// What a run is made of.
#[derive(Debug, Clone, Copy)]
pub struct Setup {
    /// The seed: of everything.
    pub seed: u64,
    /// Whether the history is written down.
    pub record: bool,
}

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The promises that were broken; none.
    pub violations: Vec<Violation>,
    /// The faults that there were.
    pub plan: Plan,
    /// The same for the same seed.
    pub digest: u64,
    /// Commits in the log at the end.
    pub commits: usize,
    /// Final answers, and answers to queries.
    pub answers: u64,
    /// Answers to queries.
    pub reads: u64,
    /// Polls of tasks.
    pub polls: u64,
    /// Simulated time.
    pub elapsed: Duration,
    /// What happened, where it was recorded.
    pub history: Vec<String>,
}

struct World {
    sim: Sim,
    engines: Engines,
    apis: Vec<ApiAt>,
    projectors: Vec<NodeId>,
    history: History,
}

/// Runs `setup` with the faults of its seed.
#[must_use]
pub fn run(setup: Setup) -> Outcome {
    run_with(setup, None)
}

/// Runs `setup` with the faults of `plan`, or those of its seed.
#[must_use]
pub fn run_with(setup: Setup, plan: Option<Plan>) -> Outcome {
    let sim = Sim::new(setup.seed);
    let sim = if setup.record { sim.recording() } else { sim };
    let world = World::new(sim, setup.seed);
    let plan = plan.unwrap_or_else(|| world.draw(setup.seed));
    let violations = world.live(&plan);
    world.end(violations, plan)
}

impl World {
    fn new(sim: Sim, seed: u64) -> Self {
        let random = SeededRandom::new(seed ^ 0x0077_6f72_6c64);
        let count = |most: u64| 1 + random.next_u64() % most;
        let engines = Engines {
            mongo: sim.engine("mongo"),
            server: SimulatedServer::new(&sim, PARTITIONS),
            marks: Arc::default(),
            mssql: sim.engine("mssql"),
            ledger: MemoryIntents::new(sim.clone()),
            kafka: sim.engine("kafka"),
            bus: Bus::new(&sim, PARTITIONS),
            postgres: sim.engine("postgres"),
            models: Models::new(),
        };
        let api = |n| {
            let (api, engines) = (Api::default(), engines.clone());
            let serving = api.clone();
            let boot = move |node| serving.boot(node, &engines);
            let at = sim.node(&format!("api-{n}"), boot);
            ApiAt { at, api }
        };
        let manners = Manners::draw(seed);
        let apis: Vec<_> = (0..count(3).max(manners.processes)).map(api).collect();
        for n in 0..count(2) {
            let engines = engines.clone();
            sim.node(&format!("relay-{n}"), move |node| {
                relay::boot(node, &engines)
            });
        }
        let projector = |n| {
            let engines = engines.clone();
            let boot = move |node| projector::boot(node, engines.clone());
            sim.node(&format!("projector-{n}"), boot)
        };
        let projectors = (0..count(2)).map(projector).collect();
        for (name, last) in [("replay-0", false), ("replay-1", true)] {
            let engines = engines.clone();
            sim.node(name, move |node| replay::boot(node, engines.clone(), last));
        }
        let history = History::default();
        for number in 0..usize::try_from(1 + count(4)).unwrap_or(2) {
            let (apis, engines) = (apis.clone(), engines.clone());
            let kept = history.clone();
            history.begin();
            sim.outside(&format!("client-{number}"), move |node| {
                let client = Client {
                    number,
                    manners,
                    apis: apis.clone(),
                    engines: engines.clone(),
                    history: kept.clone(),
                };
                node.clone().spawn(client.run(node));
            });
        }
        Self {
            sim,
            engines,
            apis,
            projectors,
            history,
        }
    }

    /// The faults of `seed`: now and then none, and now and then traps alone, in whose histories every other fault is one
    /// more that may end them. What operators want is no fault, and happens in all.
    fn draw(&self, seed: u64) -> Plan {
        let random = SeededRandom::new(seed ^ 0x0070_6572_696c);
        let below = |bound: u64| random.next_u64() % bound;
        let traps = [0, 2, 4, 8][usize::try_from(below(4)).unwrap_or(0)];
        let mut special: Vec<_> = WANTED.iter().map(|(name, _)| *name).collect();
        let mut plan = Plan::default();
        if traps == 0 || below(2) == 0 {
            let count = usize::try_from(below(12)).unwrap_or(0);
            plan = Plan::draw(seed, &self.sim, TROUBLE, count);
            special.extend([
                "mongo fails over",
                "the ledger's connections break",
                "postgres loses its tail",
            ]);
        }
        for name in special {
            for _ in 0..below(3) {
                let at = Duration::from_micros(below(6_000_000));
                plan = plan.with(at, Fault::Special(name));
            }
        }
        for _ in 0..traps {
            // Half of them from the beginning: a stream's first commit is its only one, as a rule, that reserves.
            let at = Duration::from_micros(below(2) * below(4_000_000));
            plan = plan.with(at, Fault::Traps(traps::draw(&random)));
        }
        plan
    }

    fn live(&self, plan: &Plan) -> Vec<Violation> {
        let engines = self.engines.clone();
        self.flush_for_ever();
        let sim = self.sim.clone();
        self.sim.follow_with(plan.clone(), move |name| {
            sim.note(engines.mongo, || name.to_owned());
            let wanted = WANTED.iter().find(|(wanted, _)| *wanted == name);
            match (name, wanted) {
                (_, Some((_, want))) => engines.models.want(*want),
                ("mongo fails over", _) => engines.server.fail_over(),
                ("the ledger's connections break", _) => engines.ledger.reconnect(),
                _ => engines.models.lose(),
            }
        });
        self.sim.run_for(TROUBLE);
        self.sim.heal();
        let mut violations = Vec::new();
        violations.extend(self.settles(false).err());
        if violations.is_empty() {
            violations.extend(checks::parked(&self.engines).err());
            self.engines.models.mend();
            for projector in &self.projectors {
                self.sim.crash_for(*projector, Duration::from_millis(10));
            }
            violations.extend(self.settles(true).err());
        }
        violations
    }

    /// The database's disk keeps up with it.
    fn flush_for_ever(&self) {
        fn flush(sim: &Sim, models: Models) {
            models.flush();
            let again = sim.clone();
            sim.after(FLUSH, move || flush(&again, models));
        }
        flush(&self.sim, self.engines.models.clone());
    }

    /// Runs until nothing is left to do.
    fn settles(&self, mended: bool) -> Result<(), Violation> {
        let begun = self.sim.elapsed();
        loop {
            self.sim.run_for(Duration::from_millis(250));
            let Some(open) = self.unsettled(mended) else {
                return Ok(());
            };
            if self.sim.elapsed() - begun > BOUND {
                return Err(Violation::new("liveness", open));
            }
        }
    }

    /// What is left to do, if anything.
    fn unsettled(&self, mended: bool) -> Option<String> {
        let engines = &self.engines;
        if !self.history.is_over() {
            return Some("clients still wait for answers".to_owned());
        }
        // One that has parked what the live one has not waits for better code.
        if let Some(job) = engines.models.job(false).filter(|_| mended) {
            return Some(format!("{job:?} is not done"));
        }
        let (rows, values) = engines.ledger.unsettled();
        if (rows, values) != (0, 0) {
            return Some(format!(
                "{rows} rows and {values} values of the ledger are open"
            ));
        }
        let mut heads = vec![Position::START; usize::from(PARTITIONS)];
        for commit in engines.server.journal() {
            heads[usize::from(commit.at.partition.index())] = commit.at.position;
        }
        let folded = at_once(cqrs_core::LedgerFold::checkpoints(&engines.ledger));
        let folded = folded.unwrap_or_default();
        for (partition, head) in Partition::all(PARTITIONS).zip(heads) {
            let fold = folded.iter().find(|(of, _)| *of == partition);
            if head > fold.map_or(Position::START, |(_, at)| *at) {
                return Some(format!("the fold of {partition} has not reached {head}"));
            }
            let mark = engines.marks.book(relay::NAME, partition).pop();
            if head > mark.map_or(Position::START, |mark| mark.position) {
                return Some(format!("the relay of {partition} has not reached {head}"));
            }
            for version in engines.models.fed() {
                let Some(model) = engines.models.model(version) else {
                    continue;
                };
                if head > checkpoint(&model, partition).position {
                    return Some(format!(
                        "model {version} has not reached {partition}-{head}"
                    ));
                }
                let parked = at_once(cqrs_core::ParkedStreams::parked(&*model, partition));
                if mended && parked.is_ok_and(|parked| !parked.is_empty()) {
                    return Some(format!("model {version} has parked streams"));
                }
            }
        }
        None
    }

    fn end(self, mut violations: Vec<Violation>, plan: Plan) -> Outcome {
        let (sim, digest) = (self.sim.clone(), self.sim.digest());
        let (polls, elapsed) = (sim.polls(), sim.elapsed());
        sim.close();
        self.apis.iter().for_each(|api| api.api.close());
        let settled = violations.is_empty();
        let journal = self.engines.server.journal();
        let mut kept = self.history.kept();
        violations.append(&mut kept.violations);
        violations.extend(checks::all(&self.engines, &journal, &kept, settled));
        // A promise says more than that something waits for ever.
        violations.sort_by_key(|violation| violation.promise == "liveness");
        Outcome {
            violations,
            plan,
            digest,
            commits: journal.len(),
            answers: kept.answers,
            reads: kept.reads,
            polls,
            elapsed,
            history: sim.history(),
        }
    }
}
