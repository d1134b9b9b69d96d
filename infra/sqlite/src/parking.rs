//! Streams of a read model that wait behind an event which cannot be applied.

use std::collections::BTreeSet;

use cqrs_core::{
    ApplyError, EventId, EventRef, LogPosition, Parked, Partition, Position, ReadError,
    RecordedCommit, RecordedEvent, StreamName,
};
use rusqlite::{Connection, params};

use crate::batch::{apply_all, recorded, store};
use crate::decoded::Decoded;
use crate::model::ReadModel;
use crate::record::{self, COLUMNS, int, nat, row_id};

/// The names of the parked streams.
pub(crate) fn streams(
    connection: &Connection,
    projection: &str,
    partition: Partition,
) -> rusqlite::Result<BTreeSet<String>> {
    connection
        .prepare_cached(
            "SELECT stream FROM parked_stream WHERE projection = ?1 AND partition = ?2",
        )?
        .query_map(params![projection, partition.index()], |row| row.get(0))?
        .collect()
}

/// Lets `event` wait; with a reason where it is its stream's first.
pub(crate) fn park(
    connection: &Connection,
    projection: &str,
    event: &RecordedEvent<'_>,
    reason: Option<&str>,
) -> rusqlite::Result<()> {
    let (at, stream) = (event.id.at, event.commit.stream.as_str());
    let (partition, position) = (at.partition.index(), int(at.position.get()));
    if let Some(reason) = reason {
        connection
            .prepare_cached(
                "INSERT INTO parked_stream (projection, partition, stream, position, event, reason)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO NOTHING",
            )?
            .execute(params![
                projection,
                partition,
                stream,
                position,
                event.id.index,
                reason
            ])?;
    }
    connection
        .prepare_cached(
            "INSERT INTO parked_event (projection, partition, position, event, stream)
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )?
        .execute(params![
            projection,
            partition,
            position,
            event.id.index,
            stream
        ])?;
    Ok(())
}

/// The parked streams, those parked first before the others.
pub(crate) fn parked(
    connection: &Connection,
    projection: &str,
    partition: Partition,
) -> rusqlite::Result<Vec<Parked>> {
    connection
        .prepare_cached(
            "SELECT stream, position, event, reason,
                 (SELECT count(*) FROM parked_event e
                  WHERE e.projection = s.projection AND e.partition = s.partition
                      AND e.stream = s.stream)
             FROM parked_stream s WHERE projection = ?1 AND partition = ?2 ORDER BY position, event",
        )?
        .query_map(params![projection, partition.index()], |row| {
            let stream = StreamName::parse(row.get_ref(0)?.as_str()?).map_err(|error| {
                let text = rusqlite::types::Type::Text;
                rusqlite::Error::FromSqlConversionFailure(0, text, error.into())
            })?;
            Ok(Parked {
                stream,
                first: EventId {
                    at: LogPosition::new(partition, Position::new(nat(row.get(1)?))),
                    index: row.get(2)?,
                },
                reason: row.get(3)?,
                waiting: nat(row.get(4)?),
            })
        })?
        .collect()
}

/// Applies what waits of `stream`, read from the log again, and lets it go.
pub(crate) fn release<M: ReadModel>(
    connection: &Connection,
    model: &M,
    partition: Partition,
    stream: &StreamName,
) -> Result<(), ApplyError> {
    let name = model.name();
    let waiting = waiting(connection, name, partition, stream).map_err(store)?;
    let mut commits: Vec<RecordedCommit> = Vec::new();
    let mut places = Vec::with_capacity(waiting.len());
    for (position, event) in waiting {
        let at = LogPosition::new(partition, position);
        if commits.last().is_none_or(|commit| commit.at != at) {
            commits.push(commit_at(connection, at)?);
        }
        places.push(EventRef {
            commit: commits.len() - 1,
            event,
        });
    }
    let events =
        recorded(&commits, places.into_iter()).map_err(|source| ApplyError::Store { source })?;
    let decoded = Decoded::none().all(model, &events);
    apply_all(connection, model, partition, &events, decoded)?;
    for table in ["parked_event", "parked_stream"] {
        let sql =
            format!("DELETE FROM {table} WHERE projection = ?1 AND partition = ?2 AND stream = ?3");
        connection
            .prepare_cached(&sql)
            .and_then(|mut s| s.execute(params![name, partition.index(), stream.as_str()]))
            .map_err(store)?;
    }
    Ok(())
}

fn waiting(
    connection: &Connection,
    projection: &str,
    partition: Partition,
    stream: &StreamName,
) -> rusqlite::Result<Vec<(Position, usize)>> {
    connection
        .prepare_cached(
            "SELECT position, event FROM parked_event
             WHERE projection = ?1 AND partition = ?2 AND stream = ?3 ORDER BY position, event",
        )?
        .query_map(
            params![projection, partition.index(), stream.as_str()],
            |row| {
                let event = usize::try_from(row.get::<_, u32>(1)?).unwrap_or(usize::MAX);
                Ok((Position::new(nat(row.get(0)?)), event))
            },
        )?
        .collect()
}

fn commit_at(connection: &Connection, at: LogPosition) -> Result<RecordedCommit, ApplyError> {
    connection
        .prepare_cached(&format!("SELECT {COLUMNS} FROM commits WHERE at = ?1"))
        .and_then(|mut statement| statement.query_row([row_id(at)], |row| Ok(record::read(row))))
        .map_err(store)?
        .map_err(|error: ReadError| ApplyError::Store {
            source: error.into(),
        })
}
