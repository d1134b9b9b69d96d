//! A partition's collection on the server.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use cqrs_core::{CommandId, Position, StreamName};
use mongodb::Collection;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Bson, Document, RawDocumentBuf, doc};
use mongodb::error::Error;
use mongodb::options::ReadConcern;
use tokio::time::Instant;

use crate::answers;
use crate::engine::{Documents, Engine, Inserted, Slice, Time};
use crate::error::StoreFailure;
use crate::record::{self, Stub, int};

/// A slice ends here, whatever was asked for: 16 MiB of documents.
const MAX_SLICE_BYTES: usize = 16 << 20;
/// The most commits in one slice.
const MAX_SLICE: usize = 10_000;

/// Why a call to the server gave nothing.
#[derive(Debug)]
pub(crate) enum Failed {
    /// What the driver said.
    Driver(Error),
    /// It did not answer in time, or its task ended.
    Unanswered(StoreFailure),
}

impl From<Failed> for StoreFailure {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Driver(error) => error.into(),
            Failed::Unanswered(failure) => failure,
        }
    }
}

/// Runs a call of the driver to its end in a task of its own, and waits no longer than `limit` for it.
///
/// The driver's futures must not be dropped half-way (RUST-937); this one may be.
pub(crate) async fn call<T: Send + 'static>(
    limit: Duration,
    call: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Failed> {
    let task = tokio::spawn(call);
    match tokio::time::timeout(limit, task).await {
        Ok(Ok(answer)) => answer.map_err(Failed::Driver),
        Ok(Err(ended)) => Err(Failed::Unanswered(StoreFailure::new(ended))),
        Err(_) => Err(Failed::Unanswered(StoreFailure::timed_out())),
    }
}

/// A log collection with what is needed to call it.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    pub(crate) log: Collection<RawDocumentBuf>,
    pub(crate) limit: Duration,
    /// The strongest read concern that the server has for one document.
    pub(crate) strict: ReadConcern,
}

fn stub_fields() -> Document {
    doc! { "_id": 1, "v": 1, "w": 1, "n": 1, "s": 1, "c": 1, "q": 1 }
}

pub(crate) fn command_key(command: CommandId) -> Bson {
    Bson::Binary(Binary {
        subtype: BinarySubtype::Uuid,
        bytes: command.as_uuid().as_bytes().to_vec(),
    })
}

fn read_stub(doc: &RawDocumentBuf) -> Result<Stub, StoreFailure> {
    record::stub(doc).map_err(|reason| {
        let position = record::position(doc);
        StoreFailure::new(format!(
            "the log is corrupt at position {position}: {reason}"
        ))
    })
}

impl Driver {
    async fn find(
        &self,
        filter: Document,
        sort: Document,
        limit: usize,
    ) -> Result<Vec<Stub>, StoreFailure> {
        let (log, max_time) = (self.log.clone(), self.limit);
        let found = async move {
            let mut cursor = log
                .find(filter)
                .sort(sort)
                .limit(int(limit as u64))
                .projection(stub_fields())
                .max_time(max_time)
                .await?;
            let mut docs = Vec::new();
            while cursor.advance().await? {
                docs.push(cursor.current().to_owned());
            }
            Ok(docs)
        };
        let docs = call(self.limit, found).await?;
        docs.iter().map(read_stub).collect()
    }
}

impl Engine for Driver {
    async fn insert(&self, docs: Vec<Arc<RawDocumentBuf>>) -> Inserted {
        let (log, last) = (self.log.clone(), docs.len());
        let insert = async move { log.insert_many(docs).ordered(true).await };
        match call(self.limit, insert).await {
            Ok(done) if done.inserted_ids.len() == last => Inserted::All,
            Ok(done) => Inserted::Unknown(StoreFailure::new(format!(
                "{} of {last} documents were acknowledged",
                done.inserted_ids.len()
            ))),
            Err(Failed::Driver(error)) => match answers::lost_at(&error) {
                Some(index) if index < last => Inserted::Lost(index),
                _ => Inserted::Unknown(error.into()),
            },
            Err(Failed::Unanswered(failure)) => Inserted::Unknown(failure),
        }
    }

    async fn head(&self, known: Position) -> Result<Position, StoreFailure> {
        let past = doc! { "_id": { "$gt": int(known.get()) } };
        let last = self.find(past, doc! { "_id": -1 }, 1).await?;
        Ok(last.first().map_or(known, |stub| stub.position))
    }

    async fn after(&self, position: Position, limit: usize) -> Result<Vec<Stub>, StoreFailure> {
        let filter = doc! { "_id": { "$gt": int(position.get()) } };
        let found = self.find(filter, doc! { "_id": 1 }, limit).await?;
        let mut next = position.next();
        for stub in &found {
            if stub.position != next {
                return Err(StoreFailure::new(format!(
                    "the log is corrupt: position {next} is missing"
                )));
            }
            next = next.next();
        }
        Ok(found)
    }

    async fn last_of(&self, stream: StreamName) -> Result<Option<Stub>, StoreFailure> {
        let filter = doc! { "s": stream.as_str() };
        let found = self.find(filter, doc! { "v": -1 }, 1).await?;
        Ok(found.into_iter().next())
    }

    async fn by_commands(&self, commands: Vec<CommandId>) -> Result<Vec<Stub>, StoreFailure> {
        let limit = commands.len();
        let keys: Vec<Bson> = commands.into_iter().map(command_key).collect();
        self.find(doc! { "c": { "$in": keys } }, doc! { "_id": 1 }, limit)
            .await
    }

    async fn is_taken(&self, stream: StreamName, first: u64) -> Result<bool, StoreFailure> {
        let (log, max_time, strict) = (self.log.clone(), self.limit, self.strict.clone());
        let found = async move {
            log.find_one(doc! { "s": stream.as_str(), "v": int(first) })
                .projection(doc! { "_id": 1 })
                .read_concern(strict)
                .max_time(max_time)
                .await
        };
        Ok(call(self.limit, found).await?.is_some())
    }

    async fn documents(&self, slice: Slice, max_events: usize) -> Result<Documents, StoreFailure> {
        let (filter, sort) = match slice {
            Slice::After(after) => (
                doc! { "_id": { "$gt": int(after.get()) } },
                doc! { "_id": 1 },
            ),
            Slice::OfStream(stream, after) => (
                doc! { "s": stream.as_str(), "v": { "$gt": int(after.get()) } },
                doc! { "v": 1 },
            ),
            Slice::UpTo(stream, last) => (
                doc! { "s": stream.as_str(), "v": { "$lte": int(last.get()) } },
                doc! { "v": -1 },
            ),
        };
        let (log, max_time) = (self.log.clone(), self.limit);
        let limit = max_events.clamp(1, MAX_SLICE);
        // One more than is given, to know whether there is one.
        let asked = limit + 1;
        let read = async move {
            let mut cursor = log
                .find(filter)
                .sort(sort)
                .limit(int(asked as u64))
                .batch_size(u32::try_from(asked).unwrap_or(u32::MAX))
                .max_time(max_time)
                .await?;
            let (mut docs, mut events, mut bytes) = (Documents::default(), 0, 0);
            while cursor.advance().await? {
                let doc = cursor.current();
                // A document that has no count is found out when it is decoded.
                events += record::nat(doc, "n").unwrap_or(1);
                bytes += doc.as_bytes().len();
                let over = events > max_events as u64 || bytes > MAX_SLICE_BYTES;
                if docs.found.len() == limit || over && !docs.found.is_empty() {
                    docs.more = true;
                    break;
                }
                docs.found.push(doc.to_owned());
            }
            Ok::<_, Error>(docs)
        };
        Ok(call(self.limit, read).await?)
    }

    async fn document_of(
        &self,
        command: CommandId,
    ) -> Result<Option<RawDocumentBuf>, StoreFailure> {
        let (log, max_time) = (self.log.clone(), self.limit);
        let find = async move {
            log.find_one(doc! { "c": command_key(command) })
                .max_time(max_time)
                .await
        };
        Ok(call(self.limit, find).await?)
    }
}

/// Since the first time that anybody asked.
impl Time for Driver {
    fn now(&self) -> Duration {
        static FIRST: LazyLock<Instant> = LazyLock::new(Instant::now);
        FIRST.elapsed()
    }

    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(span)
    }
}
