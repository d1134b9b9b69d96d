//! The ledger keeps the contract of its trait, and P4 and P5 whatever stops where.

use cqrs_core::testing::InstantTimer;
use cqrs_core::testing::contract::TwoStores;
use cqrs_core::{Coordinator, CoordinatorOptions, MemoryStore};
use cqrs_mssql::MssqlIntents;
use uuid::Uuid;

use crate::kit::intents;

fn stores() -> TwoStores<MemoryStore, MssqlIntents> {
    TwoStores {
        log: MemoryStore::new(2),
        intents: intents(),
        spare: intents(),
    }
}

fn coordinator() -> Coordinator<MemoryStore, MssqlIntents, InstantTimer> {
    Coordinator::new(
        MemoryStore::new(2),
        intents(),
        InstantTimer,
        Uuid::from_u128(1),
        CoordinatorOptions::default(),
    )
}

mod contract {
    use super::intents;

    cqrs_core::intent_store_contract!(intents(), ignore = "needs MSSQL_URL");
}

mod coordinated {
    use super::{coordinator, stores};

    cqrs_core::ledger_contract!(coordinator(), ignore = "needs MSSQL_URL");
    cqrs_core::two_stores_contract!(stores(), ignore = "needs MSSQL_URL");
}
