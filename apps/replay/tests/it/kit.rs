//! An installation of its own for each test, the binary, and traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cqrs_core::{
    Actor, AppendToLog, Appended, Codec, CommandId, Commit, CommitHeader, Envelope, EventData,
    ExpectedVersion, LogPosition, Partition, Position, ProjectionRunner, Reservations,
    RunnerOptions, StreamName, TailLog, Timestamp,
};
use cqrs_mongo::{MongoOptions, MongoStore};
use cqrs_postgres::{ModelVersion, PgModels, PgOptions, PgProjection, PgReadModel, SchemaName};
use social_api::TokioTimer;
use social_domain::{PostCreated, PostEvent, PostLiked};
use social_read_model::SocialReadModel;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// A database, a prefix and a topic that nobody else has.
#[derive(Clone)]
pub(crate) struct Installation {
    pub(crate) uri: String,
    pub(crate) prefix: SchemaName,
    pub(crate) topic: String,
    pub(crate) partitions: u16,
    pub(crate) models: PgModels,
}

/// What a call of the binary came to.
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) told: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn expect(self, status: i32) -> String {
        assert_eq!(self.status, Some(status), "{}\n{}", self.stdout, self.told);
        self.stdout
    }
}

impl Installation {
    pub(crate) fn new(partitions: u16) -> Self {
        let random = getrandom::u64().unwrap();
        let uri = std::env::var("MONGODB_URI").unwrap();
        let (server, options) = uri.split_once('?').unwrap_or((&uri, ""));
        let server = server.trim_end_matches('/');
        let prefix = SchemaName::parse(&format!("p{random:016x}")).unwrap();
        // Some tests have no use for it.
        let url = std::env::var("POSTGRES_URL").unwrap_or("postgres://nowhere/d".to_owned());
        let pool = PgOptions::parse(&url).unwrap().pool().unwrap();
        Self {
            uri: format!("{server}/replay_{random:016x}?{options}"),
            models: PgModels::new(pool, &prefix),
            prefix,
            topic: format!("replay-{random:016x}"),
            partitions,
        }
    }

    /// The log.
    pub(crate) async fn log(&self) -> MongoStore {
        let options = MongoOptions {
            partitions: self.partitions,
            ..MongoOptions::new(&self.uri, social_service::log_database(&self.uri))
        };
        MongoStore::open(options).await.unwrap()
    }

    /// The binary, with the settings of this installation.
    pub(crate) fn replay(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_replay"));
        command
            .args(arguments)
            .env("MONGODB_URI", &self.uri)
            .env("SOCIAL_EVENTS_TOPIC", &self.topic)
            .env("SOCIAL_PARTITIONS", self.partitions.to_string())
            .env("SOCIAL_SCHEMA_PREFIX", self.prefix.as_str())
            .env("RUST_LOG", "warn")
            .kill_on_drop(true);
        command
    }

    /// Runs the binary to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        let output = self.replay(arguments).output().await.unwrap();
        Ended {
            status: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            told: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs the binary again as long as a killed one still has the right to replay, which the server takes back
    /// once it has noticed.
    pub(crate) async fn run_once_free(&self, arguments: &[&str]) -> Ended {
        loop {
            let ended = self.run(arguments).await;
            if ended.status != Some(4) {
                return ended;
            }
        }
    }

    /// Starts the binary.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        self.replay(arguments).spawn().unwrap()
    }

    /// Brings `version` up to the log's end.
    pub(crate) async fn feed<M: PgReadModel>(
        &self,
        log: &MongoStore,
        version: ModelVersion,
        model: M,
    ) {
        let projection = PgProjection::new(self.models.clone(), version, Arc::new(model));
        let options = RunnerOptions {
            attempts: 1,
            ..RunnerOptions::default()
        };
        let runner = ProjectionRunner::new(log.clone(), projection, TokioTimer, options);
        runner.catch_up(std::future::pending()).await.unwrap();
    }

    /// Makes a live version that has all of the log.
    pub(crate) async fn live(&self, log: &MongoStore) -> ModelVersion {
        let model = SocialReadModel::new();
        let live = self.models.open(&model, self.partitions).await.unwrap();
        self.feed(log, live.clone(), model).await;
        live
    }

    pub(crate) async fn live_version(&self) -> u32 {
        let live = self.models.live(&SocialReadModel::new()).await;
        live.unwrap().version
    }

    /// Feeds every version that is to be fed, until told to end.
    pub(crate) fn projector(&self, log: &MongoStore, over: &Arc<AtomicBool>) -> JoinHandle<()> {
        let (installation, log, over) = (self.clone(), log.clone(), Arc::clone(over));
        tokio::spawn(async move {
            while !over.load(Ordering::Acquire) {
                let fed = installation.models.fed(&SocialReadModel::new()).await;
                for version in fed.unwrap() {
                    let stop = retired(installation.models.clone(), version.clone());
                    let model = Arc::new(SocialReadModel::new());
                    let projection = PgProjection::new(installation.models.clone(), version, model);
                    let options = RunnerOptions::default();
                    let runner =
                        ProjectionRunner::new(log.clone(), projection, TokioTimer, options);
                    runner.catch_up(stop).await.unwrap();
                }
            }
        })
    }

    /// The last position of each partition.
    pub(crate) async fn heads(&self, log: &MongoStore) -> Vec<LogPosition> {
        let mut heads = Vec::new();
        for partition in Partition::all(self.partitions) {
            let head: Position = log.head(partition).await.unwrap();
            heads.push(LogPosition::new(partition, head));
        }
        heads
    }
}

/// Completes once `version` is retired, so that nobody waits for it.
async fn retired(models: PgModels, version: ModelVersion) {
    while !models.places(&version).await.is_ok_and(|at| at.is_empty()) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

pub(crate) fn post(number: u128) -> StreamName {
    StreamName::new("post", &Uuid::from_u128(number)).unwrap()
}

pub(crate) fn data(event: PostEvent) -> EventData {
    Codec::<PostEvent>::new().encode(&event).unwrap()
}

pub(crate) fn created() -> EventData {
    data(PostEvent::from(PostCreated {
        author: "ada".to_owned(),
        message: "hi".to_owned(),
    }))
}

pub(crate) fn liked(actor: u64) -> EventData {
    data(PostEvent::from(PostLiked {
        actor: format!("actor-{actor}"),
    }))
}

pub(crate) fn commit(stream: StreamName, events: Vec<EventData>) -> Commit {
    let id = Uuid::from_u64_pair(getrandom::u64().unwrap(), getrandom::u64().unwrap());
    let time = Timestamp::from_millis(1_700_000_000_000);
    let envelope = Envelope::new(CommandId::new(id), Actor::parse("ada").unwrap(), time);
    Commit {
        stream,
        expected: ExpectedVersion::Any,
        header: CommitHeader::from(&envelope),
        events,
        reservations: Reservations::none(),
    }
}

pub(crate) async fn append(
    log: &MongoStore,
    stream: StreamName,
    events: Vec<EventData>,
) -> Appended {
    log.append(commit(stream, events)).await.unwrap()
}

/// `posts` posts, each with `likes` likes, one commit each; the posts' commits are on their way together.
pub(crate) async fn history(log: &MongoStore, posts: u128, likes: u64) {
    let appends = (1..=posts).map(|number| async move {
        append(log, post(number), vec![created()]).await;
        for actor in 0..likes {
            append(log, post(number), vec![liked(actor)]).await;
        }
    });
    futures_util::future::join_all(appends).await;
}

/// Asks until it is so; fails the test where that takes a minute.
pub(crate) async fn until<F: Future<Output = bool>>(mut so: impl FnMut() -> F) {
    let asked = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), asked)
        .await
        .unwrap();
}
