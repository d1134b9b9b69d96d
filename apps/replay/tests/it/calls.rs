//! Calls that cannot be done.

use std::process::Command;

fn replay(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_replay"))
        .args(arguments)
        .env_clear()
        .output()
        .unwrap();
    let told = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(told).unwrap())
}

#[test]
fn a_call_that_is_not_understood_ends_with_2_and_the_usage() {
    for call in [&[][..], &["rebuilt"], &["retire"], &["republish"]] {
        let (status, told) = replay(call);
        assert_eq!(status, Some(2), "{call:?}");
        assert!(told.contains("usage:"), "{told}");
    }
}

#[test]
fn all_mistakes_in_the_settings_are_told_at_once_with_status_2() {
    let flags = ["status", "--partitions", "hunter2", "--what", "hunter2"];
    let (status, told) = replay(&flags);
    assert_eq!(status, Some(2));
    for key in ["MONGODB_URI", "POSTGRES_URL", "SOCIAL_PARTITIONS", "--what"] {
        assert!(told.contains(key), "{told}");
    }
    assert!(!told.contains("hunter2"), "{told}");
}

#[test]
fn help_and_version_are_told() {
    for flag in ["--help", "--version"] {
        let (status, told) = replay(&[flag]);
        assert_eq!(status, Some(0));
        assert!(told.contains("replay"), "{told}");
    }
}

#[test]
fn an_engine_that_is_away_is_an_error() {
    let (status, told) = replay(&["cancel", "--postgres-url", "postgres://a@127.0.0.1:1/d"]);
    assert_eq!(status, Some(1));
    assert!(told.contains("error: "), "{told}");
}
