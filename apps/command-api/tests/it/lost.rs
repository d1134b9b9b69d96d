//! The ledger is emptied, or brought back from a backup made before half of the traffic: it is made whole from the log.

use std::collections::BTreeMap;
use std::thread;

use cqrs_core::{Partition, Position, ReadLog, StreamName, TailLog};
use cqrs_mongo::MongoStore;
use serde_json::{Value, json};
use social_test_kit::{Answer, Client, Process, Request, until, write};

use crate::ledger::run;
use crate::stage::Stage;

on_each_ledger!(
    a_ledger_that_was_emptied_is_made_whole,
    a_ledger_that_is_emptied_under_the_processes_is_made_whole,
    a_ledger_from_a_backup_is_made_whole,
);

/// A keyed command, and its first answer.
struct Asked {
    request: Request,
    answer: Answer,
}

/// Few handles for many actors.
const ACTORS: u64 = 12;
const HANDLES: u64 = 8;
const ROUNDS: u64 = 4;

fn start(stage: &Stage) -> [Process; 2] {
    [stage.start(&[]), stage.start(&[])]
}

fn end(servers: [Process; 2]) {
    for mut server in servers {
        assert_eq!(server.signal("TERM"), Some(0));
    }
}

fn settled(client: &mut Client, request: &Request) -> Answer {
    until(|| {
        let answer = client.send(request);
        match answer.status {
            200 | 201 => Ok(answer),
            409 if answer.value()["type"] == "/problems/handle-taken" => Ok(answer),
            _ => Err(String::from_utf8_lossy(&answer.body).into_owned()),
        }
    })
}

/// Half of the traffic, at both processes at once: registrations, changes of handles there and back, and posts.
fn traffic(servers: &[Process; 2], half: u64) -> Vec<Asked> {
    thread::scope(|scope| {
        let asked: Vec<_> = (0..ACTORS)
            .map(|actor| {
                let mut client = servers[(actor % 2) as usize].client();
                scope.spawn(move || {
                    let requests = (half * ROUNDS..(half + 1) * ROUNDS)
                        .flat_map(|round| commands(actor, round));
                    let asked = requests.map(|request| Asked {
                        answer: settled(&mut client, &request),
                        request,
                    });
                    asked.collect::<Vec<_>>()
                })
            })
            .collect();
        let asked = asked.into_iter().flat_map(|asked| asked.join().unwrap());
        asked.collect()
    })
}

fn commands(actor: u64, round: u64) -> [Request; 2] {
    let handle = handle((actor * 5 + round * 3) % HANDLES);
    let profile = json!({"handle": handle, "display_name": "name"});
    let actor = format!("actor-{actor}");
    let post = json!({"message": format!("post {round}")});
    [
        write(&actor, "PUT", "/v1/authors/me", &profile).key(&format!("handle-{round}")),
        write(&actor, "POST", "/v1/posts", &post).key(&format!("post-{round}")),
    ]
}

fn handle(number: u64) -> String {
    format!("Handle_{number}")
}

/// Asks for everything again, each at the other process: what was accepted is answered as before.
fn ask_again(servers: &[Process; 2], asked: &[Asked]) {
    for (nth, Asked { request, answer }) in asked.iter().enumerate() {
        // On a new connection: one that waited for a slow ledger at the other process may be closed for idleness.
        let again = settled(&mut servers[nth % 2].client(), request);
        // A refusal is forgotten with the ledger that kept it.
        if answer.status != 409 {
            assert_eq!((again.status, &again.body), (answer.status, &answer.body));
        }
    }
}

/// Who holds which handle, by the log: each command once, and no handle twice.
fn holders(stage: &Stage) -> BTreeMap<String, StreamName> {
    let commits = run(async {
        let log = MongoStore::open(stage.log()).await.unwrap();
        let mut commits = Vec::new();
        for partition in Partition::all(log.partitions()) {
            let read = log.read_partition(partition, Position::START, 10_000).await;
            commits.extend(read.unwrap());
        }
        log.close().await;
        commits
    });
    let mut commands: Vec<_> = commits
        .iter()
        .map(|commit| commit.header.command_id)
        .collect();
    commands.sort_unstable();
    commands.dedup();
    assert_eq!(commands.len(), commits.len());
    let mut handles = BTreeMap::new();
    for commit in commits {
        for event in &commit.events {
            let payload: Value = serde_json::from_slice(&event.payload).unwrap();
            if let Some(handle) = payload["handle"].as_str() {
                handles.insert(commit.stream.clone(), handle.to_owned());
            }
        }
    }
    let mut holders = BTreeMap::new();
    for (stream, handle) in handles {
        let other = holders.insert(handle.clone(), stream);
        assert_eq!(other, None, "two have {handle}");
    }
    holders
}

/// The ledger knows the owners that the log knows.
fn agrees(stage: &Stage) {
    let handles: Vec<_> = (0..HANDLES).map(handle).collect();
    let holders = holders(stage);
    let expected: Vec<_> = handles
        .iter()
        .map(|handle| holders.get(handle).cloned())
        .collect();
    assert_eq!(stage.ledger.owners(stage.log(), &handles), expected);
}

/// Some were refused, or there was no race.
fn was_contested(asked: &[Asked]) {
    assert!(asked.iter().any(|asked| asked.answer.status == 409));
}

fn a_ledger_that_was_emptied_is_made_whole(stage: Stage) {
    let servers = start(&stage);
    let mut asked = traffic(&servers, 0);
    asked.extend(traffic(&servers, 1));
    was_contested(&asked);
    end(servers);
    stage.ledger.wipe();
    let servers = start(&stage);
    ask_again(&servers, &asked);
    agrees(&stage);
    // And it goes on from there.
    ask_again(&servers, &traffic(&servers, 2));
    agrees(&stage);
}

fn a_ledger_that_is_emptied_under_the_processes_is_made_whole(stage: Stage) {
    let servers = start(&stage);
    let mut asked = traffic(&servers, 0);
    stage.ledger.wipe();
    asked.extend(traffic(&servers, 1));
    was_contested(&asked);
    stage.ledger.wipe();
    ask_again(&servers, &asked);
    agrees(&stage);
}

fn a_ledger_from_a_backup_is_made_whole(stage: Stage) {
    let servers = start(&stage);
    let mut asked = traffic(&servers, 0);
    end(servers);
    stage.ledger.keep();
    let servers = start(&stage);
    asked.extend(traffic(&servers, 1));
    was_contested(&asked);
    end(servers);
    stage.ledger.restore();
    let servers = start(&stage);
    ask_again(&servers, &asked);
    agrees(&stage);
    ask_again(&servers, &traffic(&servers, 2));
    agrees(&stage);
}
