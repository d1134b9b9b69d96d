//! The real binary on PostgreSQL: it answers what the read model says, and waits for what was demanded.
#![expect(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

use cqrs_core::Actor;
use serde_json::json;
use social_domain::{CommentAdded, PostCreated, PostDeleted, PostLiked};
use social_read_model::{AuthorKey, PageRequest, PostFilter, SocialQueries, Tokens};
use social_test_kit::{Process, command, get, stderr, until};
use uuid::Uuid;

use crate::support::World;

const BINARY: &str = env!("CARGO_BIN_EXE_query-api");

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs POSTGRES_URL"]
async fn answers_are_those_of_the_read_model() {
    let mut world = World::with_read_model(2).await;
    let (post, gone, comment) = (Uuid::from_u128(1), Uuid::from_u128(2), Uuid::from_u128(3));
    let created = |author: &str| PostCreated {
        author: author.to_owned(),
        message: "hi".to_owned(),
    };
    let added = CommentAdded {
        comment_id: comment,
        author: "bob".to_owned(),
        message: "ho".to_owned(),
    };
    let liked = PostLiked {
        actor: "cyd".to_owned(),
    };
    let first = world.happen("ada", post, created("ada"));
    world.happen("bob", post, added);
    world.happen("ada", gone, created("ada"));
    let last = world.happen("cyd", post, liked);
    let deleted = world.happen("ada", gone, PostDeleted {});
    world.apply().await;

    let process = world.start();
    let mut client = process.client();
    let tokens = Tokens::from(vec![first, last, deleted]);
    let header = format!("{first},{last},{deleted}");
    let mut ask = |path: &str, status: u16| {
        let request = get(path).header("Consistency-Token", &header);
        client.send(&request).expect(status)
    };
    let (queries, page) = (world.queries(), PageRequest::default());
    let view = queries.post(post, &tokens).await.unwrap();
    assert_eq!((view.like_count, view.comment_count), (1, 1));
    assert_eq!(ask(&format!("/v1/posts/{post}"), 200).value(), json!(view));
    let posts = queries.posts(&PostFilter::default(), &page, &tokens).await;
    assert_eq!(ask("/v1/posts", 200).value(), json!(posts.unwrap()));
    let comments = queries.comments(post, &page, &tokens).await.unwrap();
    let path = format!("/v1/posts/{post}/comments");
    assert_eq!(ask(&path, 200).value(), json!(comments));
    let found = queries.comment(post, comment, &tokens).await.unwrap();
    assert_eq!(ask(&format!("{path}/{comment}"), 200).value(), json!(found));
    let likes = queries.likes(post, &page, &tokens).await.unwrap();
    let path = format!("/v1/posts/{post}/likes");
    assert_eq!(ask(&path, 200).value(), json!(likes));
    let key = AuthorKey::Actor(Actor::parse("ada").unwrap());
    let author = queries.author(&key, &tokens).await.unwrap();
    assert_eq!(ask("/v1/authors/ada", 200).value(), json!(author));
    ask(&format!("/v1/posts/{gone}"), 410).expect_problem(410, "post-deleted");
    // It takes no commands.
    let written = client.send(&social_test_kit::write(
        "ada",
        "POST",
        "/v1/posts",
        &json!({}),
    ));
    written.expect_problem(405, "method-not-allowed");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs POSTGRES_URL"]
async fn a_token_is_waited_for_and_never_answered_stale() {
    let mut world = World::with_read_model(1).await;
    let process = world.start();
    let post = Uuid::from_u128(1);
    let (author, message) = ("ada".to_owned(), "hi".to_owned());
    let token = world.happen("ada", post, PostCreated { author, message });
    let path = format!("/v1/posts/{post}");
    let demand = |wait: &str, token: &str| {
        get(&path)
            .header("Consistency-Token", token)
            .header("Prefer", wait)
    };
    let token = token.to_string();
    let behind = process.send(&demand("wait=0", &token));
    assert!(behind.header("retry-after").is_some());
    behind.expect_problem(503, "behind");
    process
        .send(&demand("wait=0", "7-1"))
        .expect_problem(400, "invalid-value");
    // Without a token the answer is that of now; position 0 is always there.
    process
        .send(&get(&path))
        .expect_problem(404, "post-not-found");
    process
        .send(&demand("wait=0", "0-0"))
        .expect_problem(404, "post-not-found");
    // One that waits is let go when it is there.
    let waiting = {
        let (request, mut client) = (demand("wait=30", &token), process.client());
        std::thread::spawn(move || client.send(&request))
    };
    world.apply().await;
    assert_eq!(waiting.join().unwrap().expect(200).value()["version"], 1);
    // Written, then read: never the state before.
    for likes in 1..=100 {
        let actor = format!("liker-{likes}");
        let token = world.happen("bob", post, PostLiked { actor });
        let waiting = {
            let (request, mut client) = (demand("wait=30", &token.to_string()), process.client());
            std::thread::spawn(move || client.send(&request))
        };
        world.apply().await;
        let view = waiting.join().unwrap().expect(200).value();
        assert_eq!(view["like_count"], likes);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs POSTGRES_URL"]
async fn before_there_is_a_read_model_it_is_not_ready_and_then_it_is() {
    let world = World::new(1);
    let process = world.start();
    let mut client = process.client();
    client.send(&get("/readyz")).expect(503);
    let answer = client.send(&get("/v1/posts"));
    answer.expect_problem(503, "store-unavailable");
    world.open().await;
    until(|| match client.send(&get("/readyz")).status {
        200 => Ok(()),
        status => Err(format!("{status}")),
    });
    assert_eq!(
        client.send(&get("/v1/posts")).expect(200).value()["items"],
        json!([])
    );
    let metrics = client.send(&get("/metrics")).expect(200);
    assert!(
        String::from_utf8(metrics.body)
            .unwrap()
            .contains("http_requests_total")
    );
}

#[test]
fn without_postgres_it_is_not_ready_and_ends_when_told() {
    let mut command = command(BINARY);
    command.env("POSTGRES_URL", "postgres://nobody@127.0.0.1:1/none");
    let mut process = Process::start(&mut command);
    let mut client = process.client();
    client.send(&get("/livez")).expect(200);
    client.send(&get("/readyz")).expect(503);
    let answer = client.send(&get("/v1/posts"));
    assert!(answer.header("retry-after").is_some());
    answer.expect_problem(503, "store-unavailable");
    assert_eq!(process.signal("TERM"), Some(0));
}

#[test]
fn all_mistakes_are_told_at_once_with_status_2() {
    let output = command(BINARY)
        .args(["--what", "hunter2", "--listen", "hunter2"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    for key in ["POSTGRES_URL", "SOCIAL_LISTEN", "--what"] {
        assert!(told.contains(key), "{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}
