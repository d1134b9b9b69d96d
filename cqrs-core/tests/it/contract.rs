//! The reference implementation keeps what it is the reference for.

use cqrs_core::testing::contract::{Note, Notebook, NotebookStore};
use cqrs_core::{MemoryProjection, MemoryStore};

mod one_partition {
    cqrs_core::event_log_contract!(cqrs_core::MemoryStore::new(1));
    cqrs_core::ledger_contract!(cqrs_core::MemoryStore::new(1));
    cqrs_core::snapshot_store_contract!(cqrs_core::MemoryStore::new(1));
    cqrs_core::checkpoint_store_contract!(cqrs_core::MemoryStore::new(1));
    cqrs_core::relay_marks_contract!(cqrs_core::MemoryRelayMarks::new());
}

mod log_and_ledger_in_one {
    use cqrs_core::MemoryStore;
    use cqrs_core::testing::contract::alone::OneStore;

    // What it holds in place of a disk is all that there is.
    cqrs_core::one_store_contract!(OneStore {
        store: MemoryStore::new(2),
        restart: async |store: MemoryStore| store,
    });
}

mod four_partitions {
    cqrs_core::event_log_contract!(cqrs_core::MemoryStore::new(4));
    cqrs_core::projection_contract!(super::InMemory::open());
}

struct InMemory {
    log: MemoryStore,
    notebook: Notebook,
    projection: MemoryProjection<Vec<Note>>,
}

impl InMemory {
    fn open() -> Self {
        let notebook = Notebook::default();
        let (model, types) = (notebook.clone(), [Notebook::EVENT]);
        let fold = move |notes: &mut Vec<Note>, event: &cqrs_core::RecordedEvent<'_>| {
            notes.push(model.note(event)?);
            Ok(())
        };
        Self {
            log: MemoryStore::new(4),
            notebook,
            projection: MemoryProjection::new(Notebook::NAME, types, Vec::new(), fold),
        }
    }
}

impl NotebookStore for InMemory {
    type Log = MemoryStore;
    type Projection = MemoryProjection<Vec<Note>>;

    fn log(&self) -> &MemoryStore {
        &self.log
    }

    fn projection(&self) -> &Self::Projection {
        &self.projection
    }

    fn notebook(&self) -> &Notebook {
        &self.notebook
    }

    async fn notes(&self) -> Vec<Note> {
        self.projection.read(Vec::clone)
    }
}

mod intents {
    use std::sync::Arc;

    use cqrs_core::testing::ManualClock;

    cqrs_core::intent_store_contract!(cqrs_core::MemoryIntents::new(Arc::new(
        ManualClock::default()
    )));
}

mod coordinator {
    use std::sync::Arc;

    use cqrs_core::testing::contract::TwoStores;
    use cqrs_core::testing::{InstantTimer, ManualClock};
    use cqrs_core::{Coordinator, CoordinatorOptions, MemoryIntents, MemoryStore};
    use uuid::Uuid;

    fn open() -> Coordinator<MemoryStore, MemoryIntents<Arc<ManualClock>>, InstantTimer> {
        Coordinator::new(
            MemoryStore::new(4),
            MemoryIntents::new(Arc::default()),
            InstantTimer,
            Uuid::from_u128(1),
            CoordinatorOptions::default(),
        )
    }

    fn stores() -> TwoStores<MemoryStore, MemoryIntents<Arc<ManualClock>>> {
        TwoStores {
            log: MemoryStore::new(4),
            intents: MemoryIntents::new(Arc::default()),
            spare: MemoryIntents::new(Arc::default()),
        }
    }

    cqrs_core::event_log_contract!(open());
    cqrs_core::ledger_contract!(open());
    cqrs_core::two_stores_contract!(stores());
}
