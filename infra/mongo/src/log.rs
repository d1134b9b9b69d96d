//! The event log's traits: those of its [`Lanes`](crate::lanes::Lanes).

use cqrs_core::{
    AppendError, AppendToLog, Appended, CommandId, Commit, ExpectedVersion, LogPosition, Partition,
    Position, ReadError, ReadLog, RecordedCommit, StreamName, TailLog, Version,
};

use crate::store::MongoStore;

impl AppendToLog for MongoStore {
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        self.lanes().append(commit)
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> impl Future<Output = Result<LogPosition, AppendError>> + Send {
        self.lanes().confirm(stream, expected)
    }
}

impl ReadLog for MongoStore {
    fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> impl Future<Output = Result<Vec<RecordedCommit>, ReadError>> + Send {
        self.lanes().read_stream(stream, after, max_events)
    }

    fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> impl Future<Output = Result<Vec<RecordedCommit>, ReadError>> + Send {
        self.lanes().read_partition(partition, after, max_events)
    }

    fn find_commit(
        &self,
        command: CommandId,
    ) -> impl Future<Output = Result<Option<RecordedCommit>, ReadError>> + Send {
        self.lanes().find_commit(command)
    }
}

impl TailLog for MongoStore {
    fn partitions(&self) -> u16 {
        self.lanes().partitions()
    }

    fn head(
        &self,
        partition: Partition,
    ) -> impl Future<Output = Result<Position, ReadError>> + Send {
        self.lanes().head(partition)
    }

    fn goes_on(&self, partition: Partition, after: Position) -> bool {
        self.lanes().goes_on(partition, after)
    }

    fn wait_past(
        &self,
        partition: Partition,
        after: Position,
    ) -> impl Future<Output = Result<(), ReadError>> + Send {
        self.lanes().wait_past(partition, after)
    }
}
