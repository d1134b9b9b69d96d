//! A rebuild that is killed.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use cqrs_core::{
    CommandId, MemoryStore, Partition, Position, Projection, ReadError, ReadLog, RecordedCommit,
    StreamName, TailLog, Version,
};
use cqrs_postgres::{ModelState, PgReplay};
use futures_util::future::{pending, select};
use tokio::sync::Notify;

use super::{TokioTimer, eventually_locked};
use crate::kit::{PARTITION, STRICT, fixture};

/// A log that goes away after some reads of ten events each.
#[derive(Clone)]
pub(super) struct Mortal {
    log: MemoryStore,
    reads: Arc<AtomicU64>,
    pub(super) gone: Arc<Notify>,
}

impl Mortal {
    pub(super) fn new(log: &MemoryStore, reads: u64) -> Self {
        Self {
            log: log.clone(),
            reads: Arc::new(AtomicU64::new(reads)),
            gone: Arc::default(),
        }
    }
}

impl ReadLog for Mortal {
    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        self.log.read_stream(stream, after, max_events).await
    }

    async fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        _: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        let left = self.reads.load(Ordering::Acquire);
        if left == 0 {
            self.gone.notify_one();
            let source = "the log is away".into();
            return Err(ReadError::Store { source });
        }
        self.reads.store(left - 1, Ordering::Release);
        self.log.read_partition(partition, after, 10).await
    }

    async fn find_commit(&self, command: CommandId) -> Result<Option<RecordedCommit>, ReadError> {
        self.log.find_commit(command).await
    }
}

impl TailLog for Mortal {
    fn partitions(&self) -> u16 {
        self.log.partitions()
    }

    async fn head(&self, partition: Partition) -> Result<Position, ReadError> {
        self.log.head(partition).await
    }

    async fn wait_past(&self, partition: Partition, after: Position) -> Result<(), ReadError> {
        self.log.wait_past(partition, after).await
    }
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_rebuild_that_is_killed_goes_on_where_it_was() {
    let fixture = fixture();
    for n in 0..100 {
        fixture.append(n % 9, &["{}"]).await;
    }
    let live = fixture.models.open(&STRICT, 1).await.unwrap();
    fixture.catch_up(&live, &STRICT).await;
    let mortal = Mortal::new(&fixture.log, 4);
    let (models, model) = (fixture.models.clone(), Arc::new(STRICT.clone()));
    let killed = PgReplay::new(models, model, mortal.clone(), TokioTimer);
    {
        let lock = killed.lock().await.unwrap();
        let rebuild = pin!(killed.rebuild(&lock, pending()));
        let gone = pin!(mortal.gone.notified());
        select(rebuild, gone).await;
    }
    let begun = fixture
        .models
        .versions("counts")
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert_eq!((begun.version, begun.state), (2, ModelState::Building));
    let at = fixture
        .of(&begun, &STRICT)
        .checkpoint(PARTITION)
        .await
        .unwrap();
    let copied = at.position.get();
    // The next one was being read while the fourth was copied.
    assert!([30, 40].contains(&copied), "{copied} events were copied");

    let replay = fixture.replay(&STRICT);
    let lock = eventually_locked(&replay).await;
    let rebuilt = replay.rebuild(&lock, pending()).await.unwrap();
    assert_eq!(rebuilt.version, 2);
    assert_eq!(replay.progress().state().events, 100 - copied);
    let verified = replay.verify(&lock, 2, pending()).await.unwrap();
    assert_eq!((verified.rows, verified.differing), (109, 0));
}
