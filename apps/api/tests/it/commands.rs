//! Commands on a log that stalls.

use std::sync::atomic::Ordering;
use std::time::Duration;

use cqrs_core::{ReadLog, StreamName, Version};

use crate::queries::Failing;
use crate::stage::Stage;

const POST: &str = "0190f3a2-7b1c-7e4d-9a55-3f2b8c6d1e01";
const CREATE: (&str, &str) = ("POST", "/v1/posts");
const LIKE: (&str, &str) = ("PUT", "/v1/posts/0190f3a2-7b1c-7e4d-9a55-3f2b8c6d1e01/like");

fn new_post() -> String {
    format!(r#"{{"id":"{POST}","message":"hi"}}"#)
}

async fn commits(stage: &Stage) -> usize {
    let stream = StreamName::new("post", &POST).unwrap();
    let read = stage.log.store.read_stream(&stream, Version::EMPTY, 100);
    read.await.unwrap().len()
}

#[tokio::test]
async fn past_a_stream_s_queue_nothing_happens() {
    let stage = Stage::start(2, Failing::Overloaded).await;
    let created = stage.send("ada", CREATE, "", &new_post()).await;
    created.expect(201);
    stage.arrived(1).await;
    stage.log.open.send_replace(false);
    let waiting = ["bob", "eve"].map(|actor| tokio::spawn(stage.send(actor, LIKE, "", "")));
    stage.arrived(2).await;
    let refused = stage.send("dan", LIKE, "", "").await;
    refused.expect_problem(503, "overloaded");
    stage.log.open.send_replace(true);
    for liked in waiting {
        liked.await.unwrap().expect(200);
    }
    assert_eq!(commits(&stage).await, 3);
    let liked = stage.send("dan", LIKE, "", "").await.expect(200);
    assert_eq!(liked.value()["version"], 4);
}

#[tokio::test]
async fn a_command_too_slow_to_finish_may_have_happened_and_its_key_tells() {
    let stage = Stage::start(1_024, Failing::Overloaded).await;
    stage.log.open.send_replace(false);
    let key = "Idempotency-Key: slow\r\n";
    let create = || stage.send("ada", CREATE, key, &new_post());
    let slow = tokio::spawn(create());
    stage.arrived(1).await;
    // Whatever is on its way is there; only the deadline is left to wait for.
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(25)).await;
    tokio::time::resume();
    let problem = slow.await.unwrap().expect_problem(503, "store-unavailable");
    assert_eq!(problem["detail"], "the command may have happened");
    // It still runs, for nobody.
    create().await.expect_problem(409, "in-progress");
    stage.log.open.send_replace(true);
    let answer = loop {
        let answer = create().await;
        if !answer.is(409) {
            break answer.expect(201);
        }
    };
    assert!(answer.has("idempotency-replayed: true"), "{answer:?}");
    assert_eq!(commits(&stage).await, 1);
}

#[tokio::test]
async fn a_command_that_loses_to_rivals_every_time_did_not_happen() {
    let stage = Stage::start(1_024, Failing::Overloaded).await;
    let created = stage.send("ada", CREATE, "", &new_post()).await;
    created.expect(201);
    stage.log.rival.store(true, Ordering::Relaxed);
    let lost = stage.send("bob", LIKE, "", "").await;
    lost.expect_problem(409, "conflict");
    assert_eq!(commits(&stage).await, 1);
    stage.log.rival.store(false, Ordering::Relaxed);
    stage.send("bob", LIKE, "", "").await.expect(200);
    assert_eq!(commits(&stage).await, 2);
}
