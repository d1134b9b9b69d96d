//! `If-Match`.

use serde_json::json;

use crate::post;
use crate::server::Server;
use social_test_kit::{get, write};

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
        .send(&get(&format!("/v1/posts/{id}")).header("Consistency-Token", "0-2"))
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
