//! What the batches tell.

use std::time::Duration;

use bytes::Bytes;
use cqrs_core::{
    CommandId, Known, KnownState, OpenIntent, Partition, Position, RequestHash, StreamName,
    Timestamp,
};
use tiberius::{FromSql, Row};
use uuid::Uuid;

use crate::error::CallError;

/// Result sets, in order.
pub(super) struct Told {
    sets: std::vec::IntoIter<Vec<Row>>,
}

impl Told {
    pub(super) fn new(sets: Vec<Vec<Row>>) -> Self {
        let sets = sets.into_iter();
        Self { sets }
    }

    /// The next set.
    pub(super) fn rows(&mut self) -> Result<Vec<Row>, CallError> {
        self.sets.next().ok_or(CallError::Unknown("number of sets"))
    }

    /// The first row of the next set.
    pub(super) fn row(&mut self) -> Result<Option<Row>, CallError> {
        Ok(self.rows()?.into_iter().next())
    }

    /// The next set is one number.
    pub(super) fn outcome(&mut self) -> Result<i32, CallError> {
        let row = self.row()?.ok_or(CallError::Unknown("outcome"))?;
        get(&row, "outcome")
    }

    /// The row in the next set; none where there is none, or where it changed while it was read.
    pub(super) fn known(&mut self) -> Result<Option<Known>, CallError> {
        self.row()?.map_or(Ok(None), |row| known(&row))
    }

    /// The open intent in the next set, likewise.
    pub(super) fn open(&mut self) -> Result<Option<OpenIntent>, CallError> {
        self.row()?.map_or(Ok(None), |row| open(&row))
    }
}

pub(super) fn known(row: &Row) -> Result<Option<Known>, CallError> {
    let request = optional::<&[u8]>(row, "request")?.map(<[u8; 32]>::try_from);
    let request = request.transpose();
    let request = request.map_err(|_| CallError::Unknown("request"))?;
    let state = match get::<u8>(row, "state")? {
        1 => KnownState::Claimed {
            owner: uuid(row, "owner")?,
            left: left(row)?,
        },
        2 => match open(row)? {
            Some(open) => KnownState::Intent(open),
            None => return Ok(None),
        },
        3 => KnownState::Answered(Bytes::copy_from_slice(get(row, "answer")?)),
        4 => KnownState::Done,
        _ => return Err(CallError::Unknown("state")),
    };
    Ok(Some(Known {
        request: request.map(RequestHash::new),
        time: Timestamp::from_millis(get(row, "received_ms")?),
        attempt: attempt(row)?,
        state,
    }))
}

pub(super) fn open(row: &Row) -> Result<Option<OpenIntent>, CallError> {
    let body = optional::<&[u8]>(row, "body")?;
    // Without a body or out of its state, it was finished while it was read.
    let (Some(body), Some(2)) = (body, optional::<u8>(row, "state")?) else {
        return Ok(None);
    };
    Ok(Some(OpenIntent {
        command: CommandId::new(uuid(row, "id")?),
        attempt: attempt(row)?,
        owner: uuid(row, "owner")?,
        left: left(row)?,
        commit: Bytes::copy_from_slice(body),
        contested: get::<i32>(row, "contested")? == 1,
    }))
}

pub(super) fn checkpoint(row: &Row) -> Result<(Partition, Position), CallError> {
    let partition = u16::try_from(get::<i32>(row, "number")?);
    let position = u64::try_from(get::<i64>(row, "position")?);
    match (partition, position) {
        (Ok(partition), Ok(position)) => Ok((Partition::new(partition), Position::new(position))),
        _ => Err(CallError::Unknown("checkpoint")),
    }
}

pub(super) fn stream(bytes: &[u8]) -> Result<StreamName, CallError> {
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(|text| StreamName::parse(text).ok())
        .ok_or(CallError::Unknown("stream"))
}

pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, column: &'static str) -> Result<T, CallError> {
    optional(row, column)?.ok_or(CallError::Unknown(column))
}

pub(super) fn optional<'a, T: FromSql<'a>>(
    row: &'a Row,
    column: &'static str,
) -> Result<Option<T>, CallError> {
    Ok(row.try_get(column)?)
}

fn attempt(row: &Row) -> Result<u32, CallError> {
    let attempt = get::<i32>(row, "attempt")?;
    u32::try_from(attempt).map_err(|_| CallError::Unknown("attempt"))
}

fn left(row: &Row) -> Result<Duration, CallError> {
    let millis: i64 = get(row, "left_ms")?;
    Ok(Duration::from_millis(u64::try_from(millis).unwrap_or(0)))
}

fn uuid(row: &Row, column: &'static str) -> Result<Uuid, CallError> {
    let bytes: &[u8] = get(row, column)?;
    Uuid::from_slice(bytes).map_err(|_| CallError::Unknown(column))
}
