//! Landed commits as the server's functions read them.

use cqrs_core::{IntentError, Landed, ReservedValue};
use serde_json::{Value, json};

use super::error::store;

/// A batch as JSON text.
pub(super) fn batch(landed: &[Landed]) -> Result<String, IntentError> {
    let batch: Vec<_> = landed.iter().map(row).collect();
    serde_json::to_string(&batch).map_err(store)
}

fn row(landed: &Landed) -> Value {
    let hex = |bytes: &[u8; 32]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    json!({
        "command": landed.command.as_uuid(),
        "request": landed.request.as_ref().map(|request| hex(request.as_bytes())),
        "received": landed.time.as_millis(),
        "stream": landed.stream.as_str(),
        "before": landed.before.get(),
        "version": landed.version.get(),
        "reserve": pairs(&landed.reserve),
        "release": pairs(&landed.release),
    })
}

fn pairs(values: &[ReservedValue]) -> Vec<[&str; 2]> {
    let pairs = values.iter();
    pairs.map(|value| [value.scope(), value.value()]).collect()
}
