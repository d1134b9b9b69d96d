//! Database and tables are made by whoever comes first, and left alone by those who are too old for them.

use cqrs_core::LedgerFold;
use cqrs_mssql::{ConnectError, MssqlIntents, MssqlPool};
use futures_util::future::join_all;

use crate::kit::{PATIENCE, elsewhere, options, raw, try_raw};

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn several_processes_make_the_tables_at_once() {
    let options = options();
    let ledgers: Vec<_> = (0..6)
        .map(|_| MssqlIntents::new(MssqlPool::new(options.clone())))
        .collect();
    for used in join_all(ledgers.iter().map(LedgerFold::checkpoints)).await {
        assert_eq!(used.unwrap(), []);
    }
    let select = format!("SELECT version FROM {}.version", options.schema());
    let rows = raw(&select).await;
    let versions: Vec<i32> = rows.iter().map(|row| row.get(0).unwrap()).collect();
    assert_eq!(versions, [1]);
}

#[tokio::test]
#[ignore = "needs MSSQL_URL"]
async fn tables_of_a_later_version_are_left_alone() {
    let options = options();
    MssqlPool::new(options.clone()).check().await.unwrap();
    let later = format!(
        "INSERT INTO {}.version (version, made) VALUES (1000, SYSUTCDATETIME())",
        options.schema()
    );
    raw(&later).await;
    let refused = MssqlPool::new(options).check().await.unwrap_err();
    let refused = refused
        .source()
        .and_then(|e| e.downcast_ref::<ConnectError>());
    assert!(
        matches!(
            refused,
            Some(ConnectError::TooNew {
                found: 1000,
                known: 1
            })
        ),
        "{refused:?}"
    );
}

fn random_name() -> String {
    format!("t{:016x}", getrandom::u64().unwrap())
}

#[tokio::test]
#[ignore = "needs MSSQL_URL, of somebody who may make databases"]
async fn a_database_that_is_missing_is_made() {
    let name = random_name();
    let rivals: Vec<_> = (0..3)
        .map(|_| MssqlIntents::new(MssqlPool::new(elsewhere(&name, None))))
        .collect();
    for used in join_all(rivals.iter().map(LedgerFold::checkpoints)).await {
        assert_eq!(used.unwrap(), []);
    }
    drop(rivals);
    let dropped = async {
        // The server has yet to notice that the connections are gone.
        while try_raw(&format!("DROP DATABASE {name}")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, dropped).await.unwrap();
}

#[tokio::test]
#[ignore = "needs MSSQL_URL, of somebody who may make logins"]
async fn a_database_that_cannot_be_made_is_named() {
    let (name, user) = (random_name(), random_name());
    let password = format!("A1-{}", random_name());
    raw(&format!("CREATE LOGIN {user} WITH PASSWORD = '{password}'")).await;
    let pool = MssqlPool::new(elsewhere(&name, Some((&user, &password))));
    let refused = pool.check().await.unwrap_err();
    let told = refused
        .source()
        .and_then(|e| e.downcast_ref::<ConnectError>());
    assert!(
        matches!(told, Some(ConnectError::Database { name: told, .. }) if *told == name),
        "{refused:?}"
    );
    drop(pool);
    let dropped = async {
        while try_raw(&format!("DROP LOGIN {user}")).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, dropped).await.unwrap();
}
