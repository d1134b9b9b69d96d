//! SIGKILL at random moments under load: nothing that was acknowledged is lost, nothing happens twice.

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::server::{Server, run};
use crate::uuid;
use social_test_kit::stderr;
use social_test_kit::{Answer, Client, Request, get, until, write};

/// Posts that all clients write under.
const SHARED_POSTS: u128 = 4;
const CLIENTS: u128 = 8;

/// One keyed command and what became of it.
struct Attempt {
    request: Request,
    kind: Kind,
    /// The first answer, where there was one.
    answer: Option<Vec<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A comment under the shared post of this number, with this id.
    Comment(u128, u128),
    /// A post with this id.
    Post(u128),
}

/// `SOCIAL_KILL_ROUNDS` rounds; 3 where nothing is said.
fn rounds() -> u128 {
    let rounds = std::env::var("SOCIAL_KILL_ROUNDS").ok();
    rounds.and_then(|rounds| rounds.parse().ok()).unwrap_or(3)
}

#[test]
fn what_was_acknowledged_is_there_once_whenever_the_process_is_killed() {
    let mut server = Server::start();
    for number in 0..SHARED_POSTS {
        let body = json!({"id": uuid(number), "message": "shared"});
        server
            .send(&write("ada", "POST", "/v1/posts", &body))
            .expect(201);
    }
    let mut attempts = Vec::new();
    for round in 0..rounds() {
        let mut attempted = load_until_killed(&mut server, round);
        server = Server::start_in(server.data(), &[]);
        settle(&server, &mut attempted);
        attempts.extend(attempted);
    }
    // Once more for all: later rounds must not have changed what earlier ones were told.
    settle(&server, &mut attempts);
    assert!(attempts.iter().all(|attempt| attempt.answer.is_some()));
    check(&server, &attempts);
    let live = everything(&server);
    server.signal("TERM");
    let output = run(server.data().path(), &["rebuild"], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let rebuilt = Server::start_in(server.data(), &[]);
    assert!(
        live == everything(&rebuilt),
        "the read model is another when rebuilt"
    );
}

/// Clients write until the process, killed at a random moment, answers no more.
fn load_until_killed(server: &mut Server, round: u128) -> Vec<Attempt> {
    let address = server.address();
    let killed = AtomicBool::new(false);
    let moment = Duration::from_millis(50 + RandomState::new().hash_one(round) % 400);
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let killed = &killed;
                scope.spawn(move || write_until(address, killed, round * CLIENTS + client))
            })
            .collect();
        // The moment is the test's subject, not a way to synchronise.
        let until = Instant::now() + moment;
        while Instant::now() < until {
            thread::park_timeout(until - Instant::now());
        }
        server.kill();
        killed.store(true, Ordering::Release);
        clients
            .into_iter()
            .flat_map(|client| client.join().expect("a client ends"))
            .collect()
    })
}

fn write_until(address: SocketAddr, killed: &AtomicBool, client: u128) -> Vec<Attempt> {
    let mut connection = Client::new(address);
    let mut attempts = Vec::new();
    let mut number = 0;
    while !killed.load(Ordering::Acquire) {
        number += 1;
        let id = (client + 1) << 32 | number;
        let actor = format!("client-{client}");
        let (kind, path) = if number.is_multiple_of(2) {
            let shared = number / 2 % SHARED_POSTS;
            let path = format!("/v1/posts/{}/comments", uuid(shared));
            (Kind::Comment(shared, id), path)
        } else {
            (Kind::Post(id), "/v1/posts".to_owned())
        };
        let body = json!({"id": uuid(id), "message": format!("{id}")});
        let request = write(&actor, "POST", &path, &body).key(&format!("{id}"));
        let sent = connection.try_send(&request);
        let gone = sent.is_err();
        // A 503 leaves it open whether it happened, as a lost answer does.
        let answer = sent.ok().filter(|answer| answer.status != 503);
        let answer = answer.map(|answer| answer.expect(201).body);
        attempts.push(Attempt {
            request,
            kind,
            answer,
        });
        if gone {
            break;
        }
    }
    attempts
}

/// Asks again for everything, under the same keys: an answer that was given is given again.
fn settle(server: &Server, attempts: &mut [Attempt]) {
    let mut client = server.client();
    for attempt in attempts {
        let answer = insist(&mut client, &attempt.request);
        if let Some(first) = &attempt.answer {
            assert_eq!(first, &answer.body, "another answer than the first");
            assert_eq!(answer.header("idempotency-replayed"), Some("true"));
        }
        attempt.answer = Some(answer.body);
    }
}

/// The answer, asked for again where the store is busy with other things: a 503 promises nothing and is to be repeated.
fn insist(client: &mut Client, request: &Request) -> Answer {
    until(|| {
        let answer = client.send(request);
        if answer.status == 503 {
            let told = format!("{}", answer.value());
            eprintln!("asked again after 503: {told}");
            return Err(told);
        }
        Ok(answer.expect(201))
    })
}

/// Every command's effect is there exactly once, and nothing else.
fn check(server: &Server, attempts: &[Attempt]) {
    let mut client = server.client();
    wait_for_all(&mut client, attempts);
    let mut found = BTreeMap::new();
    for item in walk(&mut client, "/v1/posts") {
        *found.entry(id_of(&item)).or_insert(0) += 1;
    }
    let posts = attempts
        .iter()
        .filter_map(|attempt| match attempt.kind {
            Kind::Post(id) => Some(uuid(id)),
            Kind::Comment(..) => None,
        })
        .chain((0..SHARED_POSTS).map(uuid));
    let expected: BTreeMap<String, i32> = posts.map(|id| (id, 1)).collect();
    assert!(
        found == expected,
        "the posts are others than those asked for"
    );
    for shared in 0..SHARED_POSTS {
        let path = format!("/v1/posts/{}", uuid(shared));
        let found: Vec<_> = walk(&mut client, &format!("{path}/comments"))
            .iter()
            .map(id_of)
            .collect();
        let mut expected: Vec<_> = attempts
            .iter()
            .filter_map(|attempt| match attempt.kind {
                Kind::Comment(post, id) if post == shared => Some(uuid(id)),
                _ => None,
            })
            .collect();
        let count = client.send(&get(&path)).expect(200).value()["comment_count"].as_u64();
        assert_eq!(count, Some(expected.len() as u64));
        let mut sorted = found.clone();
        sorted.sort_unstable();
        expected.sort_unstable();
        assert!(
            sorted == expected,
            "the comments are others than those asked for"
        );
    }
}

fn id_of(item: &Value) -> String {
    item["id"].as_str().expect("an id").to_owned()
}

/// Waits until the read model reflects the last of the acknowledged commits.
fn wait_for_all(client: &mut Client, attempts: &[Attempt]) {
    let position = |attempt: &Attempt| -> Option<u64> {
        let receipt: Value = serde_json::from_slice(attempt.answer.as_ref()?).ok()?;
        receipt["position"]
            .as_str()?
            .strip_prefix("0-")?
            .parse()
            .ok()
    };
    let last = attempts.iter().filter_map(position).max().unwrap_or(0);
    let request = get("/v1/posts?limit=1")
        .header("Consistency-Token", &format!("0-{last}"))
        .header("Prefer", "wait=30");
    client.send(&request).expect(200);
}

/// All items of a list, page by page.
fn walk(client: &mut Client, path: &str) -> Vec<Value> {
    let mut items = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = client
            .send(&get(&format!("{path}?limit=100&cursor={cursor}")))
            .expect(200)
            .value();
        items.extend(page["items"].as_array().expect("items").iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return items,
        }
    }
}

/// All that queries tell: posts, their comments and likes, the authors.
fn everything(server: &Server) -> Vec<Value> {
    let mut client = server.client();
    let posts = walk(&mut client, "/v1/posts");
    let mut all = Vec::new();
    let mut authors = Vec::new();
    for post in &posts {
        let path = format!("/v1/posts/{}", id_of(post));
        all.push(client.send(&get(&path)).expect(200).value());
        all.extend(walk(&mut client, &format!("{path}/comments")));
        all.extend(walk(&mut client, &format!("{path}/likes")));
        authors.push(post["author"].as_str().expect("an author").to_owned());
    }
    authors.sort_unstable();
    authors.dedup();
    for author in authors {
        all.push(
            client
                .send(&get(&format!("/v1/authors/{author}")))
                .expect(200)
                .value(),
        );
    }
    all.extend(posts);
    all
}
