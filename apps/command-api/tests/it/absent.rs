//! Engines that are not there.

use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};
use social_test_kit::{Process, Request, get, until, write};

use crate::proxy::Proxy;
use crate::stage::{Stage, begin_with, post, readiness, ready};

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

/// What every service with another engine for the ledger is told, at an address.
fn ledgers(port: u16) -> [(&'static str, &'static str, String); 2] {
    let mssql = format!("mssql://a:b@127.0.0.1:{port}/social?encrypt=off");
    let postgres = format!("postgres://a@127.0.0.1:{port}/social");
    [
        ("MSSQL_URL", "mssql", mssql),
        ("POSTGRES_URL", "postgres", postgres),
    ]
}

/// What needs the ledger is refused, what does not is done, and the service is ready.
fn only_what_needs_the_ledger_is_refused(server: &Process, check: &str, round: u64) {
    let client = &mut server.client();
    let report = readiness(client, |report| {
        report["checks"]["mongodb"] == "ok" && report["checks"][check] == "degraded"
    });
    assert_eq!(report["status"], "degraded", "{report}");
    client.send(&get("/readyz")).expect(200);
    let path = format!("/v1/posts/{}/like", post(client, "ada"));
    let like = write("bob", "PUT", &path, &Value::Null);
    client.send(&like).expect(200);
    for refused in thread::scope(|scope| {
        let asked = needs_it(round).map(|request| {
            let mut client = server.client();
            scope.spawn(move || client.send(&request))
        });
        asked.map(|asked| asked.join().unwrap())
    }) {
        assert!(refused.header("retry-after").is_some());
        refused.expect_problem(503, "store-unavailable");
    }
}

/// A command with a key, and one that reserves.
fn needs_it(round: u64) -> [Request; 2] {
    let register = json!({"handle": format!("ada_{round}"), "display_name": "Ada"});
    [
        write("ada", "POST", "/v1/posts", &json!({"message": "hi"})).key(&round.to_string()),
        write("ada", "PUT", "/v1/authors/me", &register),
    ]
}

#[test]
#[ignore = "needs MONGODB_URI"]
fn without_the_ledger_only_what_needs_it_is_refused() {
    for (key, check, url) in ledgers(nobody()) {
        let mut server = begin_with(&[(key, &url)]);
        only_what_needs_the_ledger_is_refused(&server, check, 1);
        assert_eq!(server.signal("TERM"), Some(0), "{check}");
    }
}

#[test]
#[ignore = "needs MONGODB_URI"]
fn a_ledger_that_never_answers_is_none() {
    // Nobody accepts: who connects waits.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    for (key, check, url) in ledgers(silent.local_addr().unwrap().port()) {
        let mut server = begin_with(&[(key, &url)]);
        only_what_needs_the_ledger_is_refused(&server, check, 1);
        assert_eq!(server.signal("TERM"), Some(0), "{check}");
    }
}

on_each_ledger!(
    a_ledger_comes_late_goes_and_comes_back,
    a_ledger_falls_silent_and_answers_again,
);

/// Everything is done again, what was refused meanwhile too, and nothing twice.
fn all_is_well_again(server: &Process, rounds: u64) {
    let client = &mut server.client();
    ready(client);
    for round in 1..=rounds {
        let [keyed, register] = needs_it(round);
        let created = until(|| match client.send(&keyed) {
            answer if answer.status == 201 => Ok(answer),
            answer => Err(String::from_utf8_lossy(&answer.body).into_owned()),
        });
        let again = client.send(&keyed).expect(201);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.body, created.body);
        client.send(&register).expect(200);
    }
}

fn a_ledger_comes_late_goes_and_comes_back(stage: Stage) {
    let (proxy, check) = (Proxy::to(stage.ledger.address()), stage.ledger.check());
    let (key, url) = stage.ledger.setting_at(proxy.address);
    proxy.go_down();
    let mut server = stage.begin(&[(key, &url)]);
    only_what_needs_the_ledger_is_refused(&server, check, 1);
    proxy.open();
    all_is_well_again(&server, 1);
    proxy.go_down();
    only_what_needs_the_ledger_is_refused(&server, check, 2);
    proxy.open();
    all_is_well_again(&server, 2);
    assert_eq!(server.signal("TERM"), Some(0));
}

/// What was asked of it then ends within the time that a command may take.
fn a_ledger_falls_silent_and_answers_again(stage: Stage) {
    let (proxy, check) = (Proxy::to(stage.ledger.address()), stage.ledger.check());
    let (key, url) = stage.ledger.setting_at(proxy.address);
    let mut server = stage.start(&[(key, &url)]);
    all_is_well_again(&server, 1);
    proxy.fall_silent();
    only_what_needs_the_ledger_is_refused(&server, check, 2);
    proxy.open();
    all_is_well_again(&server, 2);
    assert_eq!(server.signal("TERM"), Some(0));
}
