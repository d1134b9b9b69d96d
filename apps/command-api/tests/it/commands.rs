//! Every command over HTTP, keys, and the same after a crash.

use serde_json::{Value, json};
use social_test_kit::{Answer, get, write};

use crate::stage::{Stage, metric, post};

on_each_ledger!(
    every_command_is_taken,
    a_handle_has_one_owner,
    keys_and_all_that_was_answered_survive_a_crash,
);

fn every_command_is_taken(stage: Stage) {
    let server = stage.start(&[]);
    let client = &mut server.client();
    let register = json!({"handle": "Ada", "display_name": "Ada"});
    let author = client.send(&write("ada", "PUT", "/v1/authors/me", &register));
    assert_eq!(author.expect(200).value()["version"], 1);
    let path = format!("/v1/posts/{}", post(client, "ada"));
    let comments = format!("{path}/comments");
    let text = json!({"message": "text"});
    let added = client
        .send(&write("bob", "POST", &comments, &text))
        .expect(201);
    let comment = added.header("location").unwrap().to_owned();
    for (version, actor, method, path, body) in [
        (3, "ada", "PUT", format!("{path}/message"), &text),
        (4, "bob", "PUT", format!("{path}/like"), &Value::Null),
        (4, "bob", "PUT", format!("{path}/like"), &Value::Null),
        (5, "bob", "DELETE", format!("{path}/like"), &Value::Null),
        (
            6,
            "bob",
            "PUT",
            comment.clone(),
            &json!({"message": "other"}),
        ),
        (7, "ada", "PUT", format!("{comment}/like"), &Value::Null),
        (8, "ada", "DELETE", format!("{comment}/like"), &Value::Null),
        (9, "ada", "DELETE", comment.clone(), &Value::Null),
        (10, "ada", "DELETE", path.clone(), &Value::Null),
    ] {
        let answer = client.send(&write(actor, method, &path, body)).expect(200);
        assert_eq!(answer.value()["version"], version, "{method} {path}");
        assert_eq!(answer.header("etag"), Some(&*format!("\"{version}\"")));
        assert_eq!(answer.value()["position"], answer.token());
    }
    client
        .send(&write("ada", "DELETE", &path, &Value::Null))
        .expect_problem(410, "post-deleted");
    // Queries are another service's.
    client
        .send(&get(&path))
        .expect_problem(405, "method-not-allowed");
    assert_eq!(metric(client, "commits_total"), 11);
    assert_eq!(metric(client, "append_queue"), 0);
}

fn a_handle_has_one_owner(stage: Stage) {
    let server = stage.start(&[]);
    let client = &mut server.client();
    let mut register = |actor: &str, handle: &str| {
        let body = json!({"handle": handle, "display_name": "name"});
        client.send(&write(actor, "PUT", "/v1/authors/me", &body))
    };
    register("ada", "Ada").expect(200);
    register("bob", "aDA").expect_problem(409, "handle-taken");
    register("ada", "Lovelace").expect(200);
    register("bob", "aDA").expect(200);
}

/// What a replay must repeat.
fn essence(answer: &Answer) -> (u16, [Option<String>; 4], Vec<u8>) {
    let headers = ["etag", "location", "consistency-token", "content-type"];
    let headers = headers.map(|name| answer.header(name).map(str::to_owned));
    (answer.status, headers, answer.body.clone())
}

#[track_caller]
fn assert_replayed(first: &Answer, again: &Answer) {
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(essence(first), essence(again));
}

fn keys_and_all_that_was_answered_survive_a_crash(stage: Stage) {
    let mut server = stage.start(&[]);
    let client = &mut server.client();
    let create = write("ada", "POST", "/v1/posts", &json!({"message": "hi"})).key("create");
    let created = client.send(&create).expect(201);
    let path = format!("/v1/posts/{}", created.id());
    let edit = json!({"message": "mine"});
    let refuse = write("bob", "PUT", &format!("{path}/message"), &edit).key("edit");
    let refused = client.send(&refuse);
    let register = json!({"handle": "ada", "display_name": "Ada"});
    let register = write("ada", "PUT", "/v1/authors/me", &register).key("register");
    let registered = client.send(&register).expect(200);
    assert_replayed(&created, &client.send(&create));
    server.kill();

    let server = stage.start(&[]);
    let client = &mut server.client();
    assert_replayed(&created, &client.send(&create));
    assert_replayed(&refused, &client.send(&refuse));
    assert_replayed(&registered, &client.send(&register));
    refused.expect_problem(403, "not-the-author");
    let other = write("ada", "POST", "/v1/posts", &json!({"message": "other"})).key("create");
    client.send(&other).expect_problem(422, "key-reused");
    let like = write("bob", "PUT", &format!("{path}/like"), &Value::Null);
    let liked = client.send(&like.header("If-Match", "\"1\"")).expect(200);
    assert_eq!(liked.value()["version"], 2);
}
