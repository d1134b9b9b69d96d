//! A faulty read model, and faulty checkpoints.

use crate::BoxError;
use crate::position::{Partition, Position};
use crate::projection::{
    ApplyError, Batch, Checkpoint, CheckpointError, CheckpointStore, Parked, ParkedStreams,
    Projection,
};
use crate::stream::StreamName;

use super::Faulty;

fn not_applied(source: BoxError) -> ApplyError {
    ApplyError::Store { source }
}

impl<P: Projection> Projection for Faulty<P> {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn handles(&self, event_type: &str) -> bool {
        self.inner.handles(event_type)
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Checkpoint, ApplyError> {
        let call = self.inner.checkpoint(partition);
        self.call(call, not_applied).await
    }

    async fn apply(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        self.call(self.inner.apply(batch), not_applied).await
    }
}

impl<P: ParkedStreams> ParkedStreams for Faulty<P> {
    async fn parked(&self, partition: Partition) -> Result<Vec<Parked>, ApplyError> {
        self.call(self.inner.parked(partition), not_applied).await
    }

    async fn release(&self, partition: Partition, stream: &StreamName) -> Result<(), ApplyError> {
        let call = self.inner.release(partition, stream);
        self.call(call, not_applied).await
    }
}

fn no_checkpoint(source: BoxError) -> CheckpointError {
    CheckpointError { source }
}

impl<T: CheckpointStore> CheckpointStore for Faulty<T> {
    async fn load(
        &self,
        consumer: &str,
        partition: Partition,
    ) -> Result<Position, CheckpointError> {
        let call = self.inner.load(consumer, partition);
        self.call(call, no_checkpoint).await
    }

    async fn advance(
        &self,
        consumer: &str,
        partition: Partition,
        from: Position,
        to: Position,
    ) -> Result<bool, CheckpointError> {
        let call = self.inner.advance(consumer, partition, from, to);
        self.call(call, no_checkpoint).await
    }
}
