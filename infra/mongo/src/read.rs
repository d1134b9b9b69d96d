//! Reading whole commits, by majority reads on the primary.

use bson::RawDocumentBuf;
use cqrs_core::{
    CommandId, LogPosition, Partition, Position, ReadError, RecordedCommit, StreamName, Version,
};

use crate::engine::{Engine, Slice};
use crate::error::StoreFailure;
use crate::record;

pub(crate) fn store(failure: StoreFailure) -> ReadError {
    ReadError::Store {
        source: failure.into(),
    }
}

/// The commits of `partition` after `after`, and whether there are more of which none is given.
pub(crate) async fn partition(
    engine: &impl Engine,
    partition: Partition,
    after: Position,
    max_events: usize,
) -> Result<(Vec<RecordedCommit>, bool), ReadError> {
    let docs = engine.documents(Slice::After(after), max_events).await;
    let docs = docs.map_err(store)?;
    let mut next = after.next();
    let mut commits = Vec::with_capacity(docs.found.len());
    for doc in docs.found {
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
    Ok((commits, docs.more))
}

/// The commits of `stream` after version `after`.
pub(crate) async fn stream(
    engine: &impl Engine,
    partition: Partition,
    stream: &StreamName,
    after: Version,
    max_events: usize,
) -> Result<Vec<RecordedCommit>, ReadError> {
    let of_stream = Slice::OfStream(stream.clone(), after);
    let docs = engine.documents(of_stream, max_events).await;
    let docs = docs.map_err(store)?.found;
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
        check_boundary(engine, partition, stream, after).await?;
    }
    Ok(commits)
}

/// That the last commit that begins at or before `after` ends there.
async fn check_boundary(
    engine: &impl Engine,
    partition: Partition,
    stream: &StreamName,
    after: Version,
) -> Result<(), ReadError> {
    let up_to = Slice::UpTo(stream.clone(), after);
    let last = engine.documents(up_to, 1).await.map_err(store)?;
    let last = last.found.into_iter().next();
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
    engine: &impl Engine,
    partition: Partition,
    command: CommandId,
) -> Result<Option<RecordedCommit>, ReadError> {
    let found = engine.document_of(command).await.map_err(store)?;
    found.map(|doc| decode(doc, partition)).transpose()
}

fn decode(doc: RawDocumentBuf, partition: Partition) -> Result<RecordedCommit, ReadError> {
    let position = record::position(&doc);
    record::decode(doc, partition).map_err(|reason| ReadError::Corrupt {
        at: LogPosition::new(partition, position),
        reason: reason.to_owned(),
    })
}
