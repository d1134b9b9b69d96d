//! A faulty log.

use futures_util::future::Either;

use crate::BoxError;
use crate::envelope::CommandId;
use crate::log::{
    AppendError, AppendToLog, Appended, Commit, ReadError, ReadLog, RecordedCommit, TailLog,
};
use crate::position::{LogPosition, Partition, Position};
use crate::stream::StreamName;
use crate::version::{ExpectedVersion, Version};

use super::{Fault, Faulty, settle, yield_now};

impl<T: AppendToLog> AppendToLog for Faulty<T> {
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        let stream = commit.stream.clone();
        let failed = move |source| AppendError::Store {
            stream: stream.clone(),
            source,
        };
        // The call takes its place now, or never.
        match self.faults.next() {
            fault @ (Fault::Before | Fault::Busy) => Either::Left(refuse(fault, failed)),
            fault => Either::Right(settle(fault, self.inner.append(commit), failed)),
        }
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> impl Future<Output = Result<LogPosition, AppendError>> + Send {
        let (head, name) = (self.inner.confirm(stream, expected), stream.clone());
        let failed = move |source| AppendError::Store {
            stream: name.clone(),
            source,
        };
        match self.faults.next() {
            fault @ (Fault::Before | Fault::Busy) => Either::Left(refuse(fault, failed)),
            fault => Either::Right(settle(fault, head, failed)),
        }
    }

    fn admit(
        &self,
        stream: &StreamName,
        command: CommandId,
        reserving: bool,
    ) -> Option<impl Future<Output = Result<(), AppendError>> + Send> {
        let admitted = self.inner.admit(stream, command, reserving)?;
        let name = stream.clone();
        let failed = move |source| AppendError::Store {
            stream: name.clone(),
            source,
        };
        Some(settle(self.faults.next(), admitted, failed))
    }
}

/// Nothing was called; the answer comes a turn later all the same.
async fn refuse<R>(
    fault: Fault,
    failed: impl Fn(BoxError) -> AppendError + Send,
) -> Result<R, AppendError> {
    yield_now().await;
    match fault {
        Fault::Busy => Err(AppendError::Overloaded),
        _ => Err(failed("injected: not written".into())),
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

    fn goes_on(&self, partition: Partition, after: Position) -> bool {
        self.inner.goes_on(partition, after)
    }

    async fn wait_past(&self, partition: Partition, after: Position) -> Result<(), ReadError> {
        self.call(self.inner.wait_past(partition, after), unread)
            .await
    }
}
