//! What the domain refuses, and in which order it is checked.

use serde_json::{Value, json};

use crate::server::Server;
use crate::{comment, post, uuid};
use social_test_kit::{request, write};

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
