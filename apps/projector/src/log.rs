//! The log behind the topic's holes: it may be away, and come later.

use cqrs_core::{
    CommitSource, Partition, Position, ReadError, RecordedCommit, SourceError, TailLog,
};
use cqrs_mongo::{MongoOptions, MongoStore, OpenError};
use http_kit::{Health, Readiness};
use social_api::Late;
use social_service::{Failure, Stopping};
use tokio::sync::watch;

/// The check that says how the log does.
const CHECK: &str = "mongodb";

/// The log, once it was there. Until then whoever asks is told to ask again. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct LateLog {
    pub(crate) store: Late<MongoStore>,
    pub(crate) partitions: u16,
}

impl LateLog {
    fn get(&self) -> Result<&MongoStore, SourceError> {
        self.store.get().ok_or_else(|| {
            let source = "the log was never there yet".into();
            ReadError::Store { source }.into()
        })
    }
}

impl CommitSource for LateLog {
    fn partition_count(&self) -> u16 {
        self.partitions
    }

    async fn slice_after(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, SourceError> {
        self.get()?.slice_after(partition, after, max_events).await
    }

    async fn await_more(&self, partition: Partition, after: Position) -> Result<(), SourceError> {
        self.get()?.await_more(partition, after).await
    }
}

/// Opens the log, for as long as that takes, tells `opened`, and looks after it until `stopping`.
///
/// # Errors
///
/// The log is there, and not ours to use.
pub(crate) async fn attend(
    options: MongoOptions,
    log: LateLog,
    readiness: Readiness,
    opened: watch::Sender<bool>,
    stopping: Stopping,
) -> Result<(), OpenError> {
    let open = || MongoStore::open(options.clone());
    let judge = |error: &OpenError| match error {
        OpenError::Store { .. } => Failure::Away,
        _ => Failure::Refused,
    };
    let store = tokio::select! {
        store = social_service::connect(CHECK, &readiness, open, judge) => store?,
        () = stopping.clone() => return Ok(()),
    };
    log.store.set(store.clone());
    opened.send_replace(true);
    let ask = || heads(&store);
    tokio::select! {
        () = social_service::watch(CHECK, Health::Down, readiness, ask) => {}
        () = stopping => {}
    }
    store.close().await;
    Ok(())
}

/// Whether the log answers.
async fn heads(store: &MongoStore) -> Result<(), ReadError> {
    store.head(Partition::new(0)).await.map(drop)
}
