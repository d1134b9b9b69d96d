//! The simulated engines keep what the real ones keep: the same suites, over wires that have no faults.

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::testing::contract::{
    Note, Notebook, NotebookStore, NotebookVersions, Notes, TwoStores,
};
use cqrs_core::testing::sim::{Node, NodeId, Sim};
use cqrs_core::{
    Coordinator, CoordinatorOptions, MemoryIntents, MemoryRelayMarks, Position, RecordedEvent,
};
use cqrs_mongo::testing::{SimulatedLog, SimulatedOptions, SimulatedServer};
use uuid::Uuid;

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
        let (sender, receiver) = std::sync::mpsc::channel();
        sim.outside("test", move |node| drop(sender.send(node)));
        let driven = sim.clone();
        tokio::spawn(async move {
            loop {
                driven.run_for(Duration::from_millis(1));
                tokio::task::yield_now().await;
            }
        });
        Self {
            node: receiver.recv().unwrap(),
            sim,
            engine,
        }
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
