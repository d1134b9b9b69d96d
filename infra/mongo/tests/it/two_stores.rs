//! P4 and P5 with this log and a ledger of another engine beside it, whatever stops where.

use cqrs_core::testing::InstantTimer;
use cqrs_core::testing::contract::TwoStores;
use cqrs_core::{Coordinator, CoordinatorOptions};
use cqrs_mongo::MongoStore;
use cqrs_postgres::{PgIntents, PgOptions, SchemaName};
use uuid::Uuid;

use crate::kit::open;

/// A ledger in a schema that no other test has.
fn intents() -> PgIntents {
    let url = std::env::var("POSTGRES_URL").expect("this test needs POSTGRES_URL");
    let pool = PgOptions::parse(&url).unwrap().pool().unwrap();
    let schema = format!("t{:016x}", getrandom::u64().unwrap());
    PgIntents::new(pool, SchemaName::parse(&schema).unwrap())
}

async fn stores() -> TwoStores<MongoStore, PgIntents> {
    TwoStores {
        log: open(2).await,
        intents: intents(),
        spare: intents(),
    }
}

async fn coordinator() -> Coordinator<MongoStore, PgIntents, InstantTimer> {
    Coordinator::new(
        open(2).await,
        intents(),
        InstantTimer,
        Uuid::from_u128(1),
        CoordinatorOptions::default(),
    )
}

mod beside_postgres {
    use super::{coordinator, stores};

    cqrs_core::ledger_contract!(
        coordinator().await,
        ignore = "needs MONGODB_URI and POSTGRES_URL"
    );
    cqrs_core::two_stores_contract!(
        stores().await,
        ignore = "needs MONGODB_URI and POSTGRES_URL"
    );
}
