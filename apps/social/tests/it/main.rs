//! The real binary over real sockets: every row of the HTTP contract, crashes and load.

mod architecture;
mod auth;
mod commands;
mod crash;
mod errors;
mod idempotency;
mod load;
mod messages;
mod preconditions;
mod process;
mod queries;
mod readiness;
mod refusals;
mod server;

use serde_json::{Value, json};

use social_test_kit::{Client, get, uuid, write};

/// Creates a post by `actor` and gives its id.
fn post(client: &mut Client, actor: &str, message: &str) -> String {
    let body = json!({ "message": message });
    let created = client.send(&write(actor, "POST", "/v1/posts", &body));
    created.expect(201).id()
}

/// Comments on `post` by `actor` and gives the comment's id, which stands at the end of `Location`.
fn comment(client: &mut Client, actor: &str, post: &str, message: &str) -> String {
    let path = format!("/v1/posts/{post}/comments");
    let body = json!({ "message": message });
    client
        .send(&write(actor, "POST", &path, &body))
        .expect(201)
        .id()
}

/// What `path` answers once it reflects `token`.
fn read(client: &mut Client, path: &str, token: &str) -> Value {
    let request = get(path).header("Consistency-Token", token);
    client.send(&request).expect(200).value()
}
