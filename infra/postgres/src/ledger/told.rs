//! What the server's functions tell.

use std::time::Duration;

use bytes::Bytes;
use cqrs_core::{
    CommandId, IntentError, Known, KnownState, OpenIntent, RequestHash, ReservedValue, StreamName,
    Timestamp,
};
use tokio_postgres::Row;

use super::error::{store, unknown};

/// The columns of `told`.
pub(super) const COLUMNS: &str = "outcome, command, request, received, attempt, owner, left_ms, state, commit, \
     answer, contested, scope, value, stream";

pub(super) enum Told {
    /// As asked; the attempt, where it is told.
    Done(Option<i32>),
    Known(Known),
    Blocked(OpenIntent),
    Taken(ReservedValue, StreamName),
    Lost,
    /// What stood in the way is gone: ask again.
    Gone,
}

impl Told {
    pub(super) fn read(row: &Row) -> Result<Self, IntentError> {
        let outcome: Option<i16> = row.try_get("outcome").map_err(store)?;
        Ok(match outcome {
            None => Self::Gone,
            Some(0) => Self::Done(row.try_get("attempt").map_err(store)?),
            Some(1) => Self::Known(known(row)?),
            Some(2) => Self::Blocked(open(row)?),
            Some(3) => {
                let [scope, value, stream] =
                    ["scope", "value", "stream"].map(|name| row.try_get::<_, String>(name));
                let value = ReservedValue::new(scope.map_err(store)?, value.map_err(store)?);
                let stream = StreamName::parse(&stream.map_err(store)?).map_err(store)?;
                Self::Taken(value, stream)
            }
            Some(4) => Self::Lost,
            Some(_) => return Err(unknown("outcome")),
        })
    }
}

fn known(row: &Row) -> Result<Known, IntentError> {
    let request: Option<&[u8]> = row.try_get("request").map_err(store)?;
    let request = request.map(<[u8; 32]>::try_from).transpose();
    let received = row.try_get("received").map_err(store)?;
    let state: i16 = row.try_get("state").map_err(store)?;
    Ok(Known {
        request: request.map_err(store)?.map(RequestHash::new),
        time: Timestamp::from_millis(received),
        attempt: attempt(row)?,
        state: match state {
            0 => KnownState::Claimed {
                owner: row.try_get("owner").map_err(store)?,
                left: left(row)?,
            },
            1 => KnownState::Intent(open(row)?),
            2 => KnownState::Answered(bytes(row, "answer")?),
            3 => KnownState::Done,
            _ => return Err(unknown("state")),
        },
    })
}

/// A row that is `INTENT`.
pub(super) fn open(row: &Row) -> Result<OpenIntent, IntentError> {
    Ok(OpenIntent {
        command: CommandId::new(row.try_get("command").map_err(store)?),
        attempt: attempt(row)?,
        owner: row.try_get("owner").map_err(store)?,
        left: left(row)?,
        commit: bytes(row, "commit")?,
        contested: row.try_get("contested").map_err(store)?,
    })
}

fn attempt(row: &Row) -> Result<u32, IntentError> {
    let attempt: i32 = row.try_get("attempt").map_err(store)?;
    u32::try_from(attempt).map_err(store)
}

fn left(row: &Row) -> Result<Duration, IntentError> {
    let millis: i64 = row.try_get("left_ms").map_err(store)?;
    Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

fn bytes(row: &Row, column: &str) -> Result<Bytes, IntentError> {
    let bytes: &[u8] = row.try_get(column).map_err(store)?;
    Ok(Bytes::copy_from_slice(bytes))
}
