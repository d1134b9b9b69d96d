//! The simulated engines keep what the real ones keep: the same suites, over wires that have no faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use cqrs_core::testing::contract::{
    Brokers, Note, Notebook, NotebookStore, NotebookVersions, Notes, TwoStores,
};
use cqrs_core::testing::sim::{Node, NodeId, Sim};
use cqrs_core::{
    Assigned, Assignment, BusError, BusRecord, ConsumeEvents, Coordinator, CoordinatorOptions,
    MemoryIntents, MemoryRelayMarks, Partition, Position, RecordedEvent,
};
use cqrs_mongo::testing::{SimulatedLog, SimulatedOptions, SimulatedServer};
use uuid::Uuid;

use super::bus::{Bus, BusPublisher};
use super::group::BusConsumer;
use super::ledger::LedgerClient;
use super::marks::MarksClient;
use super::models::{ModelClient, Models, VersionsClient};

/// A process and an engine in a world that goes on for as long as the test does.
#[derive(Clone)]
struct World {
    sim: Sim,
    node: Node,
    engine: NodeId,
}

impl World {
    fn new() -> Self {
        let sim = Sim::new(1);
        let engine = sim.engine("engine");
        let node = process(&sim, "test");
        let driven = sim.clone();
        tokio::spawn(async move {
            loop {
                driven.run_for(Duration::from_millis(1));
                tokio::task::yield_now().await;
            }
        });
        Self { sim, node, engine }
    }

    fn log(&self, partitions: u16) -> SimulatedLog {
        let server = SimulatedServer::new(&self.sim, partitions);
        // More than a batch has streams, as the store's options demand: a head that is forgotten between look and plan counts as
        // none, and is a conflict.
        let options = SimulatedOptions {
            cached_heads: 64,
            ..SimulatedOptions::default()
        };
        SimulatedLog::open(&self.node, self.engine, &server, options)
    }

    fn marks(&self) -> MarksClient {
        let books = Arc::new(MemoryRelayMarks::new());
        MarksClient::new(&self.node, self.engine, &books)
    }

    fn intents(&self) -> LedgerClient {
        let store = MemoryIntents::new(self.sim.clone());
        LedgerClient::new(&self.node, self.engine, &store)
    }
}

fn process(sim: &Sim, name: &str) -> Node {
    let (sender, receiver) = std::sync::mpsc::channel();
    sim.outside(name, move |node| drop(sender.send(node)));
    receiver.recv().unwrap()
}

mod one_partition {
    cqrs_core::event_log_contract!(super::World::new().log(1));
}

mod four_partitions {
    cqrs_core::event_log_contract!(super::World::new().log(4));
    cqrs_core::relay_marks_contract!(super::World::new().marks());
}

mod intents {
    cqrs_core::intent_store_contract!(super::World::new().intents());
}

mod coordinator {
    use super::*;

    fn open() -> Coordinator<SimulatedLog, LedgerClient, Node> {
        let world = World::new();
        let (log, intents) = (world.log(4), world.intents());
        let options = CoordinatorOptions::default();
        Coordinator::new(
            log,
            intents,
            world.node.clone(),
            Uuid::from_u128(1),
            options,
        )
    }

    fn stores() -> TwoStores<SimulatedLog, LedgerClient> {
        let world = World::new();
        TwoStores {
            log: world.log(4),
            intents: world.intents(),
            spare: world.intents(),
        }
    }

    cqrs_core::event_log_contract!(open());
    cqrs_core::ledger_contract!(open());
    cqrs_core::two_stores_contract!(stores());
}

/// The versions of a notebook behind a wire.
struct Remote {
    world: World,
    log: SimulatedLog,
    notebook: Notebook,
    models: Models<Notes>,
    live: ModelClient<Notes>,
}

impl Remote {
    fn open() -> Self {
        let (world, notebook) = (World::new(), Notebook::default());
        let model = notebook.clone();
        let fold = move |notes: &mut Notes, event: &RecordedEvent<'_>| {
            notes.0.push(model.note(event)?);
            Ok(())
        };
        let models = Models::of(
            Notebook::NAME,
            vec![Notebook::EVENT],
            Notes::default(),
            fold,
        );
        Self {
            log: world.log(2),
            live: ModelClient::new(&world.node, world.engine, &models, 1),
            world,
            notebook,
            models,
        }
    }
}

impl NotebookStore for Remote {
    type Log = SimulatedLog;
    type Projection = ModelClient<Notes>;

    fn log(&self) -> &SimulatedLog {
        &self.log
    }

    fn projection(&self) -> &Self::Projection {
        &self.live
    }

    fn notebook(&self) -> &Notebook {
        &self.notebook
    }

    async fn notes(&self) -> Vec<Note> {
        self.read().await.1
    }
}

impl NotebookVersions for Remote {
    type Log = SimulatedLog;
    type Versions = VersionsClient<Notes>;
    type Timer = Node;

    fn log(&self) -> &SimulatedLog {
        &self.log
    }

    fn versions(&self) -> VersionsClient<Notes> {
        VersionsClient::new(&self.world.node, self.world.engine, &self.models, false)
    }

    fn timer(&self) -> Node {
        self.world.node.clone()
    }

    async fn read(&self) -> (Vec<Position>, Vec<Note>) {
        let models = self.models.clone();
        let wire = self.world.node.wire(self.world.engine);
        let look = move || models.read(|notes| notes.0.clone());
        let (places, notes) = wire.call("query", super::LIMIT, look).await.unwrap();
        (places, notes)
    }
}

mod models {
    cqrs_core::projection_contract!(super::Remote::open());
    cqrs_core::replay_contract!(super::Remote::open());
}

/// A bus, and who uses it: each member is a process.
struct Topic {
    world: World,
    bus: Bus,
    joined: AtomicU64,
}

impl Topic {
    fn open() -> Self {
        let world = World::new();
        Self {
            bus: Bus::new(&world.sim, Self::PARTITIONS),
            world,
            joined: AtomicU64::new(0),
        }
    }
}

/// A process that crashes when this is dropped: there is no other way to leave.
struct Member {
    process: Node,
    consumer: BusConsumer,
}

impl Drop for Member {
    fn drop(&mut self) {
        self.process.sim().crash(self.process.id());
    }
}

impl Assigned for Member {
    async fn changed(&self, seen: u64) -> Assignment {
        self.consumer.changed(seen).await
    }
}

impl ConsumeEvents for Member {
    async fn seek(&self, partition: Partition, after: Position) -> Result<(), BusError> {
        self.consumer.seek(partition, after).await
    }

    async fn next(&self, partition: Partition, max: usize) -> Result<Vec<BusRecord>, BusError> {
        self.consumer.next(partition, max).await
    }

    fn done(&self, partition: Partition, done: Position, offset: u64) {
        self.consumer.done(partition, done, offset);
    }
}

impl Brokers for Topic {
    type Publisher = BusPublisher;
    type Consumer = Member;
    type Timer = Node;

    fn publisher(&self) -> BusPublisher {
        let (node, engine) = (&self.world.node, self.world.engine);
        BusPublisher::new(node, engine, &self.bus, Self::PARTITIONS)
    }

    fn reader(&self) -> Member {
        let number = self.joined.load(Ordering::Relaxed);
        self.join(&format!("alone-{number}"))
    }

    fn join(&self, group: &str) -> Member {
        let number = self.joined.fetch_add(1, Ordering::Relaxed);
        let process = process(&self.world.sim, &format!("member-{number}"));
        Member {
            consumer: BusConsumer::join(&process, self.world.engine, &self.bus, group),
            process,
        }
    }

    async fn leave(&self, member: Member) {
        drop(member);
    }

    fn timer(&self) -> Node {
        self.world.node.clone()
    }
}

mod bus {
    cqrs_core::bus_contract!(super::Topic::open());
    cqrs_core::bus_groups_contract!(super::Topic::open());
}
