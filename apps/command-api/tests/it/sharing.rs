//! Two processes on one log and one ledger.

use std::thread;

use serde_json::{Value, json};
use social_test_kit::{Client, Request, write};

use crate::stage::{Stage, metric, post};

/// Sends `request` until it is no longer told that the same is still running.
fn settled(client: &mut Client, request: &Request) -> (u16, Vec<u8>) {
    let answer = social_test_kit::until(|| {
        let answer = client.send(request);
        let running = answer.status == 409 && answer.value()["type"] == "/problems/in-progress";
        match running {
            false => Ok(answer),
            true => Err("it is still running".to_owned()),
        }
    });
    (answer.status, answer.body)
}

#[test]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
fn one_key_at_two_processes_at_once_has_one_effect() {
    let stage = Stage::new();
    let servers = [stage.start(&[]), stage.start(&[])];
    for round in 0..20 {
        let body = json!({"message": format!("{round}")});
        let create = write("ada", "POST", "/v1/posts", &body).key(&format!("{round}"));
        let answers = thread::scope(|scope| {
            let asked = servers.each_ref().map(|server| {
                let (mut client, create) = (server.client(), &create);
                scope.spawn(move || settled(&mut client, create))
            });
            asked.map(|asked| asked.join().unwrap())
        });
        assert_eq!(answers[0].0, 201, "{answers:?}");
        assert_eq!(answers[0], answers[1]);
    }
    let commits: u64 = servers
        .iter()
        .map(|server| metric(&mut server.client(), "commits_total"))
        .sum();
    assert_eq!(commits, 20);
}

#[test]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
fn one_handle_asked_for_at_two_processes_at_once_has_one_owner() {
    let stage = Stage::new();
    let servers = [stage.start(&[]), stage.start(&[])];
    for round in 0..10 {
        let handle = json!({"handle": format!("handle_{round}"), "display_name": "name"});
        let statuses = thread::scope(|scope| {
            let asked = [(&servers[0], "ada"), (&servers[1], "bob")].map(|(server, actor)| {
                let (mut client, register) = (
                    server.client(),
                    write(actor, "PUT", "/v1/authors/me", &handle),
                );
                scope.spawn(move || client.send(&register).status)
            });
            asked.map(|asked| asked.join().unwrap())
        });
        assert!(
            matches!(statuses, [200, 409] | [409, 200]),
            "round {round}: {statuses:?}"
        );
    }
}

#[test]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
fn two_processes_write_under_one_post() {
    let stage = Stage::new();
    let servers = [stage.start(&[]), stage.start(&[])];
    let path = format!("/v1/posts/{}/like", post(&mut servers[0].client(), "ada"));
    let mut versions: Vec<u64> = thread::scope(|scope| {
        let written = servers.each_ref().map(|server| {
            let (mut client, path) = (server.client(), &path);
            scope.spawn(move || {
                let likes = (0..50).map(|n| {
                    let actor = format!("{}-{n}", client.address().port());
                    let like = write(&actor, "PUT", path, &Value::Null);
                    // Rivals may win every attempt; then nothing happened.
                    let liked = social_test_kit::until(|| match client.send(&like) {
                        answer if answer.status == 409 => Err("a conflict".to_owned()),
                        answer => Ok(answer.expect(200)),
                    });
                    liked.value()["version"].as_u64().unwrap()
                });
                likes.collect::<Vec<_>>()
            })
        });
        written
            .into_iter()
            .flat_map(|written| written.join().unwrap())
            .collect()
    });
    versions.sort_unstable();
    assert_eq!(versions, (2..=101).collect::<Vec<_>>());
}
