//! Keys, and what landed, as bytes.

use cqrs_core::{CommandId, Footing, Landed, ReservedValue};
use sha2::{Digest, Sha256};

use crate::error::CallError;

/// The id of a value, as the tables have it: of one length whatever the value's is, so no server's rules about blanks, zeros
/// or letters touch it.
pub(super) fn id(value: &ReservedValue) -> [u8; 32] {
    let scope = value.scope().as_bytes();
    let length = u32::try_from(scope.len()).unwrap_or(u32::MAX);
    let hash = Sha256::new()
        .chain_update(length.to_be_bytes())
        .chain_update(scope)
        .chain_update(value.value());
    hash.finalize().into()
}

/// The ids of values, one after another.
pub(super) fn ids(values: &[ReservedValue]) -> Vec<u8> {
    values.iter().flat_map(id).collect()
}

/// The position of each partition, 8 bytes each.
pub(super) fn footing(footing: &Footing) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::with_capacity(footing.folded.len() * 8);
    for at in footing.folded.iter() {
        bytes.extend(number(at.get())?.to_be_bytes());
    }
    Ok(bytes)
}

/// Rows that are held: command and attempt, 20 bytes each.
pub(super) fn held(rows: &[(CommandId, u32)]) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::with_capacity(rows.len() * 20);
    for (command, held) in rows {
        bytes.extend(command.as_uuid().as_bytes());
        bytes.extend(attempt(*held)?.to_be_bytes());
    }
    Ok(bytes)
}

/// Commits that landed; `sql/part/next.sql` reads them.
pub(super) fn landed(batch: &[Landed]) -> Result<Vec<u8>, CallError> {
    let mut bytes = Vec::new();
    for landed in batch {
        bytes.extend(landed.command.as_uuid().as_bytes());
        let request = landed.request.as_ref().map(|request| *request.as_bytes());
        bytes.push(u8::from(request.is_some()));
        bytes.extend(request.unwrap_or_default());
        bytes.extend(landed.time.as_millis().to_be_bytes());
        bytes.extend(number(landed.before.get())?.to_be_bytes());
        bytes.extend(number(landed.version.get())?.to_be_bytes());
        let stream = landed.stream.as_str();
        for length in [stream.len(), landed.reserve.len(), landed.release.len()] {
            let length = i32::try_from(length).map_err(|_| CallError::TooLarge)?;
            bytes.extend(length.to_be_bytes());
        }
        bytes.extend(stream.as_bytes());
        bytes.extend(ids(&landed.reserve));
        bytes.extend(ids(&landed.release));
    }
    Ok(bytes)
}

pub(super) fn number(number: u64) -> Result<i64, CallError> {
    i64::try_from(number).map_err(|_| CallError::TooLarge)
}

pub(super) fn attempt(attempt: u32) -> Result<i32, CallError> {
    i32::try_from(attempt).map_err(|_| CallError::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_apart_whatever_stands_where() {
        let value = |scope: &str, value: &str| id(&ReservedValue::new(scope.to_owned(), value));
        let ids = [
            value("a", "b"),
            value("ab", ""),
            value("", "ab"),
            value("a", "b\0"),
            value("a\0", "b"),
            value("a", "B"),
            value("a", "b "),
        ];
        for (n, one) in ids.iter().enumerate() {
            assert!(!ids[..n].contains(one), "{n}");
        }
    }

    #[test]
    fn ids_of_stored_values_stay_what_they_are() {
        let id = id(&ReservedValue::new("handle", "ada"));
        let hex: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "8e46a71d46e1e98b8adc39fae8d6729fe6269237cca30967773ec56300ca76b4"
        );
    }
}
