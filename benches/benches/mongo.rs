//! How many appends per second reach MongoDB: the store against raw `insert_many` of the same batches.
//!
//! `MONGODB_URI=… cargo bench -p benches --bench mongo`; without the URI nothing is measured.
//!
//! One iteration is one commit by each of so many callers, all on their way at once; every commit begins a stream.
//!
//! - `store`: [`MongoStore`] with one partition. It decides nothing, but checks, numbers, groups and answers.
//! - `raw insert_many`: the driver alone, one ordered insert of as many documents as there are callers, of the same
//!   fields and size, into a collection with the same unique indexes, under the same write concern.
//!
//! The ratio of the two is what the store costs; the target is 0.8. Both leave their database behind, as a server
//! may not let them drop it.
#![allow(missing_docs, reason = "criterion's macros make public functions")]

use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use cqrs_core::{
    AppendToLog, Commit, CommitHeader, Encoding, EventData, EventType, ExpectedVersion,
    Reservations, StreamName,
};
use cqrs_mongo::{MongoOptions, MongoStore};
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use futures_util::future::join_all;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, DateTime, Document, doc};
use mongodb::options::{IndexOptions, WriteConcern};
use mongodb::{Client, Collection, IndexModel};
use tokio::runtime::Runtime;
use uuid::Uuid;

const CALLERS: [u64; 3] = [1, 50, 500];
const PAYLOAD: [u8; 300] = [b'x'; 300];

fn mongo(c: &mut Criterion) {
    let Ok(uri) = std::env::var("MONGODB_URI") else {
        println!("mongo: MONGODB_URI is not set; nothing is measured");
        return;
    };
    let runtime = Runtime::new().expect("a runtime");
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let database = format!("cqrs_bench_{}", now.expect("a time after 1970").as_nanos());
    let options = MongoOptions {
        partitions: 1,
        ..MongoOptions::new(uri.clone(), format!("{database}_store"))
    };
    let store = runtime
        .block_on(MongoStore::open(options))
        .expect("a store");
    let raw = runtime.block_on(raw_log(&uri, &format!("{database}_raw")));
    let mut number = 0;
    let mut group = c.benchmark_group("mongo");
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(500));
    group.measurement_time(Duration::from_secs(3));
    for callers in CALLERS {
        group.throughput(Throughput::Elements(callers));
        group.bench_function(BenchmarkId::new("store", callers), |bench| {
            bench.iter_custom(|rounds| {
                let batches: Vec<Vec<Commit>> = (0..rounds).map(|_| commits(callers)).collect();
                runtime.block_on(async {
                    let begun = Instant::now();
                    for batch in batches {
                        for appended in join_all(batch.into_iter().map(|c| store.append(c))).await {
                            appended.expect("an append");
                        }
                    }
                    begun.elapsed()
                })
            });
        });
        group.bench_function(BenchmarkId::new("raw insert_many", callers), |bench| {
            bench.iter_custom(|rounds| {
                let batches: Vec<Vec<Document>> = (0..rounds)
                    .map(|_| {
                        commits(callers)
                            .iter()
                            .map(|commit| {
                                number += 1;
                                document(commit, number)
                            })
                            .collect()
                    })
                    .collect();
                runtime.block_on(async {
                    let begun = Instant::now();
                    for batch in batches {
                        raw.insert_many(batch)
                            .ordered(true)
                            .await
                            .expect("an insert");
                    }
                    begun.elapsed()
                })
            });
        });
    }
    group.finish();
    runtime.block_on(store.close());
}

/// A collection with the store's indexes and write concern.
async fn raw_log(uri: &str, database: &str) -> Collection<Document> {
    let client = Client::with_uri_str(uri).await.expect("a client");
    let mut journaled = WriteConcern::majority();
    journaled.journal = Some(true);
    let options = mongodb::options::DatabaseOptions::builder()
        .write_concern(journaled)
        .build();
    let log = client
        .database_with_options(database, options)
        .collection("log_0");
    let unique = |keys| {
        let options = IndexOptions::builder().unique(true).build();
        IndexModel::builder().keys(keys).options(options).build()
    };
    log.create_indexes([unique(doc! { "s": 1, "v": 1 }), unique(doc! { "c": 1 })])
        .await
        .expect("the indexes");
    log
}

fn commits(count: u64) -> Vec<Commit> {
    (0..count)
        .map(|_| {
            let header = CommitHeader::from(&benches::envelope());
            let id = header.command_id;
            Commit {
                stream: StreamName::new("note", &id).expect("a name"),
                expected: ExpectedVersion::NoStream,
                header,
                events: vec![EventData {
                    event_type: EventType::new("written", 1),
                    encoding: Encoding::Json,
                    payload: Bytes::from_static(&PAYLOAD),
                }],
                reservations: Reservations::none(),
            }
        })
        .collect()
}

/// What the store writes of `commit`, field by field.
fn document(commit: &Commit, position: i64) -> Document {
    let uuid = |uuid: Uuid| Binary {
        subtype: BinarySubtype::Uuid,
        bytes: uuid.as_bytes().to_vec(),
    };
    let payload = Binary {
        subtype: BinarySubtype::Generic,
        bytes: PAYLOAD.to_vec(),
    };
    let header = &commit.header;
    doc! {
        "_id": position, "v": 1_i64, "w": 1_i64, "n": 1_i64,
        "s": commit.stream.as_str(),
        "c": uuid(header.command_id.as_uuid()),
        "a": header.actor.as_str(),
        "t": DateTime::from_millis(header.time.as_millis()),
        "o": uuid(header.correlation_id),
        "u": uuid(header.causation_id),
        "e": [{ "k": "written", "x": 1_i64, "f": "json", "d": payload }],
    }
}

criterion_group!(benches, mongo);
criterion_main!(benches);
