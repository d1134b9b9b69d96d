//! Stores that stop the process at a given write, and a log whose inserts are slow.

use std::future::pending;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::coordinator::{
    Advance, CommandClaims, Entered, Entry, Footing, Holder, Intended, Intent, IntentError,
    IntentStore, Intents, Landed, Lease, LedgerFold, OpenIntent, Stored,
};
use crate::envelope::{CommandId, RequestHash};
use crate::ledger::{Claimed, Ledger, LedgerError, ReservedValue, Settlement};
use crate::log::{
    AppendError, AppendToLog, Appended, Commit, EventLog, ReadError, ReadLog, RecordedCommit,
    TailLog,
};
use crate::position::{LogPosition, Partition, Position};
use crate::stream::StreamName;
use crate::testing::fixtures::yield_now;
use crate::time::Timestamp;
use crate::version::{ExpectedVersion, Version};

/// Blows at one of the points before and after each write.
#[derive(Clone)]
pub(super) struct Fuse(Arc<Burning>);

struct Burning {
    points_left: AtomicI64,
    blown: Notify,
    mended: Notify,
}

impl Fuse {
    /// Blows at the point numbered `point` from 0.
    pub(super) fn at(point: i64) -> Self {
        Self(Arc::new(Burning {
            points_left: AtomicI64::new(point),
            blown: Notify::new(),
            mended: Notify::new(),
        }))
    }

    /// From now on it blows at the point numbered `point` from 0.
    pub(super) fn set(&self, point: i64) {
        self.0.points_left.store(point, Ordering::SeqCst);
    }

    /// Who stands still goes on, as if nothing had been.
    pub(super) fn mend(&self) {
        self.set(i64::MAX);
        self.0.mended.notify_waiters();
    }

    /// How many writes were made of those that it lasts for.
    pub(super) fn writes(&self, points: i64) -> i64 {
        (points - self.0.points_left.load(Ordering::SeqCst)) / 2
    }

    /// Completes when it blows: drop everything then, or [mend](Self::mend) it.
    pub(super) async fn blown(&self) {
        self.0.blown.notified().await;
    }

    async fn point(&self) {
        if self.0.points_left.fetch_sub(1, Ordering::SeqCst) <= 0 {
            let mended = self.0.mended.notified();
            self.0.blown.notify_one();
            // The process stands still, and is gone as a rule.
            mended.await;
        }
    }

    async fn write<R>(&self, write: impl Future<Output = R>) -> R {
        self.point().await;
        let done = write.await;
        // Others act before the caller knows, also where the store is in memory.
        yield_now().await;
        self.point().await;
        done
    }
}

/// A store of a process that stops when the fuse blows.
#[derive(Clone)]
pub(super) struct Stopping<S> {
    pub(super) inner: S,
    pub(super) fuse: Fuse,
}

impl<L: EventLog> AppendToLog for Stopping<L> {
    async fn append(&self, commit: Commit) -> Result<Appended, AppendError> {
        // Called past the first point only: the call itself sets the commit under way, whether awaited or not.
        let appended = async { self.inner.append(commit).await };
        self.fuse.write(appended).await
    }

    async fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> Result<LogPosition, AppendError> {
        self.inner.confirm(stream, expected).await
    }
}

/// Reads and follows like the store within.
macro_rules! reads_through {
    ($store:ident) => {
        impl<L: EventLog> ReadLog for $store<L> {
            async fn read_stream(
                &self,
                stream: &StreamName,
                after: Version,
                max_events: usize,
            ) -> Result<Vec<RecordedCommit>, ReadError> {
                self.inner.read_stream(stream, after, max_events).await
            }

            async fn read_partition(
                &self,
                partition: Partition,
                after: Position,
                max_events: usize,
            ) -> Result<Vec<RecordedCommit>, ReadError> {
                self.inner
                    .read_partition(partition, after, max_events)
                    .await
            }

            async fn find_commit(
                &self,
                command: CommandId,
            ) -> Result<Option<RecordedCommit>, ReadError> {
                self.inner.find_commit(command).await
            }
        }

        impl<L: EventLog> TailLog for $store<L> {
            fn partitions(&self) -> u16 {
                self.inner.partitions()
            }

            async fn head(&self, partition: Partition) -> Result<Position, ReadError> {
                self.inner.head(partition).await
            }

            fn goes_on(&self, partition: Partition, after: Position) -> bool {
                self.inner.goes_on(partition, after)
            }

            async fn wait_past(
                &self,
                partition: Partition,
                after: Position,
            ) -> Result<(), ReadError> {
                self.inner.wait_past(partition, after).await
            }
        }
    };
}

reads_through!(Stopping);
reads_through!(Slow);

impl<I: IntentStore> CommandClaims for Stopping<I> {
    fn session(&self) -> u64 {
        self.inner.session()
    }

    async fn claim(
        &self,
        entry: &Entry,
        lease: Lease,
        footing: &Footing,
    ) -> Result<Entered, IntentError> {
        self.fuse
            .write(self.inner.claim(entry, lease, footing))
            .await
    }

    async fn take_over(
        &self,
        command: CommandId,
        attempt: u32,
        lease: Lease,
        footing: &Footing,
    ) -> Result<bool, IntentError> {
        let taken = self.inner.take_over(command, attempt, lease, footing);
        self.fuse.write(taken).await
    }

    async fn renew(&self, held: &[(CommandId, u32)], lease: Lease) -> Result<(), IntentError> {
        self.fuse.write(self.inner.renew(held, lease)).await
    }

    async fn answer(
        &self,
        entry: &Entry,
        answer: &Bytes,
        footing: &Footing,
    ) -> Result<Stored, IntentError> {
        self.fuse
            .write(self.inner.answer(entry, answer, footing))
            .await
    }

    async fn let_go(&self, command: CommandId, attempt: u32) -> Result<(), IntentError> {
        self.fuse.write(self.inner.let_go(command, attempt)).await
    }
}

impl<I: IntentStore> Intents for Stopping<I> {
    async fn intend(
        &self,
        intent: Intent<'_>,
        lease: Lease,
        footing: &Footing,
    ) -> Result<Intended, IntentError> {
        self.fuse
            .write(self.inner.intend(intent, lease, footing))
            .await
    }

    async fn drop_intent(&self, command: CommandId, attempt: u32) -> Result<bool, IntentError> {
        self.fuse
            .write(self.inner.drop_intent(command, attempt))
            .await
    }

    async fn expired(&self, limit: usize) -> Result<Vec<OpenIntent>, IntentError> {
        self.inner.expired(limit).await
    }

    async fn holder(&self, value: &ReservedValue) -> Result<Option<Holder>, IntentError> {
        self.inner.holder(value).await
    }
}

impl<I: IntentStore> LedgerFold for Stopping<I> {
    async fn finish(&self, landed: &[Landed]) -> Result<(), IntentError> {
        self.fuse.write(self.inner.finish(landed)).await
    }

    async fn fold(&self, advance: Advance, landed: &[Landed]) -> Result<bool, IntentError> {
        self.fuse.write(self.inner.fold(advance, landed)).await
    }

    async fn checkpoints(&self) -> Result<Vec<(Partition, Position)>, IntentError> {
        self.inner.checkpoints().await
    }
}

impl<S: Ledger> Ledger for Stopping<S> {
    type Claim = S::Claim;

    async fn claim(
        &self,
        command: CommandId,
        request: RequestHash,
        time: Timestamp,
    ) -> Result<Claimed<S::Claim>, LedgerError> {
        let claimed = self.inner.claim(command, request, time);
        self.fuse.write(claimed).await
    }

    async fn settle(&self, claim: S::Claim, settlement: Settlement) -> Result<(), LedgerError> {
        self.fuse.write(self.inner.settle(claim, settlement)).await
    }

    async fn owner(&self, value: &ReservedValue) -> Result<Option<StreamName>, LedgerError> {
        self.inner.owner(value).await
    }
}

/// A log of a process that is cut off: its inserts are on their way and arrive when they are let.
#[derive(Clone)]
pub(super) struct Slow<L> {
    inner: L,
    under_way: Arc<Mutex<Vec<Commit>>>,
    sent: Arc<Notify>,
}

impl<L: EventLog> Slow<L> {
    pub(super) fn new(inner: L) -> Self {
        Self {
            inner,
            under_way: Arc::default(),
            sent: Arc::default(),
        }
    }

    /// Completes once an insert is on its way.
    pub(super) async fn sent(&self) {
        self.sent.notified().await;
    }

    /// Lets all inserts arrive; what the log says to each.
    pub(super) async fn arrive(&self) -> Vec<Result<Appended, AppendError>> {
        let mut under_way = {
            let mut under_way = self
                .under_way
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *under_way)
        };
        let mut answers = Vec::new();
        for commit in under_way.drain(..) {
            answers.push(self.inner.append(commit).await);
        }
        answers
    }
}

impl<L: EventLog> AppendToLog for Slow<L> {
    async fn append(&self, commit: Commit) -> Result<Appended, AppendError> {
        {
            let under_way = self.under_way.lock();
            under_way
                .unwrap_or_else(PoisonError::into_inner)
                .push(commit);
        }
        self.sent.notify_one();
        pending().await
    }

    async fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> Result<LogPosition, AppendError> {
        self.inner.confirm(stream, expected).await
    }
}
