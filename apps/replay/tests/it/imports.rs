//! An embedded installation becomes a distributed one.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use cqrs_core::{
    Coordinator, CoordinatorOptions, ExecutorOptions, Partition, Position, ReadLog, RecordedCommit,
    TailLog,
};
use cqrs_mongo::MongoStore;
use cqrs_postgres::PgIntents;
use cqrs_sqlite::{SqliteLogFile, SqliteOptions, SqliteStore};
use serde_json::{Value, json};
use social_api::{App, Authentication, CommandEdge, SocialCommands, TokioTimer};
use social_service::transfer::{Header, commit_line};
use tempfile::TempDir;
use uuid::Uuid;

use crate::kit::Installation;

fn record(actor: &str, id: u128, kind: &str, data: &Value) -> Vec<u8> {
    let id = Uuid::from_u128(id);
    let record = json!({"actor": actor, "type": kind, "id": id, "data": data});
    record.to_string().into_bytes()
}

/// Commands under keys: authors, posts, likes.
fn records() -> Vec<Vec<u8>> {
    let mut records = Vec::new();
    for n in 0..40_u128 {
        let (actor, post) = (format!("actor-{n}"), Uuid::from_u128(n + 1));
        let profile = json!({"handle": format!("handle_{n}"), "display_name": "A"});
        records.push(record(&actor, 3 * n, "RegisterAuthor", &profile));
        let created = json!({"id": post, "message": "é, \"quoted\""});
        records.push(record(&actor, 3 * n + 1, "CreatePost", &created));
        let liked = json!({"post_id": Uuid::from_u128(1)});
        records.push(record(&actor, 3 * n + 2, "LikePost", &liked));
    }
    records
}

async fn answers(edge: &CommandEdge<impl SocialCommands>, records: &[Vec<u8>]) -> Vec<Value> {
    let mut answers = Vec::new();
    for record in records {
        answers.push(edge.reply(record, None).await.value);
    }
    answers
}

/// An embedded store with a history: its answers, and its export.
async fn embedded(folder: &Path) -> (Vec<Value>, Vec<u8>) {
    let file = folder.join("social.db");
    let store = SqliteStore::open(&file, SqliteOptions::default()).unwrap();
    let app = App::new(store.clone(), store.clone(), ExecutorOptions::default());
    let edge = CommandEdge {
        mediator: Arc::new(social_api::mediator(app, store.clone())),
        authentication: Authentication::Off,
        namespace: store.namespace(),
    };
    let answers = answers(&edge, &records()).await;
    // Beside whoever has the store open.
    let log = SqliteLogFile::open(&file).unwrap();
    let mut export = Vec::new();
    let header = Header::new(log.store_id(), log.namespace(), log.heads().unwrap());
    writeln!(export, "{}", header.to_line().unwrap()).unwrap();
    let all = log.read_partition(Partition::new(0), Position::START, usize::MAX);
    for commit in all.unwrap() {
        writeln!(export, "{}", commit_line(&commit).unwrap()).unwrap();
    }
    (answers, export)
}

/// The commands of a distributed installation, with a ledger that has seen nothing yet.
fn distributed(installation: &Installation, log: &MongoStore) -> CommandEdge<impl SocialCommands> {
    let prefix = cqrs_postgres::SchemaName::parse(&format!("l{}", installation.prefix)).unwrap();
    let coordinator = Coordinator::new(
        log.clone(),
        PgIntents::new(installation.models.pool().clone(), prefix),
        TokioTimer,
        Uuid::from_u128(1),
        CoordinatorOptions::default(),
    );
    let app = App::new(coordinator.clone(), log.clone(), ExecutorOptions::default());
    CommandEdge {
        mediator: Arc::new(social_api::mediator(app, coordinator)),
        authentication: Authentication::Off,
        namespace: log.namespace(),
    }
}

async fn commits(log: &MongoStore) -> Vec<RecordedCommit> {
    let mut all = Vec::new();
    for partition in Partition::all(log.partitions()) {
        let slice = log.read_partition(partition, Position::START, 9_999);
        all.extend(slice.await.unwrap());
    }
    all
}

fn written(folder: &TempDir, name: &str, bytes: &[u8]) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
async fn an_import_of_as_many_partitions_answers_old_keys_to_the_byte() {
    let folder = TempDir::new().unwrap();
    let (before, export) = embedded(folder.path()).await;
    let file = written(&folder, "export", &export);
    let installation = Installation::new(1);
    let told = installation.run(&["import", &file]).await.expect(0);
    assert!(
        told.contains("imported 120 commits into 1 partitions"),
        "{told}"
    );
    let log = installation.log().await;
    let edge = distributed(&installation, &log);
    assert_eq!(answers(&edge, &records()).await, before);
    assert_eq!(commits(&log).await.len(), 120, "nothing happened twice");
    let refused = installation.run(&["import", &file]).await;
    assert_eq!(refused.status, Some(1));
    assert!(
        refused.told.contains("holds a store already"),
        "{}",
        refused.told
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
async fn streams_that_are_spread_anew_keep_all_but_their_positions() {
    let folder = TempDir::new().unwrap();
    let (before, export) = embedded(folder.path()).await;
    let file = written(&folder, "export", &export);
    let installation = Installation::new(4);
    let told = installation.run(&["import", &file]).await.expect(0);
    assert!(told.contains("tokens of before say nothing"), "{told}");
    let log = installation.log().await;
    let edge = distributed(&installation, &log);
    let mut after = answers(&edge, &records()).await;
    let stored = commits(&log).await;
    assert_eq!(stored.len(), 120);
    for (before, after) in before.iter().zip(&mut after) {
        let at = after["position"].as_str().unwrap().parse().unwrap();
        let commit = stored.iter().find(|commit| commit.at == at).unwrap();
        assert_eq!(commit.version.get(), after["version"].as_u64().unwrap());
        after["position"] = before["position"].clone();
        assert_eq!(after, before);
    }
    // What was reserved is: the ledger is made whole from the log before it grants anything.
    let profile = json!({"handle": "HANDLE_7", "display_name": "B"});
    let thief = record("thief", 9_999, "RegisterAuthor", &profile);
    let thief = edge.reply(&thief, None).await;
    assert_eq!(thief.value["type"], "/problems/handle-taken");
    installation.live(&log).await;
    installation.run(&["verify"]).await.expect(0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs MONGODB_URI"]
async fn an_import_that_was_cut_off_is_no_store_until_the_rest_is_there() {
    let folder = TempDir::new().unwrap();
    let (_, export) = embedded(folder.path()).await;
    let cut = export
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n');
    let cut = cut.map(|(at, _)| at + 1).nth(50).unwrap();
    let (half, whole) = (
        written(&folder, "half", &export[..cut]),
        written(&folder, "whole", &export),
    );
    let installation = Installation::new(4);
    let refused = installation.run(&["import", &half]).await;
    assert_eq!(refused.status, Some(1));
    assert!(refused.told.contains("cut off"), "{}", refused.told);
    let uri = &installation.uri;
    let database = social_service::log_database(uri);
    let opened = MongoStore::open(cqrs_mongo::MongoOptions::new(uri, database)).await;
    let importing = matches!(opened, Err(cqrs_mongo::OpenError::Importing { .. }));
    assert!(importing, "{opened:?}");

    // Another store's history is not mixed with it.
    let other = TempDir::new().unwrap();
    let (_, export) = embedded(other.path()).await;
    let foreign = written(&folder, "foreign", &export);
    let refused = installation.run(&["import", &foreign]).await;
    assert_eq!(refused.status, Some(1));

    let told = installation.run(&["import", &whole]).await.expect(0);
    assert!(told.contains("imported 120 commits"), "{told}");
    assert_eq!(commits(&installation.log().await).await.len(), 120);
}
