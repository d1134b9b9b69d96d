//! Snapshots: discardable caches of folded state.

use bytes::Bytes;

use crate::BoxError;
use crate::codec::{Encoding, EventType};
use crate::position::LogPosition;
use crate::stream::StreamName;
use crate::version::Version;

/// The state of one stream at one version, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The stream.
    pub stream: StreamName,
    /// The version whose state it is; the end of a commit.
    pub version: Version,
    /// Where that commit stands.
    pub at: LogPosition,
    /// Stable name and schema version of the payload; another one than the reader's is discarded.
    pub schema: EventType,
    /// How the payload is written.
    pub encoding: Encoding,
    /// The state.
    pub payload: Bytes,
}

/// The snapshot store failed; go on without.
#[derive(Debug, thiserror::Error)]
#[error("the snapshot store did not answer")]
pub struct SnapshotError {
    /// What the store said.
    pub source: BoxError,
}

impl SnapshotError {
    /// Wraps what the store said.
    pub fn new(source: impl Into<BoxError>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

/// Keeps the newest snapshot of each stream.
pub trait SnapshotStore: Send + Sync {
    /// The newest snapshot of `stream`.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]: fold the stream from its beginning instead.
    fn load(
        &self,
        stream: &StreamName,
    ) -> impl Future<Output = Result<Option<Snapshot>, SnapshotError>> + Send;

    /// Keeps `snapshot`, unless a newer one of the same schema is there.
    ///
    /// # Errors
    ///
    /// [`SnapshotError`]: nothing is lost; the next one will do.
    fn save(&self, snapshot: Snapshot) -> impl Future<Output = Result<(), SnapshotError>> + Send;
}
