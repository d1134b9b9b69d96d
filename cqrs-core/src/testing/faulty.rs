//! Stores that fail when they are told to.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::Either;

use crate::BoxError;
use crate::bus::{RelayMark, RelayMarks, RelayMarksError};
use crate::envelope::{CommandId, RequestHash};
use crate::ledger::{Claimed, Ledger, LedgerError, ReservedValue, Settlement};
use crate::log::{
    AppendError, AppendToLog, Appended, Commit, ReadError, ReadLog, RecordedCommit, TailLog,
};
use crate::position::{LogPosition, Partition, Position};
use crate::projection::{CheckpointError, CheckpointStore};
use crate::snapshot::{Snapshot, SnapshotError, SnapshotStore};
use crate::stream::StreamName;
use crate::time::Random;
use crate::version::{ExpectedVersion, Version};

use super::SeededRandom;
use super::fixtures::yield_now;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing; it goes through.
    None,
    /// It fails and has no effect.
    Before,
    /// It takes effect, but the caller is told that the store failed: the outcome is unknown to it.
    Unknown,
    /// It goes through; the answer comes after so many turns of everybody else.
    Delay(u8),
}

/// Decides the fault of each call, in the order of the calls. Clones share the decision.
#[derive(Debug, Clone)]
pub struct Faults(Arc<Source>);

#[derive(Debug)]
enum Source {
    Script(Mutex<VecDeque<Fault>>),
    Seeded { random: SeededRandom, percent: u64 },
}

impl Faults {
    /// These faults, one a call, then none.
    pub fn script(faults: impl IntoIterator<Item = Fault>) -> Self {
        let script = faults.into_iter().collect();
        Self(Arc::new(Source::Script(Mutex::new(script))))
    }

    /// Of a hundred calls, `percent` meet a fault drawn from `seed`.
    #[must_use]
    pub fn seeded(seed: u64, percent: u64) -> Self {
        let random = SeededRandom::new(seed);
        Self(Arc::new(Source::Seeded { random, percent }))
    }

    fn next(&self) -> Fault {
        match &*self.0 {
            Source::Script(script) => {
                let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
                script.pop_front().unwrap_or(Fault::None)
            }
            Source::Seeded { random, percent } => {
                let drawn = random.next_u64();
                match drawn % 100 < *percent {
                    false => Fault::None,
                    true => match (drawn >> 32) % 3 {
                        0 => Fault::Before,
                        1 => Fault::Unknown,
                        _ => Fault::Delay((drawn >> 48) as u8 % 8),
                    },
                }
            }
        }
    }
}

/// A store whose calls meet [`Faults`]. Where a trait promises order, the order is kept.
#[derive(Debug, Clone)]
pub struct Faulty<T> {
    inner: T,
    faults: Faults,
}

impl<T> Faulty<T> {
    /// `inner`, with `faults`.
    pub fn new(inner: T, faults: Faults) -> Self {
        Self { inner, faults }
    }

    /// The store itself.
    pub fn inner(&self) -> &T {
        &self.inner
    }

    async fn call<R, E>(
        &self,
        call: impl Future<Output = Result<R, E>> + Send,
        failed: impl Fn(BoxError) -> E + Send,
    ) -> Result<R, E> {
        let fault = self.faults.next();
        settle(fault, call, failed).await
    }
}

async fn settle<R, E>(
    fault: Fault,
    call: impl Future<Output = Result<R, E>> + Send,
    failed: impl Fn(BoxError) -> E + Send,
) -> Result<R, E> {
    match fault {
        Fault::None => call.await,
        Fault::Before => Err(failed("injected: it had no effect".into())),
        Fault::Unknown => {
            // Whatever it came to, the caller does not learn it.
            drop(call.await);
            Err(failed("injected: the outcome is unknown".into()))
        }
        Fault::Delay(turns) => {
            let answer = call.await;
            for _ in 0..turns {
                yield_now().await;
            }
            answer
        }
    }
}

impl<T: AppendToLog> AppendToLog for Faulty<T> {
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        let stream = commit.stream.clone();
        let failed = move |source| AppendError::Store {
            stream: stream.clone(),
            source,
        };
        // The call takes its place now, or never.
        match self.faults.next() {
            Fault::Before => {
                Either::Left(async move { Err(failed("injected: not written".into())) })
            }
            fault => Either::Right(settle(fault, self.inner.append(commit), failed)),
        }
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> impl Future<Output = Result<LogPosition, AppendError>> + Send {
        let (fault, name) = (self.faults.next(), stream.clone());
        settle(fault, self.inner.confirm(stream, expected), move |source| {
            AppendError::Store {
                stream: name.clone(),
                source,
            }
        })
    }
}

fn unread(source: BoxError) -> ReadError {
    ReadError::Store { source }
}

impl<T: ReadLog> ReadLog for Faulty<T> {
    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        let call = self.inner.read_stream(stream, after, max_events);
        self.call(call, unread).await
    }

    async fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        let call = self.inner.read_partition(partition, after, max_events);
        self.call(call, unread).await
    }

    async fn find_commit(&self, command: CommandId) -> Result<Option<RecordedCommit>, ReadError> {
        self.call(self.inner.find_commit(command), unread).await
    }
}

impl<T: TailLog> TailLog for Faulty<T> {
    fn partitions(&self) -> u16 {
        self.inner.partitions()
    }

    async fn head(&self, partition: Partition) -> Result<Position, ReadError> {
        self.call(self.inner.head(partition), unread).await
    }

    async fn wait_past(&self, partition: Partition, after: Position) -> Result<(), ReadError> {
        self.call(self.inner.wait_past(partition, after), unread)
            .await
    }
}

fn no_ledger(source: BoxError) -> LedgerError {
    LedgerError::Store { source }
}

impl<T: Ledger> Ledger for Faulty<T> {
    type Claim = T::Claim;

    async fn claim(
        &self,
        command: CommandId,
        request: RequestHash,
    ) -> Result<Claimed<T::Claim>, LedgerError> {
        let call = self.inner.claim(command, request);
        self.call(call, no_ledger).await
    }

    async fn settle(&self, claim: T::Claim, settlement: Settlement) -> Result<(), LedgerError> {
        let call = self.inner.settle(claim, settlement);
        self.call(call, no_ledger).await
    }

    async fn owner(&self, value: &ReservedValue) -> Result<Option<StreamName>, LedgerError> {
        self.call(self.inner.owner(value), no_ledger).await
    }
}

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

fn no_marks(source: BoxError) -> RelayMarksError {
    RelayMarksError { source }
}

impl<T: RelayMarks> RelayMarks for Faulty<T> {
    async fn latest(
        &self,
        relay: &str,
        partition: Partition,
    ) -> Result<Option<RelayMark>, RelayMarksError> {
        let call = self.inner.latest(relay, partition);
        self.call(call, no_marks).await
    }

    async fn insert(
        &self,
        relay: &str,
        partition: Partition,
        mark: &RelayMark,
    ) -> Result<bool, RelayMarksError> {
        let call = self.inner.insert(relay, partition, mark);
        self.call(call, no_marks).await
    }
}
