//! One process's way to one version, to write it.

use std::sync::Arc;

use cqrs_core::testing::sim::{Node, NodeId, Reply, Wire};
use cqrs_core::{
    ApplyError, Batch, BuildVersions, Checkpoint, MemoryVersion, ModelState, Parked, ParkedStreams,
    Partition, Projection, StreamName, VersionProjection, Writing,
};
use futures_util::FutureExt;

use super::sessions::once_free;
use super::{Models, Table};
use crate::engines::{LIMIT, at_once};
use crate::rows::Rows;

/// One process's way to one version.
pub(crate) struct ModelClient<S: Table = Rows> {
    wire: Wire,
    model: Served<S>,
}

type Served<S> = Arc<VersionProjection<S>>;

impl<S: Table> ModelClient<S> {
    /// To feed `number`.
    pub(crate) fn new(node: &Node, at: NodeId, models: &Models<S>, number: u32) -> Self {
        Self::writing(node.wire(at), models, number, Writing::Feeding)
    }

    pub(super) fn writing(wire: Wire, models: &Models<S>, number: u32, writing: Writing) -> Self {
        let version = MemoryVersion {
            number,
            layout: 1,
            state: ModelState::Ready,
        };
        let model = Arc::new(models.0.versions.projection(&version, writing));
        Self { wire, model }
    }

    /// Has the server do `run`, as soon as nobody holds the version.
    async fn call<R: Send + 'static>(
        &self,
        what: &'static str,
        run: impl Fn(&Served<S>) -> Option<Result<R, ApplyError>> + Send + 'static,
    ) -> Result<R, ApplyError> {
        let (model, sim) = (Arc::clone(&self.model), self.wire.sim().clone());
        let serve = move |reply: Reply<Result<R, ApplyError>>| {
            once_free(&sim, reply, move || run(&model));
        };
        let answer = self.wire.call_then(what, LIMIT, serve).await;
        answer.unwrap_or_else(|lost| {
            Err(ApplyError::Store {
                source: lost.into(),
            })
        })
    }
}

impl<S: Table> Projection for ModelClient<S> {
    fn name(&self) -> &str {
        self.model.name()
    }

    fn handles(&self, event_type: &str) -> bool {
        self.model.handles(event_type)
    }

    async fn checkpoint(&self, partition: Partition) -> Result<Checkpoint, ApplyError> {
        let run = move |model: &Served<S>| Some(at_once(model.checkpoint(partition)));
        self.call("checkpoint", run).await
    }

    async fn apply(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        let (partition, expected, position) = (batch.partition, batch.expected, batch.position);
        let commits = batch.commits.to_shared();
        let (apply, park) = (batch.apply.to_vec(), batch.park.to_vec());
        let run = move |model: &Served<S>| {
            let batch = Batch {
                partition,
                expected,
                position,
                commits: (&commits).into(),
                apply: &apply,
                park: &park,
            };
            model.apply(&batch).now_or_never()
        };
        let applied = self.call("apply", run).await;
        self.wire.sim().note(self.wire.from(), || {
            let ended = applied
                .as_ref()
                .map_or_else(ToString::to_string, |()| "done".to_owned());
            format!("applies {partition} up to {position}: {ended}")
        });
        applied
    }
}

impl<S: Table> ParkedStreams for ModelClient<S> {
    async fn parked(&self, partition: Partition) -> Result<Vec<Parked>, ApplyError> {
        let run = move |model: &Served<S>| Some(at_once(model.parked(partition)));
        self.call("parked", run).await
    }

    async fn release(&self, partition: Partition, stream: &StreamName) -> Result<(), ApplyError> {
        let stream = stream.clone();
        let run = move |model: &Served<S>| model.release(partition, &stream).now_or_never();
        self.call("release", run).await
    }
}
