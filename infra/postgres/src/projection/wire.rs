//! Parked commits as rows, and back. Reservations are not kept: a projection has no use for them.

use bytes::Bytes;
use cqrs_core::{
    Actor, BoxError, CommandId, CommitHeader, Encoding, EventData, EventType, LogPosition,
    Partition, Position, RecordedCommit, RequestHash, Reservations, StreamName, Timestamp,
    TraceContext, Version,
};
use deadpool_postgres::ClientWrapper;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use crate::projection::{big, nat};

/// The columns of a parked commit behind its version and partition, in the order in which [`read`] takes them.
pub(super) const COLUMNS: &str = "position, stream, stream_version, command, request, actor, at,
    correlation, causation, traceparent, tracestate, types, schema_versions, encodings, payloads, waiting";

/// Writes `commit`, of which the events `waiting` wait, by the statement `insert`.
pub(super) async fn write(
    client: &ClientWrapper,
    insert: &str,
    version: i32,
    commit: &RecordedCommit,
    waiting: &[usize],
) -> Result<(), Error> {
    let header = &commit.header;
    let events = || commit.events.iter();
    let types: Vec<&str> = events().map(|e| e.event_type.name()).collect();
    let schemas: Vec<i64> = events()
        .map(|e| i64::from(e.event_type.version()))
        .collect();
    let encodings: Vec<&str> = events().map(|e| e.encoding.as_str()).collect();
    let payloads: Vec<&[u8]> = events().map(|e| &e.payload[..]).collect();
    let number = |event: &usize| i32::try_from(*event).unwrap_or(i32::MAX);
    let waiting: Vec<i32> = waiting.iter().map(number).collect();
    let request = header.request.as_ref().map(|hash| &hash.as_bytes()[..]);
    let trace = header.trace.as_ref();
    let params: [&(dyn ToSql + Sync); 18] = [
        &version,
        &i32::from(commit.at.partition.index()),
        &big(commit.at.position.get()),
        &commit.stream.as_str(),
        &big(commit.version.get()),
        &header.command_id.as_uuid(),
        &request,
        &header.actor.as_str(),
        &header.time.as_millis(),
        &header.correlation_id,
        &header.causation_id,
        &trace.map(TraceContext::traceparent),
        &trace.and_then(TraceContext::tracestate),
        &types,
        &schemas,
        &encodings,
        &payloads,
        &waiting,
    ];
    let statement = client.prepare_cached(insert).await?;
    client.execute(&statement, &params).await.map(drop)
}

/// Reads a row of [`COLUMNS`]: the commit, and the numbers of its events that wait.
pub(super) fn read(
    partition: Partition,
    row: &Row,
) -> Result<(RecordedCommit, Vec<usize>), BoxError> {
    let types: Vec<String> = row.try_get(11)?;
    let schemas: Vec<i64> = row.try_get(12)?;
    let encodings: Vec<String> = row.try_get(13)?;
    let payloads: Vec<Vec<u8>> = row.try_get(14)?;
    let mut events = Vec::with_capacity(types.len());
    for (((name, schema), encoding), payload) in
        types.into_iter().zip(schemas).zip(encodings).zip(payloads)
    {
        let encoding = Encoding::parse(&encoding);
        events.push(EventData {
            event_type: EventType::new(name, u32::try_from(schema)?),
            encoding: encoding.ok_or("a parked event has an unknown encoding")?,
            payload: Bytes::from(payload),
        });
    }
    let request: Option<&[u8]> = row.try_get(4)?;
    let request = request.map(<[u8; 32]>::try_from).transpose()?;
    let traceparent: Option<&str> = row.try_get(9)?;
    let tracestate: Option<&str> = row.try_get(10)?;
    let commit = RecordedCommit {
        at: LogPosition::new(partition, Position::new(nat(row.try_get(0)?))),
        stream: StreamName::parse(row.try_get(1)?)?,
        version: Version::new(nat(row.try_get(2)?)),
        header: CommitHeader {
            command_id: CommandId::new(row.try_get(3)?),
            request: request.map(RequestHash::new),
            actor: Actor::parse(row.try_get(5)?)?,
            time: Timestamp::from_millis(row.try_get(6)?),
            correlation_id: row.try_get(7)?,
            causation_id: row.try_get(8)?,
            trace: traceparent.and_then(|parent| TraceContext::parse(parent, tracestate)),
        },
        events,
        reservations: Reservations::none(),
    };
    let waiting: Vec<i32> = row.try_get(15)?;
    let waiting = waiting.into_iter().map(usize::try_from);
    Ok((commit, waiting.collect::<Result<_, _>>()?))
}
