//! Writing one version in memory.

use std::sync::{Arc, MutexGuard};

use futures_util::FutureExt;

use super::held::Lock;
use super::{MemoryVersions, Shared, State, Unkept};
use crate::position::Partition;
use crate::projection::{
    ApplyError, Batch, Checkpoint, MemoryProjection, Parked, ParkedStreams, Projection,
};
use crate::replay::{ModelState, Writing};
use crate::stream::StreamName;

/// One version of a [`MemoryVersions`], to be written. Whatever is held of it is waited for.
pub struct VersionProjection<S> {
    shared: Arc<Shared<S>>,
    projection: Arc<MemoryProjection<S>>,
    number: u32,
    writing: Writing,
}

impl<S: Clone + Send + Sync> VersionProjection<S> {
    pub(super) fn new(versions: &MemoryVersions<S>, number: u32, writing: Writing) -> Self {
        // One that there is not is written nowhere: it is refused as a retired one is.
        let nowhere = || Arc::new((versions.shared.make)(versions.layout));
        Self {
            shared: Arc::clone(&versions.shared),
            projection: versions.kept(number).unwrap_or_else(nowhere),
            number,
            writing,
        }
    }

    /// Its state, with nobody holding it; refused where it is retired.
    async fn open(&self) -> Result<(), ApplyError> {
        loop {
            let released = self.shared.released.notified();
            if self.is_open(&self.shared.state())? {
                return Ok(());
            }
            released.await;
        }
    }

    fn is_open(&self, state: &MutexGuard<'_, State<S>>) -> Result<bool, ApplyError> {
        let there = state.of(self.number);
        if there.is_none_or(|version| version.state == ModelState::Retired) {
            return Err(gone(self.number));
        }
        let gated = self.writing != Writing::Gated && state.held.has(Lock::Gate(self.number));
        Ok(!gated && !state.held.has(Lock::Checkpoints(self.number)))
    }

    /// Does `write` at a moment at which nobody holds the version.
    async fn write<R>(
        &self,
        write: impl Fn() -> Result<R, ApplyError> + Send + Sync,
    ) -> Result<R, ApplyError> {
        loop {
            self.open().await?;
            let state = self.shared.state();
            if self.is_open(&state)? {
                return write();
            }
        }
    }
}

impl<S: Clone + Send + Sync> Projection for VersionProjection<S> {
    fn name(&self) -> &str {
        self.projection.name()
    }

    fn handles(&self, event_type: &str) -> bool {
        self.projection.handles(event_type)
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Checkpoint, ApplyError> {
        self.is_open(&self.shared.state())?;
        self.projection.checkpoint(partition).await
    }

    async fn apply(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        let applied = self.write(|| at_once(self.projection.apply(batch))).await;
        applied.map_err(|error| match error {
            ApplyError::Store { source } if source.is::<Unkept>() => ApplyError::Stale,
            other => other,
        })
    }
}

impl<S: Clone + Send + Sync> ParkedStreams for VersionProjection<S> {
    async fn parked(&self, partition: Partition) -> Result<Vec<Parked>, ApplyError> {
        self.projection.parked(partition).await
    }

    async fn release(&self, partition: Partition, stream: &StreamName) -> Result<(), ApplyError> {
        self.write(|| at_once(self.projection.release(partition, stream)))
            .await
    }
}

/// What a projection in memory answers.
fn at_once<R>(answer: impl Future<Output = Result<R, ApplyError>>) -> Result<R, ApplyError> {
    answer.now_or_never().unwrap_or(Err(ApplyError::Stale))
}

fn gone(number: u32) -> ApplyError {
    ApplyError::Store {
        source: Unkept { number }.into(),
    }
}
