//! Every row of the commands' table.

use serde_json::{Value, json};

use crate::server::Server;
use crate::{post, read, uuid};
use social_test_kit::{Client, write};

/// Sends a write and checks the answer's shape; gives id, version and token.
#[track_caller]
fn accepted(
    client: &mut Client,
    actor: &str,
    (method, path): (&str, &str),
    body: &Value,
    status: u16,
) -> (String, u64, String) {
    let answer = client
        .send(&write(actor, method, path, body))
        .expect(status);
    let value = answer.value();
    let members: Vec<_> = value.as_object().expect("an object").keys().collect();
    assert_eq!(members, ["id", "position", "version"]);
    let version = value["version"].as_u64().expect("a version");
    assert_eq!(answer.header("etag"), Some(&*format!("\"{version}\"")));
    assert_eq!(value["position"], answer.token());
    assert_eq!(answer.header("content-type"), Some("application/json"));
    (answer.id(), version, answer.token())
}

#[test]
fn a_post_is_created_edited_liked_and_deleted() {
    let server = Server::start();
    let client = &mut server.client();
    let created = client
        .send(&write(
            "ada",
            "POST",
            "/v1/posts",
            &json!({"message": " hi\n"}),
        ))
        .expect(201);
    let id = created.id();
    let path = format!("/v1/posts/{id}");
    assert_eq!(created.header("location"), Some(&*path));

    let (_, version, token) = accepted(
        client,
        "ada",
        ("PUT", &format!("{path}/message")),
        &json!({"message": "hello"}),
        200,
    );
    assert_eq!(version, 2);
    assert_eq!(read(client, &path, &token)["message"], "hello");

    let like = format!("{path}/like");
    for (method, likes, version) in [
        ("PUT", 1, 3),
        ("PUT", 1, 3),
        ("DELETE", 0, 4),
        ("DELETE", 0, 4),
    ] {
        let (about, now, token) = accepted(client, "bob", (method, &like), &Value::Null, 200);
        assert_eq!((about.as_str(), now), (id.as_str(), version));
        assert_eq!(read(client, &path, &token)["like_count"], likes);
    }

    let (_, _, token) = accepted(client, "ada", ("DELETE", &path), &Value::Null, 200);
    let gone = social_test_kit::get(&path).header("Consistency-Token", &token);
    client.send(&gone).expect_problem(410, "post-deleted");
}

#[test]
fn a_comment_is_added_edited_liked_and_removed() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    let comments = format!("/v1/posts/{id}/comments");
    let added = client
        .send(&write("bob", "POST", &comments, &json!({"message": "yes"})))
        .expect(201);
    let cid = added.id();
    let path = format!("{comments}/{cid}");
    assert_eq!(added.header("location"), Some(&*path));

    // Version and ETag are the post's: one stream.
    let edit = json!({"message": "no"});
    let (about, version, token) = accepted(client, "bob", ("PUT", &path), &edit, 200);
    assert_eq!((about, version), (cid, 3));
    assert_eq!(read(client, &path, &token)["message"], "no");

    let like = format!("{path}/like");
    let (_, _, token) = accepted(client, "eve", ("PUT", &like), &Value::Null, 200);
    assert_eq!(read(client, &path, &token)["like_count"], 1);
    let (_, _, token) = accepted(client, "eve", ("DELETE", &like), &Value::Null, 200);
    assert_eq!(read(client, &path, &token)["like_count"], 0);

    // The post's author may remove what others wrote under it.
    let (_, _, token) = accepted(client, "ada", ("DELETE", &path), &Value::Null, 200);
    let parent = read(client, &format!("/v1/posts/{id}"), &token);
    assert_eq!(parent["comment_count"], 0);
    client
        .send(&social_test_kit::get(&path))
        .expect_problem(404, "comment-not-found");
}

#[test]
fn an_author_is_registered_and_changed() {
    let server = Server::start();
    let client = &mut server.client();
    let register = |handle: &str| json!({"handle": handle, "display_name": "Ada L."});
    let me = ("PUT", "/v1/authors/me");
    let (id, version, _) = accepted(client, "ada", me, &register("Ada"), 200);
    assert_eq!(version, 1);
    let (same, _, token) = accepted(client, "ada", me, &register("Lovelace"), 200);
    assert_eq!(id, same);
    let author = read(client, "/v1/authors/@lovelace", &token);
    assert_eq!(author["actor"], "ada");
    assert_eq!(author["handle"], "Lovelace");
    // The handle that was let go is free again, whatever its case.
    let (_, _, token) = accepted(client, "bob", me, &register("aDA"), 200);
    assert_eq!(read(client, "/v1/authors/@ada", &token)["actor"], "bob");
}

#[test]
fn ids_are_the_client_s_to_choose() {
    let server = Server::start();
    let client = &mut server.client();
    let (id, cid) = (uuid(0xab), uuid(0xcd));
    let upper = json!({"message": "hi", "id": id.to_uppercase()});
    let (created, ..) = accepted(client, "ada", ("POST", "/v1/posts"), &upper, 201);
    assert_eq!(created, id);
    let comments = format!("/v1/posts/{}/comments", id.to_uppercase());
    let body = json!({"message": "yes", "id": cid});
    let added = client
        .send(&write("bob", "POST", &comments, &body))
        .expect(201);
    assert_eq!(
        added.header("location"),
        Some(&*format!("/v1/posts/{id}/comments/{cid}"))
    );
    // The same comment id under two posts is two comments.
    let other = post(client, "ada", "other");
    let comments = format!("/v1/posts/{other}/comments");
    accepted(client, "bob", ("POST", &comments), &body, 201);
}
