//! The tables are emptied, or an older copy is put in their place, while the process runs on.

use cqrs_core::MemoryStore;
use cqrs_core::testing::contract::{TwoStores, races};
use cqrs_mssql::{MssqlIntents, MssqlPool, SchemaName};
use tokio::runtime::Handle;
use tokio::task::block_in_place;

use crate::kit::{intents, options, raw, server};
use crate::link::Link;

const TABLES: [&str; 5] = ["commands", "intents", "held", "wanted", "folded"];

fn stores() -> TwoStores<MemoryStore, MssqlIntents> {
    TwoStores {
        log: MemoryStore::new(2),
        intents: intents(),
        spare: intents(),
    }
}

/// `sql` for each table of the ledger, in one transaction.
fn change(intents: &MssqlIntents, sql: &str) {
    let schema: &SchemaName = intents.pool().options().schema();
    let each = TABLES.map(|table| {
        let sql = sql.replace("{table}", table);
        sql.replace("{schema}", schema.as_str())
    });
    let sql = format!(
        "SET XACT_ABORT ON; BEGIN TRANSACTION; {} COMMIT;",
        each.concat()
    );
    block_in_place(|| Handle::current().block_on(raw(&sql)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MSSQL_URL"]
async fn a_ledger_wiped_under_a_running_process_is_made_whole() {
    let wipe = |intents: &MssqlIntents| change(intents, "DELETE FROM {schema}.{table};");
    races::a_ledger_is_lost_under_a_running_process(stores(), |_| {}, wipe).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MSSQL_URL"]
async fn a_ledger_restored_under_a_running_process_is_made_whole() {
    let keep = |intents: &MssqlIntents| {
        change(
            intents,
            "SELECT * INTO {schema}.kept_{table} FROM {schema}.{table};",
        );
    };
    let restore = |intents: &MssqlIntents| {
        change(
            intents,
            "DELETE FROM {schema}.{table};
             INSERT INTO {schema}.{table} SELECT * FROM {schema}.kept_{table};",
        );
    };
    races::a_ledger_is_lost_under_a_running_process(stores(), keep, restore).await;
}

/// As where the database is made anew: whoever is connected is thrown out, and the next one makes the tables.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MSSQL_URL"]
async fn a_database_made_anew_under_a_running_process_is_made_whole() {
    let link = Link::to(server()).await;
    let (address, options) = (link.address, options());
    let options = options.with_address(&address.ip().to_string(), address.port());
    let stores = TwoStores {
        intents: MssqlIntents::new(MssqlPool::new(options)),
        ..stores()
    };
    let make_anew = |intents: &MssqlIntents| {
        change(intents, "DROP TABLE {schema}.{table};");
        let versions = format!("DROP TABLE {}.version;", intents.pool().options().schema());
        block_in_place(|| {
            Handle::current().block_on(async {
                raw(&versions).await;
                link.cut().await;
            });
        });
    };
    races::a_ledger_is_lost_under_a_running_process(stores, |_| {}, make_anew).await;
}
