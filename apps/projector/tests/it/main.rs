//! The real binary on real engines: what it makes of a topic, of its holes, and of what it cannot read.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;
mod versions;

use serde_json::json;
use social_domain::{PostCreated, PostLiked};
use social_test_kit::{Process, command, get, stderr};
use uuid::Uuid;

use crate::support::{World, metric, soon};

const BINARY: &str = env!("CARGO_BIN_EXE_projector");

pub(crate) fn created() -> PostCreated {
    PostCreated {
        author: "ada".to_owned(),
        message: "hi".to_owned(),
    }
}

pub(crate) fn liked(by: u128) -> PostLiked {
    PostLiked {
        actor: format!("liker-{by}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
async fn what_is_published_is_applied_and_told() {
    let mut world = World::new().await;
    let posts: Vec<Uuid> = (1..=20).map(Uuid::from_u128).collect();
    for post in &posts {
        world.happen("ada", *post, created()).await;
    }
    world.publish().await;
    let projector = world.start();
    let mut client = projector.client();
    for post in &posts {
        let at = world.happen("bob", *post, liked(1)).await;
        world.publish().await;
        assert_eq!(world.post(*post, at).await.like_count, 1);
    }
    metric(&mut client, "projector_lag{version=\"1\"} 0").await;
    metric(&mut client, "projector_position{version=\"1\"} 40").await;
    metric(&mut client, "projector_events_total{version=\"1\"} 40").await;
    client.send(&get("/livez")).expect(200);
    let report = client.send(&get("/readyz")).expect(200).value();
    assert_eq!(report["status"], "ok", "{report}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
async fn several_that_join_leave_and_die_count_every_event_once() {
    let mut world = World::new().await;
    let posts: Vec<Uuid> = (1..=16).map(Uuid::from_u128).collect();
    let mut last = Vec::new();
    for post in &posts {
        last.push(world.happen("ada", *post, created()).await);
    }
    let mut projectors = vec![world.start()];
    for round in 0..8 {
        for (post, last) in posts.iter().zip(&mut last) {
            *last = world.happen("bob", *post, liked(round)).await;
        }
        world.publish().await;
        match round {
            0 | 1 => projectors.push(world.start()),
            2 => projectors[0].kill(),
            3 => projectors[0] = world.start(),
            4 => assert_eq!(projectors[1].signal("TERM"), Some(0)),
            5 => projectors[2].kill(),
            6 => projectors[1] = world.start(),
            _ => {}
        }
    }
    for (post, last) in posts.iter().zip(&last) {
        assert_eq!(world.post(*post, *last).await.like_count, 8);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
async fn a_hole_is_filled_from_the_log() {
    let mut world = World::new().await;
    let post = Uuid::from_u128(1);
    world.happen("ada", post, created()).await;
    world.publish().await;
    let projector = world.start();
    world.happen("bob", post, liked(1)).await;
    world.lose().await;
    let last = world.happen("bob", post, liked(2)).await;
    world.publish().await;
    assert_eq!(world.post(post, last).await.like_count, 2);
    projector.send(&get("/readyz")).expect(200);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
async fn what_cannot_be_read_parks_its_stream_and_is_told() {
    let mut world = World::new().await;
    let (bad, good) = (Uuid::from_u128(1), Uuid::from_u128(2));
    world.happen("ada", bad, created()).await;
    world.happen_unreadably(bad).await;
    world.happen("bob", bad, liked(1)).await;
    world.happen("ada", good, created()).await;
    let last = world.happen("bob", good, liked(1)).await;
    world.publish().await;
    let projector = world.start();
    assert_eq!(world.post(good, last).await.like_count, 1);
    let mut client = projector.client();
    metric(&mut client, "projector_parked_streams{version=\"1\"} 1").await;
    // Worse, and no reason to get no requests.
    let report = client.send(&get("/readyz")).expect(200).value();
    assert_eq!(report["status"], "degraded", "{report}");
    assert_eq!(report["measures"]["parked_streams"], 1);
}

#[test]
fn without_engines_it_is_not_ready_and_ends_when_told() {
    let mut command = command(BINARY);
    command
        .env("KAFKA_BROKERS", "127.0.0.1:1")
        .env("POSTGRES_URL", "postgres://nobody@127.0.0.1:1/none")
        .env(
            "MONGODB_URI",
            "mongodb://127.0.0.1:1/?directConnection=true",
        );
    let mut projector = Process::start(&mut command);
    let mut client = projector.client();
    client.send(&get("/livez")).expect(200);
    let report = client.send(&get("/readyz")).expect(503).value();
    for engine in ["kafka", "mongodb", "postgres"] {
        assert_eq!(report["checks"][engine], json!("down"), "{report}");
    }
    assert_eq!(projector.signal("TERM"), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
async fn without_the_log_it_projects_and_says_that_it_is_away() {
    let mut world = World::new().await;
    let post = Uuid::from_u128(1);
    let at = world.happen("ada", post, created()).await;
    world.publish().await;
    let mut command = world.command();
    command.env(
        "MONGODB_URI",
        "mongodb://127.0.0.1:1/?directConnection=true",
    );
    let projector = Process::start(&mut command);
    assert_eq!(world.post(post, at).await.version, 1);
    let mut client = projector.client();
    soon(async || {
        let report = client.send(&get("/readyz")).expect(503).value();
        let down = |name: &str| report["checks"][name] == "down";
        match down("mongodb") && !down("postgres") && !down("kafka") {
            true => Ok(()),
            false => Err(report.to_string()),
        }
    })
    .await;
}

#[test]
fn all_mistakes_are_told_at_once_with_status_2() {
    let output = command(BINARY)
        .args(["--what", "hunter2"])
        .env("POSTGRES_URL", "hunter2")
        .env("SOCIAL_PARTITIONS", "0")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    for key in [
        "KAFKA_BROKERS",
        "POSTGRES_URL",
        "MONGODB_URI",
        "SOCIAL_PARTITIONS",
        "--what",
    ] {
        assert!(told.contains(key), "{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}
