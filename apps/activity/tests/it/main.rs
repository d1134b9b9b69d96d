//! The real binary on real engines: what it makes of a topic, whenever it joins.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use serde_json::{Value, json};
use social_domain::{CommentAdded, CommentRemoved, PostCreated, PostDeleted, PostUnliked};
use social_test_kit::{Client, Process, command, get, stderr, until};
use uuid::Uuid;

use crate::support::{World, liked};

const BINARY: &str = env!("CARGO_BIN_EXE_activity");

fn list(client: &mut Client, actor: &str, query: &str) -> Value {
    let path = format!("/v1/activity/{actor}{query}");
    client.send(&get(&path)).expect(200).value()
}

/// The entries of `actor`, once there are `count`.
fn entries(process: &Process, actor: &str, count: usize) -> Vec<Value> {
    let mut client = process.client();
    until(|| {
        let items = list(&mut client, actor, "?limit=100")["items"].clone();
        let items = items.as_array().unwrap().clone();
        match items.len() == count {
            true => Ok(items),
            false => Err(format!("{} of {count} entries", items.len())),
        }
    })
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS and POSTGRES_URL"]
async fn an_author_is_told_what_happened_to_their_posts_by_one_that_joins_late() {
    let mut world = World::new(2).await;
    let (post, other, comment) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    let message = || "hi".to_owned();
    let created = |author: &str| PostCreated {
        author: author.to_owned(),
        message: message(),
    };
    world.happen("ada", post, created("ada"));
    world.happen("bob", other, created("bob"));
    world.happen("bob", post, liked("bob"));
    let author = "cyd".to_owned();
    let added = CommentAdded {
        comment_id: comment,
        author,
        message: message(),
    };
    world.happen("cyd", post, added);
    world.happen("ada", other, liked("ada"));
    world.publish().await;
    // Everything was there before it joined.
    let activity = world.start();
    let items = entries(&activity, "ada", 2);
    assert_eq!(items[0]["kind"], "commented");
    assert_eq!(items[0]["comment"], json!(comment));
    assert_eq!(
        items[1],
        json!({
            "kind": "liked", "post": post, "comment": null, "actor": "bob", "at": items[1]["at"],
        })
    );
    assert_eq!(entries(&activity, "bob", 1)[0]["post"], json!(other));
    // And it goes on.
    world.happen(
        "bob",
        post,
        PostUnliked {
            actor: "bob".to_owned(),
        },
    );
    world.happen(
        "ada",
        post,
        CommentRemoved {
            comment_id: comment,
        },
    );
    world.happen("ada", post, PostDeleted {});
    world.publish().await;
    let items = entries(&activity, "ada", 4);
    let kinds: Vec<_> = items.iter().map(|i| i["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["comment-removed", "unliked", "commented", "liked"]);
    assert_eq!(items[0]["actor"], "ada");
    assert_eq!(
        list(&mut activity.client(), "nobody", "")["items"],
        json!([])
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS and POSTGRES_URL"]
async fn each_event_counts_once_whatever_repeats_and_whoever_dies() {
    let mut world = World::new(4).await;
    let mut first = world.start();
    let mut second = world.start();
    let posts: Vec<Uuid> = (1..=8).map(Uuid::from_u128).collect();
    for post in &posts {
        let author = "ada".to_owned();
        let message = "hi".to_owned();
        world.happen("ada", *post, PostCreated { author, message });
    }
    for round in 0..6u32 {
        for post in &posts {
            world.happen("bob", *post, liked(&format!("liker-{round}")));
        }
        world.publish().await;
        // What was published before comes again, as after a relay's crash.
        world.publish_again(10).await;
        match round {
            1 => first.kill(),
            2 => first = world.start(),
            3 => assert_eq!(second.signal("TERM"), Some(0)),
            4 => second = world.start(),
            _ => {}
        }
    }
    let items = entries(&first, "ada", 48);
    assert_eq!(items, entries(&second, "ada", 48));
    // In pages it is the same list.
    let (mut walked, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = list(
            &mut second.client(),
            "ada",
            &format!("?limit=7&cursor={cursor}"),
        );
        walked.extend(page["items"].as_array().unwrap().clone());
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(walked, items);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS and POSTGRES_URL"]
async fn a_hole_stops_it_visibly() {
    let mut world = World::new(1).await;
    let post = Uuid::from_u128(1);
    let (author, message) = ("ada".to_owned(), "hi".to_owned());
    world.happen("ada", post, PostCreated { author, message });
    world.happen("bob", post, liked("bob"));
    world.publish().await;
    let activity = world.start();
    entries(&activity, "ada", 1);
    world.happen("cyd", post, liked("cyd"));
    world.lose();
    world.happen("dan", post, liked("dan"));
    world.publish().await;
    let mut client = activity.client();
    let report = until(|| {
        let answer = client.send(&get("/readyz"));
        match answer.status {
            503 => Ok(answer.value()),
            status => Err(format!("{status}")),
        }
    });
    assert_eq!(report["measures"]["stopped_partitions"], 1, "{report}");
    // Nothing after the hole was taken.
    entries(&activity, "ada", 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS and POSTGRES_URL"]
async fn what_cannot_be_asked_is_refused() {
    let activity = World::new(1).await.start();
    let mut client = activity.client();
    let refused = [
        ("/v1/activity/ADA", 400, "malformed-id"),
        ("/v1/activity/ada?limit=0", 400, "invalid-parameter"),
        ("/v1/activity/ada?cursor=x", 400, "invalid-parameter"),
        ("/v1/activity/ada?sort=top", 400, "invalid-parameter"),
        ("/v1/activity", 404, "unknown-route"),
    ];
    for (path, status, slug) in refused {
        client.send(&get(path)).expect_problem(status, slug);
    }
    client.send(&get("/livez")).expect(200);
    client.send(&get("/readyz")).expect(200);
    let metrics = client.send(&get("/metrics")).expect(200);
    let text = String::from_utf8(metrics.body).unwrap();
    assert!(text.contains("activity_parked_streams 0"), "{text}");
}

#[test]
fn without_engines_it_is_not_ready_and_ends_when_told() {
    let mut activity = Process::start(command(BINARY).envs([
        ("KAFKA_BROKERS", "127.0.0.1:1"),
        ("POSTGRES_URL", "postgres://nobody@127.0.0.1:1/none"),
    ]));
    let mut client = activity.client();
    client.send(&get("/livez")).expect(200);
    let report = client.send(&get("/readyz")).expect(503).value();
    assert_eq!(
        report["checks"],
        json!({"kafka": "down", "postgres": "down"})
    );
    let asked = client.send(&get("/v1/activity/ada"));
    asked.expect_problem(503, "store-unavailable");
    assert_eq!(activity.signal("TERM"), Some(0));
}

#[test]
fn all_mistakes_are_told_at_once_with_status_2() {
    let output = command(BINARY)
        .args(["--what", "hunter2"])
        .env("POSTGRES_URL", "hunter2")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    for key in ["KAFKA_BROKERS", "POSTGRES_URL", "--what"] {
        assert!(told.contains(key), "{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}
