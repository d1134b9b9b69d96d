//! The names of spans and fields, so that every part and every adapter says the same.
//!
//! Identifiers are fields and never part of a span's name; payloads are neither.

/// Span: one message on its way through the mediator.
pub const DISPATCH: &str = "dispatch";
/// Span: one commit on its way into the log.
pub const APPEND: &str = "append";
/// Span: one batch of a projection or reactor.
pub const PROJECT: &str = "project";

/// Field: the name of a command or query.
pub const MESSAGE: &str = "message";
/// Field: how a message ended, by [`DispatchError::kind`](crate::DispatchError::kind), or `replied`.
pub const OUTCOME: &str = "outcome";
/// Field: a command's id.
pub const COMMAND_ID: &str = "command_id";
/// Field: the whole conversation's id.
pub const CORRELATION_ID: &str = "correlation_id";
/// Field: the direct cause's id.
pub const CAUSATION_ID: &str = "causation_id";
/// Field: the attempt at a command, counted from 1.
pub const ATTEMPT: &str = "attempt";
/// Field: a stream's name.
pub const STREAM: &str = "stream";
/// Field: the version that an append expects.
pub const EXPECTED_VERSION: &str = "expected_version";
/// Field: an event's stored type.
pub const EVENT_TYPE: &str = "event_type";
/// Field: a log partition.
pub const PARTITION: &str = "partition";
/// Field: a position in a log partition.
pub const POSITION: &str = "position";
/// Field: a projection's or reactor's name.
pub const PROJECTION: &str = "projection";
/// Field: an in-process subscriber's name.
pub const SUBSCRIBER: &str = "subscriber";
