//! A faulty snapshot store.

use crate::BoxError;
use crate::snapshot::{Snapshot, SnapshotError, SnapshotStore};
use crate::stream::StreamName;

use super::Faulty;

fn no_snapshot(source: BoxError) -> SnapshotError {
    SnapshotError { source }
}

impl<T: SnapshotStore> SnapshotStore for Faulty<T> {
    async fn load(&self, stream: &StreamName) -> Result<Option<Snapshot>, SnapshotError> {
        self.call(self.inner.load(stream), no_snapshot).await
    }

    async fn save(&self, snapshot: Snapshot) -> Result<(), SnapshotError> {
        self.call(self.inner.save(snapshot), no_snapshot).await
    }
}
