//! Two processes on one log and one ledger.

use std::sync::Barrier;
use std::thread;

use serde_json::{Value, json};
use social_test_kit::{Answer, Client, Process, Request, write};

use crate::stage::{Stage, metric, post};

on_each_ledger!(
    one_key_at_two_processes_at_once_has_one_effect,
    one_key_fifty_times_at_once_has_one_effect,
    one_handle_asked_for_at_two_processes_at_once_has_one_owner,
    two_processes_write_under_one_post,
);

/// Whether it says that the same command is still running.
fn is_running(answer: &Answer) -> bool {
    answer.status == 409 && answer.value()["type"] == "/problems/in-progress"
}

/// Sends `request` until it is no longer told that the same is still running.
fn settled(client: &mut Client, request: &Request) -> (u16, Vec<u8>) {
    let answer = social_test_kit::until(|| match client.send(request) {
        answer if is_running(&answer) => Err("it is still running".to_owned()),
        answer => Ok(answer),
    });
    (answer.status, answer.body)
}

fn commits(servers: &[Process]) -> u64 {
    let commits = servers
        .iter()
        .map(|server| metric(&mut server.client(), "commits_total"));
    commits.sum()
}

/// 25 times at each of two processes: a creation without an id of the client's, and a command that reserves.
fn one_key_fifty_times_at_once_has_one_effect(stage: Stage) {
    let servers = [stage.start(&[]), stage.start(&[])];
    let register = |handle| json!({"handle": handle, "display_name": "Ada"});
    for (round, method, path, body, other, status) in [
        (
            1,
            "POST",
            "/v1/posts",
            json!({"message": "a"}),
            json!({"message": "b"}),
            201,
        ),
        (
            2,
            "PUT",
            "/v1/authors/me",
            register("ada"),
            register("bob"),
            200,
        ),
    ] {
        let key = round.to_string();
        let request = write("ada", method, path, &body).key(&key);
        let start = Barrier::new(50);
        let answers: Vec<_> = thread::scope(|scope| {
            let asked: Vec<_> = (0..50)
                .map(|nth| {
                    let (mut client, start, request) =
                        (servers[nth % 2].client(), &start, &request);
                    scope.spawn(move || {
                        start.wait();
                        client.send(request)
                    })
                })
                .collect();
            asked
                .into_iter()
                .map(|asked| asked.join().unwrap())
                .collect()
        });
        let first = settled(&mut servers[0].client(), &request);
        assert_eq!(first.0, status);
        let (running, given): (Vec<_>, Vec<_>) = answers.into_iter().partition(is_running);
        for answer in given {
            assert_eq!((answer.status, answer.body), first);
        }
        for answer in running {
            assert!(answer.header("retry-after").is_some());
        }
        assert_eq!(commits(&servers), round);
        for server in &servers {
            let other = write("ada", method, path, &other).key(&key);
            server.send(&other).expect_problem(422, "key-reused");
            assert_eq!(settled(&mut server.client(), &request), first);
        }
        assert_eq!(commits(&servers), round);
    }
}

fn one_key_at_two_processes_at_once_has_one_effect(stage: Stage) {
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
    assert_eq!(commits(&servers), 20);
}

fn one_handle_asked_for_at_two_processes_at_once_has_one_owner(stage: Stage) {
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

/// As many as keep both of them busy: whoever loses a race has another try before anybody is told of it.
fn two_processes_write_under_one_post(stage: Stage) {
    const WRITERS: usize = 8;
    const LIKES: u64 = 25;
    let servers = [stage.start(&[]), stage.start(&[])];
    let path = format!("/v1/posts/{}/like", post(&mut servers[0].client(), "ada"));
    let mut versions: Vec<u64> = thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (mut client, path) = (servers[writer % 2].client(), &path);
                scope.spawn(move || {
                    let likes = (0..LIKES).map(|n| {
                        let like = write(&format!("{writer}-{n}"), "PUT", path, &Value::Null);
                        let liked = client.send(&like).expect(200);
                        liked.value()["version"].as_u64().unwrap()
                    });
                    likes.collect::<Vec<_>>()
                })
            })
            .collect();
        let written = writers
            .into_iter()
            .flat_map(|writer| writer.join().unwrap());
        written.collect()
    });
    versions.sort_unstable();
    let last = WRITERS as u64 * LIKES + 1;
    assert_eq!(versions, (2..=last).collect::<Vec<_>>());
    let lost: u64 = servers
        .iter()
        .map(|server| metric(&mut server.client(), "conflicts_total"))
        .sum();
    assert!(lost > 0, "they never met");
}
