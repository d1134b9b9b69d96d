//! The contracts that every store keeps.

use cqrs_sqlite::SqliteStore;

/// A store in a folder that stays until the build's temporary folder is emptied.
pub(crate) fn open(partitions: u16) -> SqliteStore {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = crate::kit::open(&folder, partitions);
    // The store outlives this function, so its folder must.
    let _ = folder.keep();
    store
}

mod one_partition {
    use super::open;

    cqrs_core::event_log_contract!(open(1));
    cqrs_core::ledger_contract!(open(1));
    cqrs_core::snapshot_store_contract!(open(1));
    cqrs_core::checkpoint_store_contract!(open(1));
}

mod log_and_ledger_in_one {
    use cqrs_core::testing::contract::alone::OneStore;
    use cqrs_sqlite::SqliteStore;

    fn open() -> OneStore<SqliteStore, impl AsyncFn(SqliteStore) -> SqliteStore> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        OneStore {
            store: crate::kit::open(&folder, 2),
            restart: async move |store: SqliteStore| {
                store.close().await;
                drop(store);
                crate::kit::open(&folder, 2)
            },
        }
    }

    cqrs_core::one_store_contract!(open());
}

mod all_from_the_file {
    fn open() -> cqrs_sqlite::SqliteStore {
        let fixture = crate::kit::from_the_file();
        // The store outlives this function, so its folder must.
        let _ = fixture.folder.keep();
        fixture.store
    }

    cqrs_core::event_log_contract!(open());
}

mod four_partitions {
    use super::open;

    cqrs_core::event_log_contract!(open(4));
}
