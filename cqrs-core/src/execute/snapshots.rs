//! Snapshots: found before a fold, taken after one.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::pin;
use std::sync::{Mutex, PoisonError};

use futures_util::future::{BoxFuture, Either, FutureExt, select};
use tokio::sync::Notify;

use crate::BoxError;
use crate::aggregate::{Aggregate, Snapshotted};
use crate::codec::Encoding;
use crate::log::EventLog;
use crate::position::LogPosition;
use crate::snapshot::{Snapshot, SnapshotStore};
use crate::stream::StreamName;
use crate::version::Version;

use super::Inner;
use super::load::Folded;

/// How many streams may wait for a snapshot; more are left for the next time.
const QUEUE: usize = 1_024;

/// A state to fold on from.
pub(super) struct Restored<A> {
    pub(super) state: A,
    pub(super) version: Version,
    pub(super) at: LogPosition,
}

/// A snapshot store together with the wire type of `A`, both hidden from executors that need neither.
pub(super) trait ErasedSnapshots<A>: Send + Sync {
    fn load<'a>(&'a self, stream: &'a StreamName) -> BoxFuture<'a, Option<Restored<A>>>;
    fn save<'a>(
        &'a self,
        stream: &'a StreamName,
        folded: Folded<A>,
    ) -> BoxFuture<'a, Result<(), BoxError>>;
}

pub(super) struct Snapshots<S>(pub(super) S);

impl<A: Snapshotted, S: SnapshotStore> ErasedSnapshots<A> for Snapshots<S> {
    fn load<'a>(&'a self, stream: &'a StreamName) -> BoxFuture<'a, Option<Restored<A>>> {
        async move {
            let snapshot = match self.0.load(stream).await {
                Ok(found) => found?,
                Err(error) => {
                    tracing::warn!(%stream, error = %error, "folding without snapshot");
                    return None;
                }
            };
            if snapshot.schema != A::schema() || snapshot.encoding != Encoding::Json {
                return None;
            }
            match decode::<A>(&snapshot) {
                Ok(state) => Some(Restored {
                    state,
                    version: snapshot.version,
                    at: snapshot.at,
                }),
                Err(error) => {
                    tracing::warn!(%stream, error = %error, "snapshot discarded");
                    None
                }
            }
        }
        .boxed()
    }

    fn save<'a>(
        &'a self,
        stream: &'a StreamName,
        folded: Folded<A>,
    ) -> BoxFuture<'a, Result<(), BoxError>> {
        async move {
            let payload = serde_json::to_vec(&folded.state.to_wire())?;
            let snapshot = Snapshot {
                stream: stream.clone(),
                version: folded.version,
                at: folded.at,
                schema: A::schema(),
                encoding: Encoding::Json,
                payload: payload.into(),
            };
            Ok(self.0.save(snapshot).await?)
        }
        .boxed()
    }
}

fn decode<A: Snapshotted>(snapshot: &Snapshot) -> Result<A, BoxError> {
    A::from_wire(serde_json::from_slice(&snapshot.payload)?)
}

/// The streams whose snapshot is due.
#[derive(Default)]
pub(super) struct SnapshotQueue {
    due: Mutex<VecDeque<StreamName>>,
    pushed: Notify,
}

impl SnapshotQueue {
    pub(super) fn push(&self, stream: StreamName) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if due.len() < QUEUE && !due.contains(&stream) {
            due.push_back(stream);
            self.pushed.notify_one();
        }
    }

    fn pop(&self) -> Option<StreamName> {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        due.pop_front()
    }
}

impl<A: Aggregate, L: EventLog> Inner<A, L> {
    pub(super) async fn run_snapshots(&self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        loop {
            while let Some(stream) = self.queue.pop() {
                if shutdown.as_mut().now_or_never().is_some() {
                    return;
                }
                if let Err(error) = self.take_snapshot(&stream).await {
                    tracing::warn!(%stream, error = %error, "no snapshot taken");
                }
            }
            let pushed = pin!(self.queue.pushed.notified());
            if let Either::Left(_) = select(shutdown.as_mut(), pushed).await {
                return;
            }
        }
    }

    async fn take_snapshot(&self, stream: &StreamName) -> Result<(), BoxError> {
        let Some(snapshots) = &self.snapshots else {
            return Ok(());
        };
        let folded = self.fold::<Infallible>(stream).await?;
        snapshots.save(stream, folded).await
    }
}
