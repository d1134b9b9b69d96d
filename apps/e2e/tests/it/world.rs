//! One installation of the system: names of its own on the engines, and the processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use cqrs_mongo::{MongoOptions, MongoStore};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions};
use rdkafka::client::DefaultClientContext;
use tokio::runtime::Runtime;
use tokio_postgres::{NoTls, Row};

use crate::client::{Client, get};
use crate::load::Attempt;
use crate::names::{Names, with_database};
use crate::process::{Process, Run, run};
use crate::wait::until;

/// Where the engines are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Engines {
    pub(crate) mongo: String,
    pub(crate) kafka: String,
    pub(crate) postgres: String,
}

impl Engines {
    /// Those that the environment names.
    pub(crate) fn named() -> Self {
        let read = |key: &str| std::env::var(key).unwrap_or_else(|_| panic!("needs {key}"));
        Self {
            mongo: read("MONGODB_URI"),
            kafka: read("KAFKA_BROKERS"),
            postgres: read("POSTGRES_URL"),
        }
    }
}

/// The databases and topics of one test, gone when dropped.
pub(crate) struct World {
    pub(crate) names: Names,
    pub(crate) engines: Engines,
    pub(crate) runtime: Runtime,
    logs: PathBuf,
    started: AtomicU32,
    _turn: MutexGuard<'static, ()>,
}

static TURN: Mutex<()> = Mutex::new(());

impl World {
    /// On the engines that the environment names.
    pub(crate) fn new() -> Self {
        Self::on(Engines::named())
    }

    /// On engines of a test's own.
    pub(crate) fn on(engines: Engines) -> Self {
        // A test that failed has left nothing that this one could meet.
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let names = Names::unique();
        let logs = Path::new(env!("CARGO_TARGET_TMPDIR")).join(&names.database);
        fs::create_dir_all(&logs).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let world = Self {
            names,
            engines,
            runtime,
            logs,
            started: AtomicU32::new(0),
            _turn: turn,
        };
        let create = format!("CREATE DATABASE {}", world.names.database);
        world.sql_at(&world.engines.postgres, &create);
        world
    }

    /// What the service `name` is told.
    pub(crate) fn environment(&self, name: &str) -> Vec<(String, String)> {
        let pairs = [
            ("SOCIAL_GROUP", format!("{}.{name}", self.names.database)),
            ("MONGODB_URI", self.mongo()),
            ("KAFKA_BROKERS", self.engines.kafka.clone()),
            ("POSTGRES_URL", self.postgres()),
            ("SOCIAL_EVENTS_TOPIC", self.names.events.clone()),
            ("SOCIAL_COMMANDS_TOPIC", self.names.commands.clone()),
            ("SOCIAL_REPLIES_TOPIC", self.names.replies.clone()),
            ("RUST_LOG", "info".to_owned()),
        ];
        pairs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value))
            .collect()
    }

    pub(crate) fn mongo(&self) -> String {
        with_database(&self.engines.mongo, &self.names.database)
    }

    pub(crate) fn postgres(&self) -> String {
        with_database(&self.engines.postgres, &self.names.database)
    }

    /// Starts a service.
    pub(crate) fn start(&self, name: &'static str) -> Process {
        Process::start(name, &self.environment(name), &self.log_of(name))
    }

    /// A file for what a process logs.
    pub(crate) fn log_of(&self, name: &str) -> PathBuf {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        self.logs.join(format!("{number}-{name}.log"))
    }

    /// The log, beside the services.
    pub(crate) fn store(&self) -> MongoStore {
        self.runtime.block_on(self.open_log())
    }

    pub(crate) async fn open_log(&self) -> MongoStore {
        let options = MongoOptions::new(self.mongo(), &self.names.database);
        MongoStore::open(options).await.unwrap()
    }

    /// What a statement answers in this test's database.
    pub(crate) fn sql(&self, statement: &str) -> Vec<Row> {
        self.sql_at(&self.postgres(), statement)
    }

    fn sql_at(&self, url: &str, statement: &str) -> Vec<Row> {
        self.runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            let talking = tokio::spawn(connection);
            let rows = client.query(statement, &[]).await;
            drop(client);
            talking.await.unwrap().unwrap();
            rows.unwrap_or_else(|error| panic!("{statement}: {error:?}"))
        })
    }

    fn forget(&self) {
        let drop_database = format!("DROP DATABASE {} WITH (FORCE)", self.names.database);
        self.sql_at(&self.engines.postgres, &drop_database);
        let topics = [
            &*self.names.events,
            &*self.names.commands,
            &*self.names.replies,
            &*self.names.bare,
        ];
        let admin: AdminClient<DefaultClientContext> = ClientConfig::new()
            .set("bootstrap.servers", &self.engines.kafka)
            .create()
            .unwrap();
        let uri = self.mongo();
        self.runtime.block_on(async {
            // A test that made no topic has none to be deleted.
            drop(admin.delete_topics(&topics, &AdminOptions::new()).await);
            let mongo = mongodb::Client::with_uri_str(&uri).await.unwrap();
            mongo.database(&self.names.database).drop().await.unwrap();
            mongo.shutdown().immediate(true).await;
        });
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!(
                "what the services logged is kept in {}",
                self.logs.display()
            );
        } else {
            self.forget();
            fs::remove_dir_all(&self.logs).unwrap();
        }
    }
}

/// The services of one installation. The processes are gone before their databases are.
pub(crate) struct System {
    pub(crate) command_api: Process,
    pub(crate) relay: Process,
    pub(crate) projector: Process,
    pub(crate) query_api: Process,
    pub(crate) activity: Process,
    pub(crate) world: World,
}

impl System {
    /// One of each service, all of them ready.
    pub(crate) fn start() -> Self {
        Self::start_in(World::new())
    }

    pub(crate) fn start_in(world: World) -> Self {
        let system = Self {
            command_api: world.start("command-api"),
            relay: world.start("relay"),
            projector: world.start("projector"),
            query_api: world.start("query-api"),
            activity: world.start("activity"),
            world,
        };
        for service in [
            &system.command_api,
            &system.relay,
            &system.projector,
            &system.query_api,
            &system.activity,
        ] {
            service.ready();
        }
        system
    }

    pub(crate) fn commands(&self) -> Client {
        self.command_api.client()
    }

    pub(crate) fn queries(&self) -> Client {
        self.query_api.client()
    }

    /// The service called `name`.
    pub(crate) fn service(&mut self, name: &str) -> &mut Process {
        match name {
            "command-api" => &mut self.command_api,
            "relay" => &mut self.relay,
            "projector" => &mut self.projector,
            "query-api" => &mut self.query_api,
            "activity" => &mut self.activity,
            name => panic!("no service `{name}`"),
        }
    }

    /// Runs the tool.
    pub(crate) fn replay(&self, arguments: &[&str]) -> Run {
        run("replay", arguments, &self.world.environment("replay"))
    }

    /// Waits until queries reflect all of `attempts`.
    #[track_caller]
    pub(crate) fn is_current(&self, attempts: &[Attempt]) {
        let tokens: Vec<_> = attempts.iter().filter_map(Attempt::token).collect();
        assert!(!tokens.is_empty(), "nothing was accepted");
        self.reaches(&tokens.join(","));
    }

    /// Waits until queries reflect `token`; until then the answer is that they are behind.
    #[track_caller]
    pub(crate) fn reaches(&self, token: &str) {
        let mut client = self.queries();
        until("queries to be current", || {
            let answer = client.send(&get("/v1/posts?limit=1").at(token, 5));
            if answer.status == 200 {
                return Ok(());
            }
            let told = answer.expect_problem(503, "behind");
            Err(String::from_utf8_lossy(&told.body).into_owned())
        });
    }

    /// Ends all of them in good order.
    pub(crate) fn end(&mut self) {
        for service in [
            &mut self.command_api,
            &mut self.relay,
            &mut self.projector,
            &mut self.query_api,
            &mut self.activity,
        ] {
            service.end();
        }
    }
}

/// How long a question about the world may take.
pub(crate) const SHORT: Duration = Duration::from_secs(10);
