//! Keys: the same request again gets the first answer again, byte for byte.

use serde_json::{Value, json};

use crate::server::Server;
use crate::{post, uuid};
use social_test_kit::{Answer, write};

/// What a replay must repeat.
fn essence(answer: &Answer) -> (u16, Vec<Option<String>>, Vec<u8>) {
    let headers = ["etag", "location", "consistency-token", "content-type"];
    let headers = headers.map(|name| answer.header(name).map(str::to_owned));
    (answer.status, headers.to_vec(), answer.body.clone())
}

#[track_caller]
fn assert_replayed(first: &Answer, again: &Answer) {
    assert_eq!(first.header("idempotency-replayed"), None);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(essence(first), essence(again));
}

#[test]
fn a_key_gives_the_first_answer_again() {
    let server = Server::start();
    let client = &mut server.client();
    let create = write("ada", "POST", "/v1/posts", &json!({"message": "hi"})).key("k 1~");
    let first = client.send(&create).expect(201);
    // What happened since changes nothing.
    let path = format!("/v1/posts/{}/like", first.id());
    client
        .send(&write("bob", "PUT", &path, &Value::Null))
        .expect(200);
    assert_replayed(&first, &client.send(&create));
    // Other bytes of the same meaning.
    let spaced = write("ada", "POST", "/v1/posts", &Value::Null)
        .key("k 1~")
        .raw_json(b"{ \"message\" :\"\\u0068i\"}");
    assert_replayed(&first, &client.send(&spaced));
    // Keys belong to their actor.
    let other = write("bob", "POST", "/v1/posts", &json!({"message": "hi"})).key("k 1~");
    assert_ne!(client.send(&other).expect(201).id(), first.id());
}

#[test]
fn a_key_survives_a_crash() {
    let server = Server::start();
    let create = write("ada", "POST", "/v1/posts", &json!({"message": "hi"})).key("k");
    let first = server.send(&create).expect(201);
    let server = server.restart();
    assert_replayed(&first, &server.send(&create));
}

#[test]
fn another_request_under_a_key_is_refused() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    let edit = |message: &str| {
        let path = format!("/v1/posts/{id}/message");
        write("ada", "PUT", &path, &json!({"message": message})).key("k")
    };
    let first = client.send(&edit("a")).expect(200);
    client.send(&edit("b")).expect_problem(422, "key-reused");
    client
        .send(&edit("a").header("If-Match", "\"1\""))
        .expect_problem(422, "key-reused");
    let like = write("ada", "PUT", &format!("/v1/posts/{id}/like"), &Value::Null).key("k");
    client.send(&like).expect_problem(422, "key-reused");
    // A path in upper case means the same.
    let upper = format!("/v1/posts/{}/message", id.to_uppercase());
    let again = write("ada", "PUT", &upper, &json!({"message": "a"})).key("k");
    assert_replayed(&first, &client.send(&again));
}

#[test]
fn refusals_and_nothing_to_do_are_kept_too() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    let path = format!("/v1/posts/{id}");
    let missing = uuid(999);
    let rows = [
        write("bob", "DELETE", &path, &Value::Null),
        write(
            "bob",
            "PUT",
            &format!("/v1/posts/{missing}/like"),
            &Value::Null,
        ),
        write("bob", "DELETE", &format!("{path}/like"), &Value::Null),
        write(
            "ada",
            "POST",
            "/v1/posts",
            &json!({"id": id, "message": "x"}),
        ),
        write("ada", "DELETE", &path, &Value::Null).header("If-Match", "\"9\""),
    ];
    for (number, (row, status)) in rows.iter().zip([403, 404, 200, 409, 412]).enumerate() {
        let keyed = row.clone().key(&format!("key {number}"));
        let first = client.send(&keyed).expect(status);
        assert_replayed(&first, &client.send(&keyed));
    }
    // A refusal stays even where the command would now succeed.
    let create = json!({"id": missing, "message": "late"});
    client
        .send(&write("ada", "POST", "/v1/posts", &create))
        .expect(201);
    let again = rows[1].clone().key("key 1");
    client.send(&again).expect_problem(404, "post-not-found");
}

#[test]
fn a_handle_that_was_taken_stays_refused_under_its_key() {
    let server = Server::start();
    let client = &mut server.client();
    let register = |actor: &str, handle: &str| {
        let body = json!({"handle": handle, "display_name": "X"});
        write(actor, "PUT", "/v1/authors/me", &body)
    };
    client.send(&register("ada", "same")).expect(200);
    let rival = register("bob", "SAME").key("k");
    let first = client.send(&rival);
    assert_eq!(
        first.clone().expect_problem(409, "handle-taken")["field"],
        "handle"
    );
    client.send(&register("ada", "other")).expect(200);
    assert_replayed(&first, &client.send(&rival));
    client.send(&register("bob", "same")).expect(200);
}

#[test]
fn malformed_requests_are_not_kept() {
    let server = Server::start();
    let client = &mut server.client();
    let create =
        |message: &str| write("ada", "POST", "/v1/posts", &json!({"message": message})).key("k");
    client
        .send(&create(""))
        .expect_problem(400, "invalid-value");
    client.send(&create("hi")).expect(201);
}

#[test]
fn keys_have_a_shape() {
    let server = Server::start();
    let client = &mut server.client();
    let create = write("ada", "POST", "/v1/posts", &json!({"message": "hi"}));
    for bad in ["", "ä", "a\tb", &"x".repeat(256)] {
        let problem = client
            .send(&create.clone().key(bad))
            .expect_problem(400, "invalid-value");
        assert_eq!(problem["field"], "Idempotency-Key");
    }
    client
        .send(&create.clone().key(&"x".repeat(255)))
        .expect(201);
    let twice = create.clone().key("a").key("a");
    client.send(&twice).expect_problem(400, "invalid-value");
    let message = json!({"type": "CreatePost", "id": uuid(1), "data": {"message": "hi"}});
    let both = write("ada", "POST", "/v1/commands", &message).key("k");
    client.send(&both).expect_problem(400, "invalid-value");
}
