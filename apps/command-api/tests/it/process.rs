//! The process: configuration and signals.

use social_test_kit::stderr;

use crate::stage::{Stage, post, run};

#[test]
fn all_mistakes_are_told_at_once_with_status_2() {
    let environment = [
        ("SOCIAL_LISTEN", "0.0.0.0:0"),
        ("MONGODB_URI", "hunter2"),
        ("SOCIAL_COMMANDS_CONCURRENCY", "hunter2"),
    ];
    let output = run(&["--what", "hunter2"], &environment);
    assert_eq!(output.status.code(), Some(2));
    let told = stderr(&output);
    for key in [
        "SOCIAL_LISTEN",
        "MONGODB_URI",
        "MSSQL_URL",
        "POSTGRES_URL",
        "SOCIAL_COMMANDS_CONCURRENCY",
        "--what",
    ] {
        assert!(told.contains(key), "{key} not in\n{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn help_and_version_are_told() {
    for flag in ["--help", "--version"] {
        let output = run(&[flag], &[]);
        assert_eq!(output.status.code(), Some(0));
        let told = String::from_utf8(output.stdout).unwrap();
        assert!(told.starts_with("command-api"), "{told}");
    }
}

#[test]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
fn signals_drain_and_end_with_0() {
    let stage = Stage::on_postgres();
    for signal in ["TERM", "INT"] {
        let mut server = stage.start(&[]);
        post(&mut server.client(), "ada");
        assert_eq!(server.signal(signal), Some(0), "{signal}");
    }
}
