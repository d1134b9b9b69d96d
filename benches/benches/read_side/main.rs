//! How many events per second reach the read model on PostgreSQL: beside the driver alone, on the same server, round by round.
//!
//! `POSTGRES_URL=… MONGODB_URI=… cargo bench -p benches --bench read_side`; what has no server is not measured.
//!
//! - `projector`: a [`ProjectionRunner`] along a log in memory, slices of 500 events: decode, load what they touch, fold, write.
//!   Beside it `raw unnest upserts`: the rows that each slice comes to, made beforehand, upserted and the place moved in
//!   one transaction for each slice, pipelined. It reads no row and decides nothing.
//! - `rebuild`: [`PgReplay::rebuild`] of a log in MongoDB: copy, make the indexes, catch up. Beside it `raw read + raw COPY`:
//!   documents read by the MongoDB driver as they are, rows made beforehand copied in binary in slices of as many events, the
//!   same indexes made.
//!
//! Both sides have four partitions with a connection each, the same tables and indexes, `synchronous_commit` off; at the end
//! their tables are compared. Each round takes new tables; the ratio is the median of those round by round. With
//! `--test` there is one short round.

mod history;
mod raw;

use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cqrs_core::{AppendToLog, MemoryStore, Partition, ProjectionRunner, RunnerOptions, Timer};
use cqrs_mongo::{MongoOptions, MongoStore};
use cqrs_postgres::{PgModels, PgOptions, PgProjection, PgReadModel, PgReplay, SchemaName};
use futures_util::TryStreamExt;
use futures_util::future::{join_all, try_join_all};
use mimalloc::MiMalloc;
use mongodb::bson::{RawDocumentBuf, doc};
use social_read_model::SocialReadModel;
use tokio::runtime::Runtime;

use crate::history::{Slice, Told, history, slices};
use crate::raw::Raw;

/// As the binaries have it that do this.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

const PARTITIONS: u16 = 4;
/// What the runner takes at once, and what a rebuild copies at once.
const APPLIED: usize = 500;
const COPIED: usize = 10_000;

fn main() {
    let test = std::env::args().any(|arg| arg == "--test");
    let Ok(postgres) = std::env::var("POSTGRES_URL") else {
        println!("read_side: POSTGRES_URL is not set; nothing is measured");
        return;
    };
    let (events, rounds) = if test { (4_000, 1) } else { (100_000, 7) };
    let runtime = Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let told = history(PARTITIONS, events);
        let events = told.iter().map(Vec::len).sum();
        projector(&postgres, &told, events, rounds).await;
        match std::env::var("MONGODB_URI") {
            Ok(mongo) => rebuild(&postgres, &mongo, &told, events, rounds).await,
            Err(_) => println!("rebuild: MONGODB_URI is not set; it is not measured"),
        }
    });
}

async fn projector(url: &str, told: &[Vec<Told>], events: usize, rounds: usize) {
    let log = MemoryStore::new(PARTITIONS);
    append(&log, told).await;
    let slices: Vec<_> = told.iter().map(|told| slices(told, APPLIED)).collect();
    let mut table = Rounds::new("projector", "raw unnest upserts", events);
    for _ in 0..rounds {
        let ours = Model::open(url).await;
        let projection = PgProjection::new(
            ours.models.clone(),
            ours.models
                .open(&ours.model, PARTITIONS)
                .await
                .expect("a model"),
            Arc::new(SocialReadModel::new()),
        );
        let options = RunnerOptions {
            max_events: APPLIED,
            ..RunnerOptions::default()
        };
        let runner = ProjectionRunner::new(log.clone(), projection, Time, options);
        let begun = Instant::now();
        runner.catch_up(pending()).await.expect("it catches up");
        let took = begun.elapsed();

        let bare = Model::open(url).await;
        let connections = bare.connections().await;
        let begun = Instant::now();
        let writing = connections.iter().zip(&slices);
        join_all(writing.map(|(raw, slices)| raw.upsert(slices))).await;
        table.add(took, begun.elapsed());
        assert_eq!(ours.sums(1).await, bare.sums(1).await, "other rows");
        ours.end().await;
        bare.end().await;
    }
    table.tell();
}

async fn rebuild(postgres: &str, mongo: &str, told: &[Vec<Told>], events: usize, rounds: usize) {
    let database = format!("cqrs_bench_{:016x}", benches::next_id().as_u128() as u64);
    let database = format!("{database}_{}", std::process::id());
    let options = MongoOptions {
        partitions: PARTITIONS,
        ..MongoOptions::new(mongo.to_owned(), &database)
    };
    let log = MongoStore::open(options).await.expect("a log");
    append(&log, told).await;
    let client = mongodb::Client::with_uri_str(mongo).await;
    let client = client.expect("a client");
    let stored = client.database(&database);
    let slices: Vec<Vec<_>> = told
        .iter()
        .map(|told| slices(told, COPIED).into_iter().map(parted).collect())
        .collect();
    let mut table = Rounds::new("rebuild", "raw read + raw COPY", events);
    for _ in 0..rounds {
        let ours = Model::open(postgres).await;
        let (models, model) = (ours.models.clone(), Arc::new(SocialReadModel::new()));
        let replay = PgReplay::new(models, model, log.clone(), Time);
        let lock = replay.lock().await.expect("the lock");
        let begun = Instant::now();
        let rebuilt = replay.rebuild(&lock, pending()).await.expect("a rebuild");
        let took = begun.elapsed();
        drop(lock);

        let bare = Model::open(postgres).await;
        bare.drop_indexes().await;
        let connections = bare.connections().await;
        let begun = Instant::now();
        let parts = connections.iter().zip(&slices).enumerate();
        let copying = parts.map(|(partition, (raw, slices))| {
            let log = stored.collection::<RawDocumentBuf>(&format!("log_{partition}"));
            copy(log, raw, slices)
        });
        try_join_all(copying).await.expect("it is copied");
        connections[0].execute(&bare.indexes()).await;
        table.add(took, begun.elapsed());
        let (made, due) = (ours.sums(rebuilt.version).await, bare.sums(1).await);
        assert_eq!(made, due, "other rows");
        ours.end().await;
        bare.end().await;
    }
    table.tell();
    log.close().await;
    // A server may not let it go.
    if let Err(error) = stored.drop().await {
        println!("`{database}` stays: {error}");
    }
    client.shutdown().await;
}

/// New posts apart from those that an earlier slice wrote.
fn parted(mut slice: Slice) -> (Slice, history::Posts) {
    let earlier = slice.posts.split_off(slice.new_posts);
    (slice, earlier)
}

async fn copy(
    log: mongodb::Collection<RawDocumentBuf>,
    raw: &Raw,
    slices: &[(Slice, history::Posts)],
) -> Result<(), Box<dyn std::error::Error>> {
    let mut place = 0;
    for (slice, earlier) in slices {
        let to = place + slice.events as i64;
        let range = doc! {"_id": {"$gt": place, "$lte": to}};
        let mut found = log.find(range).sort(doc! {"_id": 1}).await?;
        let mut read = 0;
        while found.try_next().await?.is_some() {
            read += 1;
        }
        assert_eq!(read, slice.events, "commits that were read");
        raw.copy(slice, earlier).await?;
        place = to;
    }
    Ok(())
}

async fn append(log: &impl AppendToLog, told: &[Vec<Told>]) {
    let partitions = told.iter().map(|told| async move {
        for batch in told.chunks(APPLIED) {
            let appended = batch.iter().map(|told| log.append(told.commit.clone()));
            for appended in join_all(appended).await {
                appended.expect("it is appended");
            }
        }
    });
    join_all(partitions).await;
}

/// Tables of its own under a prefix of its own; the first version is live.
struct Model {
    models: PgModels,
    model: SocialReadModel,
    prefix: String,
    url: String,
}

impl Model {
    async fn open(url: &str) -> Self {
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed();
        let now = now.expect("after 1970").as_nanos();
        let prefix = format!("bench_{now:x}");
        let pool = PgOptions::parse(url).expect("a URL").pool();
        let name = SchemaName::parse(&prefix).expect("a name");
        let models = PgModels::new(pool.expect("a pool"), &name);
        let model = SocialReadModel::new();
        models.open(&model, PARTITIONS).await.expect("a model");
        Self {
            models,
            model,
            prefix,
            url: url.to_owned(),
        }
    }

    async fn connections(&self) -> Vec<Raw> {
        let schema = format!("{}_1", self.prefix);
        let mut connections = Vec::new();
        for partition in Partition::all(PARTITIONS) {
            let partition = i32::from(partition.index());
            connections.push(Raw::connect(&self.url, &schema, partition).await);
        }
        connections
    }

    fn indexes(&self) -> String {
        let schema = format!("{}_1", self.prefix);
        self.model.create_indexes().replace("{schema}", &schema)
    }

    async fn drop_indexes(&self) {
        let names = self.model.create_indexes().lines();
        let names = names.filter_map(|line| line.split_once(" ON ")?.0.rsplit(' ').next());
        for name in names {
            let drop = format!("DROP INDEX {}_1.{name}", self.prefix);
            self.execute(&drop).await;
        }
    }

    /// What the tables of a version hold, in figures.
    async fn sums(&self, version: u32) -> Vec<i64> {
        let schema = format!("{}_{version}", self.prefix);
        let sql = format!(
            "SELECT count(*), sum(like_count)::int8, sum(comment_count)::int8, sum(version)::int8,
                (SELECT count(*) FROM {schema}.social_like),
                (SELECT sum(seq)::int8 FROM {schema}.social_comment),
                (SELECT sum(comments)::int8 FROM {schema}.social_commenter),
                (SELECT sum(likes_received)::int8 FROM {schema}.social_author_stat),
                (SELECT sum(post_count + comment_count)::int8 FROM {schema}.social_author_stat)
             FROM {schema}.social_post"
        );
        let client = self.models.pool().get().await.expect("a connection");
        let row = client.query_one(&sql, &[]).await.expect("the sums");
        (0..row.len()).map(|column| row.get(column)).collect()
    }

    async fn execute(&self, sql: &str) {
        let client = self.models.pool().get().await.expect("a connection");
        client.batch_execute(sql).await.expect("it is done");
    }

    async fn end(self) {
        let sql = format!(
            "DO $$ DECLARE s text; BEGIN
                FOR s IN SELECT nspname FROM pg_namespace WHERE nspname LIKE '{}%' LOOP
                    EXECUTE 'DROP SCHEMA ' || s || ' CASCADE';
                END LOOP;
             END $$",
            self.prefix
        );
        self.execute(&sql).await;
    }
}

/// What both sides took, round by round.
struct Rounds {
    ours: &'static str,
    bare: &'static str,
    events: usize,
    took: Vec<(f64, f64)>,
}

impl Rounds {
    fn new(ours: &'static str, bare: &'static str, events: usize) -> Self {
        Self {
            ours,
            bare,
            events,
            took: Vec::new(),
        }
    }

    fn add(&mut self, ours: Duration, bare: Duration) {
        self.took.push((ours.as_secs_f64(), bare.as_secs_f64()));
    }

    fn tell(&self) {
        let of = |what: fn(&(f64, f64)) -> f64| {
            let mut all: Vec<f64> = self.took.iter().map(what).collect();
            all.sort_by(f64::total_cmp);
            all[all.len() / 2]
        };
        let rate = |seconds: f64| self.events as f64 / seconds;
        println!(
            "{} {:.0} events/s, {} {:.0} events/s, ratio {:.2} (medians of {} rounds of {} events)",
            self.ours,
            rate(of(|took| took.0)),
            self.bare,
            rate(of(|took| took.1)),
            of(|took| took.1 / took.0),
            self.took.len(),
            self.events,
        );
    }
}

#[derive(Debug, Clone, Copy)]
struct Time;

impl Timer for Time {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}
