//! The process: configuration, readiness, signals, backup, rebuild.

use std::sync::Arc;

use cqrs_core::Position;
use serde_json::json;
use social_service::transfer::{Header, parse_commit};
use tempfile::TempDir;

use crate::server::{Server, run};
use crate::{post, read};
use social_test_kit::stderr;
use social_test_kit::{get, write};

#[test]
fn all_mistakes_are_told_at_once_with_status_2() {
    let data = TempDir::new().expect("a directory");
    let environment = [
        ("SOCIAL_LISTEN", "hunter2"),
        ("SOCIAL_AUTH", "jwt"),
        ("SOCIAL_JWT_KEY", "hunter2"),
    ];
    let output = run(data.path(), &["--what", "hunter2"], &environment);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    for key in ["SOCIAL_LISTEN", "SOCIAL_JWT_KEY", "--what"] {
        assert!(told.contains(key), "{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn without_authentication_only_loopback_is_served() {
    let data = TempDir::new().expect("a directory");
    let output = run(data.path(), &["--listen", "0.0.0.0:0"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("SOCIAL_LISTEN"));
}

#[test]
fn a_data_directory_has_one_user() {
    let server = Server::start();
    for arguments in [&[][..], &["rebuild"]] {
        let output = run(server.data().path(), arguments, &[]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("in use"), "{}", stderr(&output));
    }
}

#[test]
fn signals_drain_and_end_with_0() {
    for signal in ["TERM", "INT"] {
        let mut server = Server::start();
        post(&mut server.client(), "ada", "hi");
        assert_eq!(server.signal(signal), Some(0), "{signal}");
    }
}

#[test]
fn health_and_metrics_are_served() {
    let server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    read(client, &format!("/v1/posts/{id}"), "0-1");
    client.send(&get("/livez")).expect(200);
    client.send(&get("/readyz")).expect(200);
    let metrics = client.send(&get("/metrics")).expect(200);
    let text = String::from_utf8(metrics.body).expect("UTF-8");
    for line in [
        "log_head 1",
        "projection_lag 0",
        "projection_parked_streams 0",
    ] {
        assert!(text.contains(line), "{line} not in\n{text}");
    }
}

#[test]
fn help_and_version_are_told() {
    let data = TempDir::new().expect("a directory");
    for flag in ["--help", "--version"] {
        let output = run(data.path(), &[flag], &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty());
    }
}

#[test]
fn a_backup_is_taken_while_it_runs_and_serves_as_a_store() {
    let server = Server::start();
    let id = post(&mut server.client(), "ada", "hi");
    let copy = Arc::new(TempDir::new().expect("a directory"));
    let file = copy.path().join("social.db");
    let arguments = ["backup", file.to_str().expect("UTF-8")];
    let output = run(server.data().path(), &arguments, &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    // Nothing is overwritten.
    let again = run(server.data().path(), &arguments, &[]);
    assert_eq!(again.status.code(), Some(1));
    let restored = Server::start_in(copy, &[]);
    let post = read(&mut restored.client(), &format!("/v1/posts/{id}"), "0-1");
    assert_eq!(post["message"], "hi");
}

#[test]
fn an_export_is_taken_while_it_runs_and_has_a_line_for_each_commit() {
    let server = Server::start();
    let id = post(&mut server.client(), "ada", "hi");
    let like = write("bob", "PUT", &format!("/v1/posts/{id}/like"), &json!({}));
    server.send(&like).expect(200);
    let output = run(server.data().path(), &["export"], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let export = String::from_utf8(output.stdout).expect("UTF-8");
    let mut lines = export.lines();
    let header = Header::parse(lines.next().expect("a header")).expect("it can be read");
    assert_eq!(header.commits, [Position::new(2)]);
    let commits: Vec<_> = lines
        .map(|line| parse_commit(line).expect("a commit"))
        .collect();
    let stream = format!("post-{id}");
    assert!(
        commits
            .iter()
            .all(|commit| commit.stream.as_str() == stream)
    );
    let actors: Vec<_> = commits.iter().map(|c| c.header.actor.as_str()).collect();
    assert_eq!(actors, ["ada", "bob"]);
}

#[test]
fn there_is_no_export_of_nothing() {
    let data = TempDir::new().expect("a directory");
    let output = run(data.path(), &["export"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
}

#[test]
fn a_rebuild_makes_the_same_read_model() {
    let mut server = Server::start();
    let client = &mut server.client();
    let id = post(client, "ada", "hi");
    let body = json!({"handle": "Ada", "display_name": "Ada"});
    let token = client
        .send(&write("ada", "PUT", "/v1/authors/me", &body))
        .expect(200)
        .token();
    let path = format!("/v1/posts/{id}");
    let before = read(client, &path, &token);
    server.signal("TERM");
    let output = run(server.data().path(), &["rebuild"], &[]);
    assert!(output.status.success(), "{}", stderr(&output));
    let server = Server::start_in(server.data(), &[]);
    let after = read(&mut server.client(), &path, "0-0");
    assert_eq!(before, after);
}
