//! Read-your-writes: what one process acknowledged is read from another.

use std::thread;

use serde_json::json;

use crate::client::{get, write};
use crate::load::Random;
use crate::names::uuid;
use crate::wait::until;
use crate::world::System;

const CLIENTS: u64 = 4;

/// `SOCIAL_E2E_READS` writes, each read back; 400 where nothing is said.
fn reads() -> u64 {
    let reads = std::env::var("SOCIAL_E2E_READS").ok();
    reads.map_or(400, |reads| reads.parse().unwrap())
}

#[test]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
fn a_query_with_a_token_is_never_stale() {
    let system = System::start();
    let behind: u64 = thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                scope.spawn({
                    let system = &system;
                    move || write_and_read(system, number)
                })
            })
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().unwrap())
            .sum()
    });
    eprintln!(
        "{} writes read back, {behind} of them first answered that it is behind",
        reads()
    );
    without_a_projector(&system);
}

/// Writes to a post and an author of its own and reads each write back. How often the answer was that it is not there yet.
fn write_and_read(system: &System, number: u64) -> u64 {
    let (mut commands, mut queries) = (system.commands(), system.queries());
    let (actor, post) = (format!("reader-{number}"), uuid(number.into()));
    let body = json!({"id": post, "message": "0"});
    commands
        .send(&write(&actor, "POST", "/v1/posts", &body))
        .expect(201);
    let mut random = Random(number);
    let (mut behind, mut comments) = (0, 0);
    for count in 1..=reads() / CLIENTS {
        let text = format!("r{number}_{count}");
        let path = format!("/v1/posts/{post}");
        let (request, path, member, due) = match random.below(3) {
            0 => {
                let body = json!({"message": text});
                let request = write(&actor, "PUT", &format!("{path}/message"), &body);
                (request, path, "message", json!(text))
            }
            1 => {
                comments += 1;
                let body = json!({"message": text});
                let request = write(&actor, "POST", &format!("{path}/comments"), &body);
                (request, path, "comment_count", json!(comments))
            }
            _ => {
                let body = json!({"handle": text, "display_name": "Reader"});
                let request = write(&actor, "PUT", "/v1/authors/me", &body);
                (
                    request,
                    format!("/v1/authors/{actor}"),
                    "handle",
                    json!(text),
                )
            }
        };
        let answer = commands.send(&request);
        assert!(answer.status < 300, "{answer:?}");
        // Not waiting is allowed, and being told that it is not there yet; a stale answer never is.
        let mut wait = if random.below(2) == 0 { 0 } else { 30 };
        let shown = until("a token to be reached", || {
            let shown = queries.send(&get(&path).at(&answer.token(), wait));
            if shown.status == 200 {
                return Ok(shown.value());
            }
            let told = shown.expect_problem(503, "behind");
            assert!(told.header("retry-after").is_some());
            behind += 1;
            wait = 30;
            Err(format!("behind {}", answer.token()))
        });
        assert_eq!(shown[member], due, "stale for {}: {shown}", answer.token());
    }
    behind
}

/// With the projector held still, a token is answered with 503 and nothing else; without one there is the old answer.
fn without_a_projector(system: &System) {
    let (mut commands, mut queries) = (system.commands(), system.queries());
    let body = json!({"message": "old"});
    let created = commands
        .send(&write("ada", "POST", "/v1/posts", &body))
        .expect(201);
    let path = format!("/v1/posts/{}", created.id());
    system.reaches(&created.token());

    system.projector.signal("STOP");
    let body = json!({"message": "new"});
    let edit = write("ada", "PUT", &format!("{path}/message"), &body);
    let token = commands.send(&edit).expect(200).token();
    for wait in [0, 1, 3] {
        let answer = queries.send(&get(&path).at(&token, wait));
        let answer = answer.expect_problem(503, "behind");
        assert!(answer.header("retry-after").is_some());
    }
    assert_eq!(
        queries.send(&get(&path)).expect(200).value()["message"],
        "old"
    );
    system.projector.signal("CONT");
    system.reaches(&token);
    let shown = queries.send(&get(&path).at(&token, 30)).expect(200);
    assert_eq!(shown.value()["message"], "new");
}
