//! Which command a request is: its id, and whether it may come again.

use cqrs_core::{CommandId, Identity, Precondition, Version};
use http_kit::{IfMatch, Problem};
use hyper::HeaderMap;
use social_domain::ActorId;
use uuid::Uuid;

use crate::clock::{SystemClock, SystemRandom};
use crate::commands::AnyCommand;

/// The most characters of an `Idempotency-Key`.
const LONGEST_KEY: usize = 255;

/// Reads `Idempotency-Key`.
///
/// # Errors
///
/// `invalid-value` for an empty, long, repeated or non-ASCII one.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let plain = |bytes: &[u8]| bytes.iter().all(|byte| (0x20..=0x7e).contains(byte));
    let bytes = value.as_bytes();
    let fits = (1..=LONGEST_KEY).contains(&bytes.len()) && plain(bytes);
    match std::str::from_utf8(bytes) {
        Ok(key) if fits && values.next().is_none() => Ok(Some(key)),
        _ => Err(Problem::invalid_value(
            "Idempotency-Key",
            "must stand once, with 1 to 255 characters from U+0020 to U+007E",
        )),
    }
}

/// Reads `If-Match` as what it demands of the stream.
///
/// # Errors
///
/// `invalid-value` for what is no single strong tag with a version.
pub(crate) fn precondition(headers: &HeaderMap) -> Result<Option<Precondition>, Problem> {
    Ok(http_kit::if_match(headers)?.map(|demanded| match demanded {
        IfMatch::Any => Precondition::Exists,
        IfMatch::Version(version) => Precondition::Exact(Version::new(version)),
    }))
}

/// The id of `command`, and whether it may come again: derived from the key, else minted.
pub(crate) fn identify(
    namespace: Uuid,
    actor: &ActorId,
    key: Option<&str>,
    as_message: bool,
    command: &AnyCommand,
    precondition: Option<Precondition>,
) -> (CommandId, Identity) {
    match key {
        Some(key) => (
            CommandId::keyed(namespace, actor.as_actor(), key),
            Identity::Keyed(command.request_hash(as_message, precondition)),
        ),
        None => (
            CommandId::fresh(&SystemClock, &SystemRandom),
            Identity::Fresh,
        ),
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;

    use super::*;

    #[test]
    fn a_key_is_printable_ascii() {
        let read = |bytes: &[u8]| {
            let mut headers = HeaderMap::new();
            headers.insert("idempotency-key", HeaderValue::from_bytes(bytes).unwrap());
            idempotency_key(&headers).map(|key| key.map(str::len))
        };
        assert_eq!(read(b" !~").unwrap(), Some(3));
        assert_eq!(read(&[b'x'; 255]).unwrap(), Some(255));
        for bad in [&b""[..], &[b'x'; 256], b"a\tb", "é".as_bytes()] {
            let problem = read(bad).unwrap_err();
            assert_eq!(problem.named_field(), Some("Idempotency-Key"));
        }
        assert_eq!(idempotency_key(&HeaderMap::new()).unwrap(), None);
    }
}
