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

pub(crate) mod replays {
    use std::time::Duration;

    use cqrs_core::testing::contract::{Note, Notebook, NotebookVersions, Notes};
    use cqrs_core::{
        MemoryProjection, MemoryStore, MemoryVersions, Partition, Position, Projection, Timer,
    };
    use futures_util::FutureExt;

    cqrs_core::replay_contract!(InMemory::open());
    cqrs_core::projection_contract!(super::of_a_version::open());

    #[derive(Clone)]
    pub(crate) struct TokioTimer;

    impl Timer for TokioTimer {
        #[expect(clippy::disallowed_methods, reason = "the timer that is passed in")]
        async fn sleep(&self, duration: Duration) {
            tokio::time::sleep(duration).await;
        }
    }

    pub(super) fn versions(notebook: &Notebook) -> MemoryVersions<Notes> {
        let notebook = notebook.clone();
        MemoryVersions::new(2, move |_layout| {
            let (model, types) = (notebook.clone(), [Notebook::EVENT]);
            let fold = move |notes: &mut Notes, event: &cqrs_core::RecordedEvent<'_>| {
                notes.0.push(model.note(event)?);
                Ok(())
            };
            MemoryProjection::new(Notebook::NAME, types, Notes::default(), fold)
        })
    }

    struct InMemory {
        log: MemoryStore,
        versions: MemoryVersions<Notes>,
    }

    impl InMemory {
        fn open() -> Self {
            Self {
                log: MemoryStore::new(2),
                versions: versions(&Notebook::default()),
            }
        }
    }

    impl NotebookVersions for InMemory {
        type Log = MemoryStore;
        type Versions = MemoryVersions<Notes>;
        type Timer = TokioTimer;

        fn log(&self) -> &MemoryStore {
            &self.log
        }

        fn versions(&self) -> MemoryVersions<Notes> {
            self.versions.clone()
        }

        fn timer(&self) -> TokioTimer {
            TokioTimer
        }

        async fn read(&self) -> (Vec<Position>, Vec<Note>) {
            self.versions.read(|_, live| {
                let at = |partition| live.checkpoint(partition).now_or_never().unwrap().unwrap();
                let places = Partition::all(2).map(|partition| at(partition).position);
                (places.collect(), live.read(|notes| notes.0.clone()))
            })
        }
    }
}

/// The live one of several versions is a projection like any other.
mod of_a_version {
    use cqrs_core::testing::contract::{Note, Notebook, NotebookStore, Notes};
    use cqrs_core::{BuildVersions, MemoryStore, MemoryVersions, VersionProjection, Writing};

    pub(super) struct Live {
        log: MemoryStore,
        notebook: Notebook,
        versions: MemoryVersions<Notes>,
        projection: VersionProjection<Notes>,
    }

    pub(super) fn open() -> Live {
        let notebook = Notebook::default();
        let versions = super::replays::versions(&notebook);
        Live {
            log: MemoryStore::new(2),
            projection: versions.projection(&versions.live(), Writing::Feeding),
            notebook,
            versions,
        }
    }

    impl NotebookStore for Live {
        type Log = MemoryStore;
        type Projection = VersionProjection<Notes>;

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
            self.versions
                .read(|_, live| live.read(|notes| notes.0.clone()))
        }
    }
}
