//! The process: configuration, and engines that are not there.

use std::net::TcpListener;

use social_test_kit::{Process, command, get, stderr};

/// A port where nobody listens.
fn nobody() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

#[test]
fn all_mistakes_are_told_at_once_with_status_2() {
    let output = command(env!("CARGO_BIN_EXE_relay"))
        .args(["--what", "hunter2"])
        .env("SOCIAL_LISTEN", "hunter2")
        .env("MONGODB_URI", "hunter2")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    for key in ["SOCIAL_LISTEN", "MONGODB_URI", "KAFKA_BROKERS", "--what"] {
        assert!(told.contains(key), "{key} not in\n{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn without_its_engines_it_lives_and_is_not_ready() {
    let mut relay = Process::start(
        command(env!("CARGO_BIN_EXE_relay"))
            .env("MONGODB_URI", format!("mongodb://127.0.0.1:{}", nobody()))
            .env("KAFKA_BROKERS", format!("127.0.0.1:{}", nobody()))
            .env("RUST_LOG", "off"),
    );
    let client = &mut relay.client();
    client.send(&get("/livez")).expect(200);
    client.send(&get("/metrics")).expect(200);
    let report = client.send(&get("/readyz")).expect(503).value();
    assert_eq!(report["checks"]["mongodb"], "down");
    assert_eq!(report["checks"]["kafka"], "down");
    client
        .send(&get("/v1/posts"))
        .expect_problem(404, "unknown-route");
    assert_eq!(relay.signal("TERM"), Some(0));
}
