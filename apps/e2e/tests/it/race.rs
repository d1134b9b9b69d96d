//! Many clients after few handles, at several command-apis that are killed again and again.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use cqrs_core::testing::InstantTimer;
use cqrs_core::{Coordinator, CoordinatorOptions, IntentStore, Ledger, ReservedValue, StreamName};
use cqrs_mongo::MongoStore;
use cqrs_mssql::{MssqlIntents, MssqlOptions, MssqlPool};
use cqrs_postgres::{PgIntents, PgOptions, SchemaName};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::client::{Answer, Client, get, write};
use crate::history::History;
use crate::load::Random;
use crate::process::Process;
use crate::wait::{PATIENCE, pause};
use crate::world::World;

/// How much of it. `SOCIAL_RACE=10000x1000` are 10,000 registrations of 1,000 handles.
#[derive(Debug, Clone, Copy)]
struct Race {
    registrations: u64,
    handles: u64,
    kills: u64,
}

const CLIENTS: u64 = 32;
const PROCESSES: usize = 4;

impl Race {
    fn wanted() -> Self {
        let size = std::env::var("SOCIAL_RACE").unwrap_or_else(|_| "300x40".to_owned());
        let (registrations, handles) = size.split_once('x').expect("SOCIAL_RACE is AxB");
        let registrations = registrations.parse().unwrap();
        Self {
            registrations,
            handles: handles.parse().unwrap(),
            kills: 3 + registrations / 500,
        }
    }

    fn handle(&self, number: u64) -> String {
        // Neighbours, which ask at the same time, want the same handles as often as others.
        format!("Handle_{}", Random(number).below(self.handles))
    }

    /// Every fifth has no key: its client does not ask again, so what was begun is left to whoever finds it.
    fn key(number: u64) -> Option<String> {
        (!number.is_multiple_of(5)).then(|| format!("register-{number}"))
    }
}

fn actor(number: u64) -> String {
    format!("racer-{number}")
}

/// Registers once, at one process after the other until there is an answer that tells; `None` where nobody knows.
fn register(race: &Race, number: u64, addresses: &[SocketAddr]) -> Option<Answer> {
    let body = json!({"handle": race.handle(number), "display_name": format!("No. {number}")});
    let mut request = write(&actor(number), "PUT", "/v1/authors/me", &body);
    let key = Race::key(number);
    if let Some(key) = &key {
        request = request.key(key);
    }
    let deadline = Instant::now() + PATIENCE;
    for turn in number.. {
        let address = addresses[usize::try_from(turn).unwrap() % addresses.len()];
        let answer = Client::new(address).try_send(&request);
        let told = answer.as_ref().map(|a| (a.status, a.slug()));
        let told = told
            .as_ref()
            .map(|(status, slug)| (*status, slug.as_deref()));
        match told {
            Ok((200, _) | (409, Some("handle-taken"))) => return answer.ok(),
            Err(_)
            | Ok(
                (503, Some("overloaded" | "store-unavailable"))
                | (409, Some("in-progress" | "conflict")),
            ) => {}
            Ok(_) => panic!("{request:?} was answered {answer:?}"),
        }
        key.as_ref()?;
        assert!(
            Instant::now() < deadline,
            "no answer to {request:?}: {answer:?}"
        );
        pause(Duration::from_millis(20));
    }
    unreachable!("the numbers do not end")
}

/// Lets the clients race while processes are killed; the answers by registration.
fn run(race: &Race, processes: &mut [Process]) -> BTreeMap<u64, Answer> {
    let addresses: Vec<_> = processes.iter().map(|process| process.address).collect();
    let (next, done) = (AtomicU64::new(0), AtomicU64::new(0));
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|_| {
                scope.spawn(|| {
                    let mut answers = Vec::new();
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= race.registrations {
                            return answers;
                        }
                        if let Some(answer) = register(race, number, &addresses) {
                            answers.push((number, answer));
                        }
                        done.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let mut random = Random(race.registrations);
        for kill in 1..=race.kills {
            let moment = race.registrations * kill / (race.kills + 1);
            let running = || clients.iter().any(|client| !client.is_finished());
            while done.load(Ordering::Relaxed) < moment && running() {
                pause(Duration::from_millis(5));
            }
            let victim = &mut processes[usize::try_from(random.below(PROCESSES as u64)).unwrap()];
            victim.kill();
            pause(random.millis(0, 300));
            victim.restart();
        }
        let answers = clients
            .into_iter()
            .flat_map(|client| client.join().unwrap());
        answers.collect()
    })
}

/// Every handle that somebody was told of has exactly one owner, the same in log, ledger and read model, and every answer
/// was true.
fn race(
    world: &World,
    extra: Option<(String, String)>,
    ledger: impl AsyncFn(&[String], &World) -> Vec<Option<StreamName>>,
) {
    let race = Race::wanted();
    let mut environment = world.environment("command-api");
    environment.extend(extra);
    let mut processes: Vec<_> = (0..PROCESSES)
        .map(|_| Process::start("command-api", &environment, &world.log_of("command-api")))
        .collect();
    let readers = ["relay", "projector", "query-api"].map(|name| world.start(name));
    processes.iter().chain(&readers).for_each(Process::ready);
    let begun = Instant::now();
    let answers = run(&race, &mut processes);
    let took = begun.elapsed();
    let history = world.history();
    let owners = history.owners();
    let handles: Vec<_> = (0..race.handles).map(|n| format!("Handle_{n}")).collect();
    eprintln!(
        "{race:?} by {CLIENTS} clients at {PROCESSES} processes: {} answers, {} owners in {took:?}",
        answers.len(),
        owners.len(),
    );
    for (number, answer) in &answers {
        history.check_answer(&race, *number, answer);
        assert!(
            owners.contains_key(&race.handle(*number)),
            "nobody has the handle of {number}"
        );
    }
    let expected: Vec<_> = handles
        .iter()
        .map(|handle| owners.get(handle).cloned())
        .collect();
    assert_eq!(world.runtime.block_on(ledger(&handles, world)), expected);
    let mut client = readers[2].client();
    history
        .recount()
        .check_queries(&mut client, &history.token());
    for (handle, owner) in &owners {
        let author = client
            .send(&get(&format!("/v1/authors/@{handle}")))
            .expect(200);
        assert_eq!(author.value()["actor"], owner.id());
    }
    for process in processes.iter_mut() {
        process.end();
    }
}

impl History {
    /// Who has which handle; nobody changed any.
    fn owners(&self) -> BTreeMap<String, StreamName> {
        let (mut owners, mut streams) = (BTreeMap::new(), BTreeSet::new());
        for commit in self.commits() {
            let payload: Value = serde_json::from_slice(&commit.events[0].payload).unwrap();
            let handle = payload["handle"].as_str().unwrap().to_owned();
            let other = owners.insert(handle.clone(), commit.stream.clone());
            assert_eq!(other, None, "{handle} has two owners");
            assert!(streams.insert(&commit.stream), "registered twice");
        }
        owners
    }

    /// Who was accepted is in the log, where the answer says; who was refused is not.
    fn check_answer(&self, race: &Race, number: u64, answer: &Answer) {
        let actor = actor(number);
        let mut own = self.commits().filter(|commit| commit.stream.id() == actor);
        let (commit, second) = (own.next(), own.next());
        assert!(second.is_none(), "{actor} registered twice");
        match (answer.status, commit) {
            (200, Some(commit)) => {
                assert_eq!(answer.value()["position"], commit.at.to_string());
                let payload: Value = serde_json::from_slice(&commit.events[0].payload).unwrap();
                assert_eq!(payload["handle"], race.handle(number));
            }
            (409, None) => {}
            (status, commit) => panic!("{actor} was told {status}, and there is {commit:?}"),
        }
    }
}

/// Who holds each of `handles`, once the ledger holds what `log` does.
async fn owners<I: IntentStore>(
    log: MongoStore,
    intents: I,
    handles: &[String],
) -> Vec<Option<StreamName>> {
    let (instance, options) = (Uuid::from_u128(1), CoordinatorOptions::default());
    let coordinator = Coordinator::new(log.clone(), intents, InstantTimer, instance, options);
    coordinator.catch_up(std::future::pending()).await.unwrap();
    let mut owners = Vec::new();
    for handle in handles {
        let handle = ReservedValue::new("handle", handle.to_ascii_lowercase());
        owners.push(coordinator.owner(&handle).await.unwrap());
    }
    log.close().await;
    owners
}

#[test]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
fn a_handle_has_one_owner_whoever_is_killed() {
    race(&World::new(), None, async |handles, world| {
        let pool = PgOptions::parse(&world.postgres()).unwrap().pool().unwrap();
        let intents = PgIntents::new(pool, SchemaName::parse("ledger").unwrap());
        owners(world.open_log().await, intents, handles).await
    });
}

#[test]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI, MSSQL_URL and POSTGRES_URL"]
fn a_handle_has_one_owner_on_sql_server_whoever_is_killed() {
    let world = World::new();
    let server = std::env::var("MSSQL_URL").expect("needs MSSQL_URL");
    let sign = if server.contains('?') { '&' } else { '?' };
    let url = format!("{server}{sign}schema={}", world.names.database);
    race(
        &world,
        Some(("MSSQL_URL".to_owned(), url.clone())),
        async |handles, world| {
            let intents = MssqlIntents::new(MssqlPool::new(MssqlOptions::parse(&url).unwrap()));
            owners(world.open_log().await, intents, handles).await
        },
    );
}
