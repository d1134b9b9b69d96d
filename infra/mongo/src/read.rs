//! Reading whole commits, by majority reads on the primary.

use cqrs_core::{
    CommandId, LogPosition, Partition, Position, ReadError, RecordedCommit, StreamName, Version,
};
use mongodb::bson::{Document, RawDocumentBuf, doc};
use mongodb::error::Error;

use crate::driver::{Driver, Failed, call, command_key};
use crate::error::StoreFailure;
use crate::record::{self, int};

/// A slice ends here, whatever was asked for: 16 MiB of documents.
const MAX_SLICE_BYTES: usize = 16 << 20;
/// The most commits in one slice.
const MAX_SLICE: usize = 10_000;

pub(crate) fn store(failure: StoreFailure) -> ReadError {
    ReadError::Store {
        source: failure.into(),
    }
}

fn unread(failed: Failed) -> ReadError {
    store(failed.into())
}

/// The commits of `partition` after `after`.
pub(crate) async fn partition(
    driver: &Driver,
    partition: Partition,
    after: Position,
    max_events: usize,
) -> Result<Vec<RecordedCommit>, ReadError> {
    let filter = doc! { "_id": { "$gt": int(after.get()) } };
    let docs = slice(driver, filter, doc! { "_id": 1 }, max_events).await?;
    let mut next = after.next();
    let mut commits = Vec::with_capacity(docs.len());
    for doc in docs {
        let commit = decode(doc, partition)?;
        if commit.at.position != next {
            return Err(ReadError::Corrupt {
                at: commit.at,
                reason: format!("position {next} is missing before it"),
            });
        }
        next = next.next();
        commits.push(commit);
    }
    Ok(commits)
}

/// The commits of `stream` after version `after`.
pub(crate) async fn stream(
    driver: &Driver,
    partition: Partition,
    stream: &StreamName,
    after: Version,
    max_events: usize,
) -> Result<Vec<RecordedCommit>, ReadError> {
    let filter = doc! { "s": stream.as_str(), "v": { "$gt": int(after.get()) } };
    let docs = slice(driver, filter, doc! { "v": 1 }, max_events).await?;
    let mut before = after;
    let mut commits = Vec::with_capacity(docs.len());
    for doc in docs {
        let commit = decode(doc, partition)?;
        if commit.version_before() != before {
            return Err(ReadError::Corrupt {
                at: commit.at,
                reason: format!(
                    "stream `{stream}` goes on after version {}, expected {before}",
                    commit.version_before()
                ),
            });
        }
        before = commit.version;
        commits.push(commit);
    }
    if commits.is_empty() && after > Version::EMPTY {
        check_boundary(driver, partition, stream, after).await?;
    }
    Ok(commits)
}

/// That the last commit that begins at or before `after` ends there.
async fn check_boundary(
    driver: &Driver,
    partition: Partition,
    stream: &StreamName,
    after: Version,
) -> Result<(), ReadError> {
    let filter = doc! { "s": stream.as_str(), "v": { "$lte": int(after.get()) } };
    let last = slice(driver, filter, doc! { "v": -1 }, 1).await?;
    let last = last.into_iter().next();
    let last = last.map(|doc| decode(doc, partition)).transpose()?;
    let at = last.as_ref().map_or_else(
        || LogPosition::new(partition, Position::START),
        |last| last.at,
    );
    match last.map_or(Version::EMPTY, |last| last.version) {
        end if end == after => Ok(()),
        end if end > after => Err(ReadError::Corrupt {
            at,
            reason: format!("version {after} of stream `{stream}` is inside a commit"),
        }),
        _ => Err(ReadError::Corrupt {
            at,
            reason: format!("stream `{stream}` ends before version {after}"),
        }),
    }
}

/// The commit that `command` appended to `partition`.
pub(crate) async fn command(
    driver: &Driver,
    partition: Partition,
    command: CommandId,
) -> Result<Option<RecordedCommit>, ReadError> {
    let (log, max_time) = (driver.log.clone(), driver.limit);
    let find = async move {
        log.find_one(doc! { "c": command_key(command) })
            .max_time(max_time)
            .await
    };
    let found = call(driver.limit, find).await.map_err(unread)?;
    found.map(|doc| decode(doc, partition)).transpose()
}

fn decode(doc: RawDocumentBuf, partition: Partition) -> Result<RecordedCommit, ReadError> {
    let position = record::position(&doc);
    record::decode(doc, partition).map_err(|reason| ReadError::Corrupt {
        at: LogPosition::new(partition, position),
        reason: reason.to_owned(),
    })
}

/// Documents up to a number of events, at least one.
async fn slice(
    driver: &Driver,
    filter: Document,
    sort: Document,
    max_events: usize,
) -> Result<Vec<RawDocumentBuf>, ReadError> {
    let (log, max_time) = (driver.log.clone(), driver.limit);
    let limit = max_events.clamp(1, MAX_SLICE);
    let read = async move {
        let mut cursor = log
            .find(filter)
            .sort(sort)
            .limit(int(limit as u64))
            .batch_size(u32::try_from(limit).unwrap_or(u32::MAX))
            .max_time(max_time)
            .await?;
        let (mut docs, mut events, mut bytes) = (Vec::new(), 0, 0);
        while cursor.advance().await? {
            let doc = cursor.current();
            // A document that has no count is found out when it is decoded.
            events += record::nat(doc, "n").unwrap_or(1);
            bytes += doc.as_bytes().len();
            let over = events > max_events as u64 || bytes > MAX_SLICE_BYTES;
            if over && !docs.is_empty() {
                break;
            }
            docs.push(doc.to_owned());
        }
        Ok::<_, Error>(docs)
    };
    call(driver.limit, read).await.map_err(unread)
}
