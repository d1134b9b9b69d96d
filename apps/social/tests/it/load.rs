//! Many clients at once: no conflict reaches one of them, and counts are exact.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::Server;
use crate::{read, uuid};
use social_test_kit::write;

const CLIENTS: u128 = 64;
const WRITES: u64 = 10;

/// Every client comments, and likes, on the post that `post_of` gives it; all must be accepted.
fn load(server: &Server, post_of: impl Fn(u128) -> u128 + Sync) -> String {
    let tokens: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let post_of = &post_of;
                scope.spawn(move || {
                    let mut client = server.client();
                    let actor = format!("client-{number}");
                    let path = format!("/v1/posts/{}", uuid(post_of(number)));
                    let like = write(&actor, "PUT", &format!("{path}/like"), &Value::Null);
                    client.send(&like).expect(200);
                    let body = json!({"message": "yes"});
                    let comment = write(&actor, "POST", &format!("{path}/comments"), &body);
                    let mut token = String::new();
                    for _ in 0..WRITES {
                        token = client.send(&comment).expect(201).token();
                    }
                    token
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("a client ends"))
            .collect()
    });
    tokens.join(",")
}

fn create(server: &Server, posts: impl Iterator<Item = u128>) {
    let mut client = server.client();
    for number in posts {
        let body = json!({"id": uuid(number), "message": "hi"});
        client
            .send(&write("ada", "POST", "/v1/posts", &body))
            .expect(201);
    }
}

#[test]
fn clients_on_distinct_posts_all_get_through() {
    let server = Server::start();
    create(&server, 0..CLIENTS);
    let token = load(&server, |client| client);
    let mut client = server.client();
    for number in 0..CLIENTS {
        let post = read(&mut client, &format!("/v1/posts/{}", uuid(number)), &token);
        assert_eq!(
            (
                &post["comment_count"],
                &post["like_count"],
                &post["version"]
            ),
            (&json!(WRITES), &json!(1), &json!(WRITES + 2))
        );
    }
}

#[test]
fn clients_on_one_post_all_get_through() {
    let server = Server::start();
    create(&server, 0..1);
    let token = load(&server, |_| 0);
    let post = read(
        &mut server.client(),
        &format!("/v1/posts/{}", uuid(0)),
        &token,
    );
    let clients = u64::try_from(CLIENTS).expect("few");
    assert_eq!(post["comment_count"], json!(clients * WRITES));
    assert_eq!(post["like_count"], json!(clients));
    assert_eq!(post["version"], json!(1 + clients * (WRITES + 1)));
}

/// The hot post becomes a batch, not a queue of single writes: both are measured on one server, turn by turn,
/// and each by its best round, since whatever else the machine does only ever slows a round down.
#[test]
fn one_post_takes_at_least_half_of_what_distinct_posts_take() {
    const ROUNDS: u128 = 10;
    let server = Server::start();
    let timed = |post_of: &(dyn Fn(u128) -> u128 + Sync)| {
        let begun = Instant::now();
        load(&server, post_of);
        begun.elapsed()
    };
    let (mut distinct, mut one) = (Duration::MAX, Duration::MAX);
    for round in 0..ROUNDS {
        let first = round * (CLIENTS + 1);
        create(&server, first..=first + CLIENTS);
        distinct = distinct.min(timed(&|client| first + client));
        one = one.min(timed(&|_| first + CLIENTS));
        if one <= distinct * 2 {
            return;
        }
    }
    panic!("the same writes took {distinct:?} on distinct posts, {one:?} on one");
}
