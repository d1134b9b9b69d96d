//! What `/readyz` says when something is wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{
    Actor, AppendToLog, CommandId, Commit, CommitHeader, Encoding, Envelope, EventData, EventType,
    ExpectedVersion, Reservations, StreamName, Timestamp,
};
use cqrs_sqlite::{SqliteOptions, SqliteStore};
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use crate::server::Server;
use crate::{post, read};
use social_test_kit::{get, write};

/// Puts an event into the log that no codec of ours can read.
fn poison(data: &TempDir) {
    let id = Uuid::from_u128(7);
    let envelope = Envelope::new(
        CommandId::new(id),
        Actor::parse("ada").expect("an actor"),
        Timestamp::from_millis(0),
    );
    let commit = Commit {
        stream: StreamName::new("post", &id).expect("a name"),
        expected: ExpectedVersion::NoStream,
        header: CommitHeader::from(&envelope),
        events: vec![EventData {
            event_type: EventType::new("post-created", 1),
            encoding: Encoding::Json,
            payload: "{}".into(),
        }],
        reservations: Reservations::none(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    runtime.expect("a runtime").block_on(async {
        let file = data.path().join("social.db");
        let store = SqliteStore::open(file, SqliteOptions::default()).expect("a store");
        store.append(commit).await.expect("it is appended");
        store.close().await;
    });
}

#[test]
fn a_parked_stream_is_shown_and_takes_nothing_down() {
    let data = Arc::new(TempDir::new().expect("a directory"));
    poison(&data);
    let server = Server::start_in(data, &[]);
    let client = &mut server.client();
    // What comes after it is reflected: by then it is parked.
    let id = post(client, "ada", "hi");
    let path = format!("/v1/posts/{id}");
    let after = get(&path)
        .header("Consistency-Token", "0-2")
        .header("Prefer", "wait=30");
    client.send(&after).expect(200);
    let ready = client.send(&get("/readyz")).expect(200).value();
    assert_eq!(ready["status"], "degraded", "{ready}");
    assert_eq!(ready["checks"]["parked_streams"], "degraded");
    assert_eq!(
        ready["measures"],
        json!({"parked_streams": 1, "projection_lag": 0})
    );
    let metrics = client.send(&get("/metrics")).expect(200);
    let text = String::from_utf8(metrics.body).expect("UTF-8");
    assert!(text.contains("projection_parked_streams 1"), "{text}");
    // The parked commit itself counts as not reached.
    let parked = get(&path)
        .header("Consistency-Token", "0-1")
        .header("Prefer", "wait=0");
    client.send(&parked).expect_problem(503, "behind");
}

#[test]
fn a_store_that_cannot_be_written_is_not_ready_and_loses_nothing() {
    let data = Arc::new(TempDir::new().expect("a directory"));
    // No file may grow past 512 KiB; a write beyond fails, as on a full disk.
    let full = r#"trap "" XFSZ; ulimit -f 1024; exec "$0""#;
    let server = Server::start_by(full, Arc::clone(&data));
    let client = &mut server.client();
    let ready = client.send(&get("/readyz")).expect(200).value();
    assert_eq!(ready["status"], "ok");
    let text = "x".repeat(5_000);
    let create = write("ada", "POST", "/v1/posts", &json!({"message": text}));
    let mut created = Vec::new();
    let refused = loop {
        let answer = client.send(&create);
        match answer.status {
            201 => created.push(answer.id()),
            _ => break answer,
        }
    };
    assert!(refused.header("retry-after").is_some());
    refused.expect_problem(503, "store-unavailable");
    // The store is asked every other second; it may have been asked just before it broke.
    let begun = Instant::now();
    let ready = loop {
        let answer = client.send(&get("/readyz"));
        if answer.status == 503 {
            break answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "still ready");
        // A smaller group may still fit where a larger one did not.
        let answer = client.send(&create);
        match answer.status {
            201 => created.push(answer.id()),
            _ => drop(answer.expect(503)),
        }
    };
    assert!(ready.header("retry-after").is_some());
    assert_eq!(ready.value()["checks"]["store"], "down");
    client.send(&get("/livez")).expect(200);
    // Reads go on, and after it all that was acknowledged is there.
    client.send(&get("/v1/posts")).expect(200);
    drop(server);
    let server = Server::start_in(data, &[]);
    let client = &mut server.client();
    let token = format!("0-{}", created.len());
    for id in &created {
        let post: Value = read(client, &format!("/v1/posts/{id}"), &token);
        assert_eq!(post["message"], text);
    }
}
