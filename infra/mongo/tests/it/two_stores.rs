//! P4 and P5 with this log and a ledger of another engine beside it, whatever stops where.

use std::time::Duration;

use cqrs_core::testing::InstantTimer;
use cqrs_core::testing::contract::TwoStores;
use cqrs_core::testing::contract::crowds::{Crowd, race};
use cqrs_core::{Coordinator, CoordinatorOptions, IntentStore};
use cqrs_mongo::MongoStore;
use cqrs_mssql::{MssqlIntents, MssqlOptions, MssqlPool};
use cqrs_postgres::{PgIntents, PgOptions};
use uuid::Uuid;

use crate::kit::open;

/// The name of a schema that no other test has.
fn schema() -> String {
    format!("t{:016x}", getrandom::u64().unwrap())
}

fn on_postgres() -> PgIntents {
    let url = std::env::var("POSTGRES_URL").expect("this test needs POSTGRES_URL");
    let pool = PgOptions::parse(&url).unwrap().pool().unwrap();
    PgIntents::new(pool, cqrs_postgres::SchemaName::parse(&schema()).unwrap())
}

fn on_mssql() -> MssqlIntents {
    // However busy the machine is that runs server and tests.
    const PATIENCE: Duration = Duration::from_secs(120);
    let url = std::env::var("MSSQL_URL").expect("this test needs MSSQL_URL");
    let schema = cqrs_mssql::SchemaName::parse(&schema()).unwrap();
    let mut options = MssqlOptions::parse(&url).unwrap().with_schema(schema);
    options.wait_timeout = PATIENCE;
    options.connect_timeout = PATIENCE;
    options.call_timeout = PATIENCE;
    options.max_connections = 4;
    MssqlIntents::new(MssqlPool::new(options))
}

async fn stores<I: IntentStore>(intents: fn() -> I) -> TwoStores<MongoStore, I> {
    TwoStores {
        log: open(2).await,
        intents: intents(),
        spare: intents(),
    }
}

async fn coordinator<I: IntentStore>(
    intents: fn() -> I,
) -> Coordinator<MongoStore, I, InstantTimer> {
    Coordinator::new(
        open(2).await,
        intents(),
        InstantTimer,
        Uuid::from_u128(1),
        CoordinatorOptions::default(),
    )
}

mod beside_postgres {
    use super::{coordinator, on_postgres, stores};

    cqrs_core::ledger_contract!(
        coordinator(on_postgres).await,
        ignore = "needs MONGODB_URI and POSTGRES_URL"
    );
    cqrs_core::two_stores_contract!(
        stores(on_postgres).await,
        ignore = "needs MONGODB_URI and POSTGRES_URL"
    );
}

mod beside_mssql {
    use super::{coordinator, on_mssql, stores};

    cqrs_core::ledger_contract!(
        coordinator(on_mssql).await,
        ignore = "needs MONGODB_URI and MSSQL_URL"
    );
    cqrs_core::two_stores_contract!(
        stores(on_mssql).await,
        ignore = "needs MONGODB_URI and MSSQL_URL"
    );
}

/// Of any size: `CQRS_RACE=10000x1000` are 10,000 registrations of 1,000 names; small without.
#[tokio::test]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
async fn a_race_of_any_size() {
    let size = std::env::var("CQRS_RACE").unwrap_or_else(|_| "200x40".to_owned());
    let crowd = Crowd::parse(&size).expect("CQRS_RACE is REGISTRATIONSxNAMES");
    race(stores(on_postgres).await, crowd).await;
}
