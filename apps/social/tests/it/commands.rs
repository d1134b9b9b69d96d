//! Every row of the commands' table, and the same as messages.

use serde_json::{Value, json};

use crate::client::{Client, request, write};
use crate::server::Server;
use crate::{comment, post, read, uuid};

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
    let gone = crate::client::get(&path).header("Consistency-Token", &token);
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
        .send(&crate::client::get(&path))
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

#[test]
fn every_command_is_a_message_too() {
    let server = Server::start();
    let client = &mut server.client();
    let (id, cid) = (uuid(1), uuid(2));
    let messages = [
        ("ada", "CreatePost", json!({"message": "hi", "id": id})),
        (
            "ada",
            "EditPost",
            json!({"post_id": id, "message": "hello"}),
        ),
        ("bob", "LikePost", json!({"post_id": id})),
        (
            "bob",
            "AddComment",
            json!({"post_id": id, "id": cid, "message": "yes"}),
        ),
        (
            "bob",
            "EditComment",
            json!({"post_id": id, "comment_id": cid, "message": "no"}),
        ),
        (
            "ada",
            "LikeComment",
            json!({"post_id": id, "comment_id": cid}),
        ),
        (
            "ada",
            "UnlikeComment",
            json!({"post_id": id, "comment_id": cid}),
        ),
        (
            "ada",
            "RemoveComment",
            json!({"post_id": id, "comment_id": cid}),
        ),
        ("bob", "UnlikePost", json!({"post_id": id})),
        ("ada", "DeletePost", json!({"post_id": id})),
        (
            "ada",
            "RegisterAuthor",
            json!({"handle": "ada", "display_name": "Ada"}),
        ),
    ];
    for (number, (actor, kind, data)) in messages.into_iter().enumerate() {
        let envelope = json!({"type": kind, "id": uuid(100 + number as u128), "data": data});
        let sent = write(actor, "POST", "/v1/commands", &envelope);
        let first = client.send(&sent).expect(200);
        assert!(first.value()["version"].is_u64(), "{kind}");
        // The envelope's id is the idempotency key.
        let again = client.send(&sent).expect(200);
        assert_eq!(again.header("idempotency-replayed"), Some("true"), "{kind}");
        assert_eq!(again.body, first.body, "{kind}");
    }
}

#[test]
fn if_match_holds_the_version() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    let path = format!("/v1/posts/{id}/message");
    let edit = |tag: &str, message: &str| {
        write("ada", "PUT", &path, &json!({"message": message})).header("If-Match", tag)
    };
    client.send(&edit("\"1\"", "two")).expect(200);
    let stale = client.send(&edit("\"1\"", "three"));
    let problem = stale.expect_problem(412, "version-mismatch");
    assert_eq!(
        (&problem["expected"], &problem["actual"]),
        (&json!(1), &json!(2))
    );
    // A query's tag: of it the number counts.
    let tag = client
        .send(&crate::client::get(&format!("/v1/posts/{id}")).header("Consistency-Token", "0-2"))
        .expect(200);
    let tag = tag.header("etag").expect("a tag").to_owned();
    assert!(tag.starts_with("\"2-"), "{tag}");
    client.send(&edit(&tag, "three")).expect(200);
    client.send(&edit("*", "four")).expect(200);
    for bad in ["W/\"4\"", "4", "\"4\", \"5\"", "\"x\"", "\"04\"", ""] {
        let answer = client.send(&edit(bad, "five"));
        answer.expect_problem(400, "invalid-value");
    }
    // What does not exist yet is at version 0.
    let create = |tag: &str| {
        write("ada", "POST", "/v1/posts", &json!({"message": "hi"})).header("If-Match", tag)
    };
    client
        .send(&create("\"1\""))
        .expect_problem(412, "version-mismatch");
    client
        .send(&create("*"))
        .expect_problem(412, "version-mismatch");
    client.send(&create("\"0\"")).expect(201);
}

#[test]
fn refusals_name_their_reason() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    let cid = comment(client, "bob", &id, "yes");
    let gone = post(client, "ada", "gone");
    client
        .send(&write(
            "ada",
            "DELETE",
            &format!("/v1/posts/{gone}"),
            &Value::Null,
        ))
        .expect(200);
    let removed = comment(client, "bob", &id, "no");
    let removed_path = format!("/v1/posts/{id}/comments/{removed}");
    client
        .send(&write("bob", "DELETE", &removed_path, &Value::Null))
        .expect(200);
    client
        .send(&write(
            "ada",
            "PUT",
            "/v1/authors/me",
            &json!({"handle": "Ada", "display_name": "Ada"}),
        ))
        .expect(200);

    let text = json!({"message": "x"});
    let none = Value::Null;
    let missing = uuid(999);
    let at = |rest: &str| format!("/v1/posts/{id}{rest}");
    let under = |post: &str, rest: &str| format!("/v1/posts/{post}{rest}");
    let rows: Vec<(&str, &str, String, &Value, u16, &str)> = vec![
        ("bob", "PUT", at("/message"), &text, 403, "not-the-author"),
        ("bob", "DELETE", at(""), &none, 403, "not-the-author"),
        (
            "ada",
            "PUT",
            at(&format!("/comments/{cid}")),
            &text,
            403,
            "not-the-author",
        ),
        (
            "eve",
            "DELETE",
            at(&format!("/comments/{cid}")),
            &none,
            403,
            "not-the-author",
        ),
        (
            "ada",
            "PUT",
            under(&missing, "/message"),
            &text,
            404,
            "post-not-found",
        ),
        (
            "ada",
            "DELETE",
            under(&missing, ""),
            &none,
            404,
            "post-not-found",
        ),
        (
            "ada",
            "PUT",
            under(&missing, "/like"),
            &none,
            404,
            "post-not-found",
        ),
        (
            "ada",
            "POST",
            under(&missing, "/comments"),
            &text,
            404,
            "post-not-found",
        ),
        (
            "bob",
            "PUT",
            at(&format!("/comments/{missing}")),
            &text,
            404,
            "comment-not-found",
        ),
        (
            "bob",
            "PUT",
            removed_path.clone(),
            &text,
            404,
            "comment-not-found",
        ),
        (
            "bob",
            "DELETE",
            removed_path.clone(),
            &none,
            404,
            "comment-not-found",
        ),
        (
            "bob",
            "PUT",
            format!("{removed_path}/like"),
            &none,
            404,
            "comment-not-found",
        ),
        (
            "ada",
            "PUT",
            under(&gone, "/message"),
            &text,
            410,
            "post-deleted",
        ),
        (
            "ada",
            "DELETE",
            under(&gone, ""),
            &none,
            410,
            "post-deleted",
        ),
        (
            "ada",
            "DELETE",
            under(&gone, "/like"),
            &none,
            410,
            "post-deleted",
        ),
        (
            "ada",
            "POST",
            under(&gone, "/comments"),
            &text,
            410,
            "post-deleted",
        ),
    ];
    for (actor, method, path, body, status, slug) in rows {
        let answer = client.send(&write(actor, method, &path, body));
        answer.expect_problem(status, slug);
    }
    let post_again = |id: &str| json!({"message": "hi", "id": id});
    for id in [&id, &gone] {
        client
            .send(&write("ada", "POST", "/v1/posts", &post_again(id)))
            .expect_problem(409, "already-exists");
    }
    for cid in [&cid, &removed] {
        client
            .send(&write("bob", "POST", &at("/comments"), &post_again(cid)))
            .expect_problem(409, "already-exists");
    }
    let taken = json!({"handle": "aDA", "display_name": "Bob"});
    client
        .send(&write("bob", "PUT", "/v1/authors/me", &taken))
        .expect_problem(409, "handle-taken");
    // 412 comes before 404 and 403.
    for path in [at("/message"), under(&missing, "/message")] {
        let request = write("bob", "PUT", &path, &text).header("If-Match", "\"77\"");
        client
            .send(&request)
            .expect_problem(412, "version-mismatch");
    }
    // 401 comes before everything.
    client
        .send(&request("PUT", "/v1/posts/nonsense/like"))
        .expect_problem(401, "unauthenticated");
}
