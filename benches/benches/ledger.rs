//! What a ledger costs: commands per second without key and reservation, with a key, with a reservation, with both.
//!
//! `cargo bench -p benches --bench ledger`; PostgreSQL and SQL Server are measured where `POSTGRES_URL` and `MSSQL_URL`
//! name one.
//!
//! One iteration is one command by each of the callers, all on their way at once, each on a stream of its own that is
//! cached. A reservation takes a new name and lets the one before go.
//!
//! - `memory`, `postgres`, `mssql`: a ledger beside a log in memory, so that what is seen is the ledger; finishes and the fold
//!   run beside it, as in a service.
//! - `sqlite`: log and ledger in one file, in one transaction.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use benches::{envelope, next_id};
use cqrs_core::{
    Aggregate, Clock, Codec, Command, Coordinator, CoordinatorOptions, Decide, Decided, EventLog,
    Executor, ExecutorOptions, Idempotency, Identity, IntentStore, Ledger, Mediator, MemoryIntents,
    MemoryStore, Message, RequestHash, Reservations, ReservedValue, Timer, Timestamp, Version,
};
use cqrs_mssql::{MssqlIntents, MssqlOptions, MssqlPool};
use cqrs_postgres::{PgIntents, PgOptions};
use cqrs_sqlite::{SqliteOptions, SqliteStore};
use criterion::measurement::WallTime;
use criterion::{
    BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main,
};
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use uuid::Uuid;

const CALLERS: [u64; 2] = [1, 32];

/// A badge with a name that no other has.
#[derive(Debug, Default)]
struct Badge {
    name: Option<Uuid>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Changed {
    name: Option<Uuid>,
    before: Option<Uuid>,
}

cqrs_core::events! {
    #[derive(Debug, Clone)]
    enum BadgeEvent {
        Changed = "badge-changed" v1,
    }
}

/// No command is refused; a refusal must be one that can be stored all the same.
#[derive(Debug, Clone, Serialize, Deserialize)]
enum Never {}

/// Gives a badge a name, or polishes it where there is none.
#[derive(Debug, Clone)]
struct Change {
    badge: Uuid,
    name: Option<Uuid>,
}

impl Message for Change {
    const NAME: &'static str = "Change";
    type Reply = Version;
    type Error = Never;
}

impl Command for Change {}

impl Aggregate for Badge {
    const CATEGORY: &'static str = "badge";
    type Id = Uuid;
    type Event = BadgeEvent;

    fn evolve(self, BadgeEvent::Changed(changed): &BadgeEvent) -> Self {
        Self {
            name: changed.name.or(self.name),
        }
    }

    fn reservations(&self, events: &[BadgeEvent]) -> Reservations {
        let value = |name: &Uuid| ReservedValue::new("badge", name.to_string());
        let mut reservations = Reservations::none();
        for BadgeEvent::Changed(changed) in events {
            reservations
                .reserve
                .extend(changed.name.as_ref().map(value));
            reservations
                .release
                .extend(changed.before.as_ref().map(value));
        }
        reservations
    }
}

impl Decide<Change> for Badge {
    fn target(change: &Change, _: &cqrs_core::Envelope) -> Uuid {
        change.badge
    }

    fn decide(&self, change: &Change, _: &cqrs_core::Envelope) -> Result<Vec<BadgeEvent>, Never> {
        let changed = Changed {
            name: change.name,
            before: change.name.and(self.name),
        };
        Ok(vec![changed.into()])
    }

    fn reply(_: &Change, decided: &Decided<'_, BadgeEvent>) -> Version {
        decided.version
    }
}

struct System;

impl Clock for System {
    fn now(&self) -> Timestamp {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let millis = now.expect("a time after 1970").as_millis();
        Timestamp::from_millis(i64::try_from(millis).expect("a time before the year 292,278,994"))
    }
}

impl Timer for System {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

/// What a command uses of the ledger.
const KINDS: [(&str, bool, bool); 4] = [
    ("neither", false, false),
    ("key", true, false),
    ("reservation", false, true),
    ("both", true, true),
];

fn ledger(c: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let mut group = c.benchmark_group("ledger");
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(3));
    beside_memory(
        &mut group,
        &runtime,
        "memory",
        MemoryIntents::new(Arc::new(System)),
    );
    {
        let folder = tempfile::tempdir().expect("a folder");
        let store = SqliteStore::open(folder.path().join("store.db"), SqliteOptions::default());
        let store = store.expect("a store");
        measure(&mut group, &runtime, "sqlite", &store, &store);
        runtime.block_on(store.close());
    }
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let schema = format!("bench_{}", now.expect("a time after 1970").as_nanos());
    match std::env::var("POSTGRES_URL") {
        Ok(url) => {
            let pool = PgOptions::parse(&url).and_then(|options| options.pool());
            let schema = cqrs_postgres::SchemaName::parse(&schema).expect("a name");
            let intents = PgIntents::new(pool.expect("POSTGRES_URL is a URL"), schema);
            beside_memory(&mut group, &runtime, "postgres", intents);
        }
        Err(_) => println!("ledger: POSTGRES_URL is not set; PostgreSQL is not measured"),
    }
    match std::env::var("MSSQL_URL") {
        Ok(url) => {
            let schema = cqrs_mssql::SchemaName::parse(&schema).expect("a name");
            let options = MssqlOptions::parse(&url).expect("MSSQL_URL can be used");
            let pool = MssqlPool::new(options.with_schema(schema));
            // The tables are made before the first command comes.
            runtime.block_on(pool.check()).expect("a server");
            let intents = MssqlIntents::new(pool);
            beside_memory(&mut group, &runtime, "mssql", intents);
        }
        Err(_) => println!("ledger: MSSQL_URL is not set; SQL Server is not measured"),
    }
    group.finish();
}

fn beside_memory<I>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    name: &str,
    intents: I,
) where
    I: IntentStore + 'static,
{
    let (instance, options) = (next_id(), CoordinatorOptions::default());
    let coordinator = Coordinator::new(MemoryStore::new(4), intents, System, instance, options);
    let running = coordinator.clone();
    let beside = runtime.spawn(async move { running.run(pending()).await });
    measure(group, runtime, name, &coordinator, &coordinator);
    beside.abort();
}

fn measure<L, G>(
    group: &mut BenchmarkGroup<'_, WallTime>,
    runtime: &Runtime,
    name: &str,
    log: &L,
    ledger: &G,
) where
    L: EventLog + Clone,
    G: Ledger + Clone,
{
    let executor = Executor::<Badge, _>::new(log.clone(), Codec::new(), ExecutorOptions::default());
    let mediator = Mediator::new(executor).with(Idempotency::new(ledger.clone()));
    for callers in CALLERS {
        group.throughput(Throughput::Elements(callers));
        let badges: Vec<_> = (0..callers).map(|_| next_id()).collect();
        for (kind, keyed, reserving) in KINDS {
            let round = || {
                join_all(badges.iter().map(async |badge| {
                    let mut envelope = envelope();
                    if keyed {
                        let request = RequestHash::new([7; 32]);
                        envelope = envelope.with_identity(Identity::Keyed(request));
                    }
                    let change = Change {
                        badge: *badge,
                        name: reserving.then(next_id),
                    };
                    mediator.send(change, &envelope).await.expect("an answer")
                }))
            };
            // The streams are cached, and the ledger is opened.
            runtime.block_on(round());
            let id = BenchmarkId::new(format!("{name}, {kind}"), callers);
            group.bench_function(id, |bench| {
                bench.iter_custom(|rounds| {
                    runtime.block_on(async {
                        let begun = Instant::now();
                        for _ in 0..rounds {
                            round().await;
                        }
                        begun.elapsed()
                    })
                });
            });
        }
    }
}

criterion_group!(benches, ledger);
criterion_main!(benches);
