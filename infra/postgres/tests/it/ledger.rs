//! The ledger keeps the contract of its trait, and P4 and P5 whatever stops where.

use cqrs_core::testing::InstantTimer;
use cqrs_core::testing::contract::TwoStores;
use cqrs_core::{CommandClaims, Coordinator, CoordinatorOptions, LedgerFold, MemoryStore};
use cqrs_postgres::PgIntents;
use uuid::Uuid;

use crate::kit::{pool, prefix};

fn intents() -> PgIntents {
    PgIntents::new(pool(), prefix())
}

fn stores() -> TwoStores<MemoryStore, PgIntents> {
    TwoStores {
        log: MemoryStore::new(2),
        intents: intents(),
        spare: intents(),
    }
}

fn coordinator() -> Coordinator<MemoryStore, PgIntents, InstantTimer> {
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

    cqrs_core::intent_store_contract!(intents(), ignore = "needs POSTGRES_URL");
}

mod coordinated {
    use super::{coordinator, stores};

    cqrs_core::ledger_contract!(coordinator(), ignore = "needs POSTGRES_URL");
    cqrs_core::two_stores_contract!(stores(), ignore = "needs POSTGRES_URL");
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn the_schema_is_made_once_and_its_version_recorded() {
    let (pool, schema) = (pool(), prefix());
    let ledgers: Vec<_> = (0..4)
        .map(|_| PgIntents::new(pool.clone(), schema.clone()))
        .collect();
    let used = futures_util::future::join_all(ledgers.iter().map(LedgerFold::checkpoints)).await;
    assert!(used.iter().all(Result::is_ok), "{used:?}");
    assert!(ledgers[0].session() > 0);
    let client = pool.get().await.unwrap();
    let version = format!("SELECT version FROM {schema}.schema_version");
    let rows = client.query(&version, &[]).await.unwrap();
    assert_eq!(rows.iter().map(|row| row.get(0)).collect::<Vec<i32>>(), [1]);

    let newer = format!("INSERT INTO {schema}.schema_version VALUES (1000)");
    client.batch_execute(&newer).await.unwrap();
    let refused = PgIntents::new(pool, schema).checkpoints().await;
    assert!(refused.is_err(), "a newer schema is left alone");
}
