//! Engines that are not there.

use std::net::TcpListener;

use serde_json::{Value, json};
use social_test_kit::{get, write};

use crate::stage::{Stage, post, readiness};

/// A port where nobody listens.
fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn without_the_log_it_lives_and_is_not_ready() {
    let uri = format!("mongodb://127.0.0.1:{}/social", nobody());
    let url = format!("postgres://a@127.0.0.1:{}/social", nobody());
    let mut command = social_test_kit::command(env!("CARGO_BIN_EXE_command-api"));
    command.env("MONGODB_URI", uri).env("POSTGRES_URL", url);
    let mut server = social_test_kit::Process::start(&mut command);
    let client = &mut server.client();
    client.send(&get("/livez")).expect(200);
    let ready = client.send(&get("/readyz")).expect(503);
    assert!(ready.header("retry-after").is_some());
    assert_eq!(ready.value()["checks"]["mongodb"], "down");
    assert_eq!(ready.value()["checks"]["postgres"], "degraded");
    let create = write("ada", "POST", "/v1/posts", &json!({"message": "hi"}));
    let refused = client.send(&create);
    assert!(refused.header("retry-after").is_some());
    refused.expect_problem(503, "store-unavailable");
    client.send(&get("/metrics")).expect(200);
    assert_eq!(server.signal("TERM"), Some(0));
}

#[test]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
fn without_the_ledger_only_what_needs_it_is_refused() {
    let stage = Stage::new();
    let url = format!("postgres://a@127.0.0.1:{}/social", nobody());
    let mut server = stage.begin(&[("POSTGRES_URL", &url)]);
    let client = &mut server.client();
    let report = readiness(client, |report| report["checks"]["mongodb"] == "ok");
    assert_eq!(report["status"], "degraded", "{report}");
    assert_eq!(report["checks"]["postgres"], "degraded", "{report}");
    client.send(&get("/readyz")).expect(200);
    let path = format!("/v1/posts/{}/like", post(client, "ada"));
    let like = write("bob", "PUT", &path, &Value::Null);
    client.send(&like).expect(200);
    let register = json!({"handle": "ada", "display_name": "Ada"});
    for needs_it in [
        like.key("k"),
        write("ada", "PUT", "/v1/authors/me", &register),
    ] {
        let refused = client.send(&needs_it);
        assert!(refused.header("retry-after").is_some());
        refused.expect_problem(503, "store-unavailable");
    }
    assert_eq!(server.signal("TERM"), Some(0));
}
