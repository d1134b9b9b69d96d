//! The log in memory.

use std::future::ready;
use std::sync::Arc;

use crate::envelope::CommandId;
use crate::log::{
    AppendError, AppendToLog, Appended, Commit, ReadError, ReadLog, RecordedCommit, TailLog,
};
use crate::position::{LogPosition, Partition, Position};
use crate::stream::StreamName;
use crate::version::{ExpectedVersion, Version};

use super::{MemoryStore, State};

impl State {
    pub(super) fn commit(&self, at: LogPosition) -> &Arc<RecordedCommit> {
        &self.partitions[usize::from(at.partition.index())][at.position.get() as usize - 1]
    }

    fn append(&mut self, commit: Commit) -> Result<Appended, AppendError> {
        commit.check()?;
        if let Some(at) = self.commands.get(&commit.header.command_id) {
            let first = self.commit(*at);
            if first.header.request != commit.header.request {
                return Err(AppendError::KeyReused);
            }
            return Ok(Appended {
                at: *at,
                version: first.version,
                repeated: true,
            });
        }
        let last = self.last(&commit.stream);
        let before = last.map_or(Version::EMPTY, |last| last.version);
        let command = last.map(|last| last.header.command_id);
        if !commit.expected.accepts(before, command) {
            return Err(AppendError::Conflict {
                stream: commit.stream,
                expected: commit.expected,
                actual: before,
            });
        }
        self.reserve(&commit)?;
        Ok(self.insert(commit, before))
    }

    fn reserve(&mut self, commit: &Commit) -> Result<(), AppendError> {
        if commit.reservations.is_empty() {
            return Ok(());
        }
        for value in &commit.reservations.reserve {
            match self.owners.get(value) {
                Some(owner) if *owner != commit.stream => {
                    return Err(AppendError::Reserved {
                        value: value.clone(),
                        owner: owner.clone(),
                    });
                }
                _ => {}
            }
        }
        for value in &commit.reservations.release {
            if self.owners.get(value) == Some(&commit.stream) {
                self.owners.remove(value);
            }
        }
        for value in &commit.reservations.reserve {
            self.owners.insert(value.clone(), commit.stream.clone());
        }
        Ok(())
    }

    fn insert(&mut self, commit: Commit, before: Version) -> Appended {
        let count = self.partitions.len() as u16;
        let partition = commit.stream.partition(count);
        let log = &mut self.partitions[usize::from(partition.index())];
        let at = LogPosition::new(partition, Position::new(log.len() as u64 + 1));
        let version = before.plus(commit.events.len());
        self.commands.insert(commit.header.command_id, at);
        let recorded = Arc::new(RecordedCommit {
            at,
            version,
            stream: commit.stream,
            header: commit.header,
            events: commit.events,
            reservations: commit.reservations,
        });
        log.push(Arc::clone(&recorded));
        match self.streams.get_mut(&recorded.stream) {
            Some(stream) => stream.commits.push((version, recorded)),
            None => {
                let name = recorded.stream.clone();
                let commits = vec![(version, recorded)];
                self.streams.insert(name, super::Stream { commits });
            }
        }
        Appended {
            at,
            version,
            repeated: false,
        }
    }

    fn last(&self, stream: &StreamName) -> Option<&RecordedCommit> {
        let commits = &self.streams.get(stream)?.commits;
        commits.last().map(|(_, commit)| commit.as_ref())
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> Result<LogPosition, AppendError> {
        let last = self.last(stream);
        let actual = last.map_or(Version::EMPTY, |last| last.version);
        if !expected.accepts(actual, last.map(|commit| commit.header.command_id)) {
            return Err(AppendError::Conflict {
                stream: stream.clone(),
                expected,
                actual,
            });
        }
        Ok(last.map_or_else(
            || {
                let count = self.partitions.len() as u16;
                LogPosition::new(stream.partition(count), Position::START)
            },
            |commit| commit.at,
        ))
    }
}

/// Where a slice of at most `max_events` ends, but with one commit at least.
fn slice<'a>(
    commits: impl Iterator<Item = &'a Arc<RecordedCommit>>,
    max_events: usize,
) -> Vec<RecordedCommit> {
    let mut events = 0;
    let mut slice = Vec::new();
    for commit in commits {
        events += commit.events.len();
        if events > max_events && !slice.is_empty() {
            break;
        }
        slice.push(RecordedCommit::clone(commit));
    }
    slice
}

impl AppendToLog for MemoryStore {
    fn append(&self, commit: Commit) -> impl Future<Output = Result<Appended, AppendError>> + Send {
        let appended = self.state().append(commit);
        if let Ok(Appended {
            at,
            repeated: false,
            ..
        }) = &appended
        {
            let head = &self.shared.heads[usize::from(at.partition.index())];
            // Another append may have said a later one already. Who is counted after this has the value locked
            // finds it there, and need not be told.
            head.send_if_modified(|value| {
                let moves = *value < at.position.get();
                *value = at.position.get().max(*value);
                moves && head.receiver_count() > 0
            });
        }
        ready(appended)
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> impl Future<Output = Result<LogPosition, AppendError>> + Send {
        ready(self.state().confirm(stream, expected))
    }
}

impl ReadLog for MemoryStore {
    async fn read_stream(
        &self,
        stream: &StreamName,
        after: Version,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        let state = self.state();
        let commits = state.streams.get(stream).map_or(&[][..], |s| &s.commits);
        let begin = match commits.binary_search_by_key(&after, |(end, _)| *end) {
            Ok(index) => index + 1,
            Err(0) if after == Version::EMPTY => 0,
            Err(index) => {
                let at = commits.get(index).or(commits.last());
                return Err(ReadError::Corrupt {
                    at: at.map_or_else(LogPosition::default, |(_, commit)| commit.at),
                    reason: format!("no commit of stream `{stream}` ends at version {after}"),
                });
            }
        };
        let rest = commits[begin..].iter().map(|(_, commit)| commit);
        Ok(slice(rest, max_events))
    }

    async fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        self.check(partition)?;
        let state = self.state();
        let log = &state.partitions[usize::from(partition.index())];
        let begin = usize::try_from(after.get()).map_or(log.len(), |after| after.min(log.len()));
        Ok(slice(log[begin..].iter(), max_events))
    }

    async fn find_commit(&self, command: CommandId) -> Result<Option<RecordedCommit>, ReadError> {
        let state = self.state();
        let at = state.commands.get(&command);
        Ok(at.map(|at| RecordedCommit::clone(state.commit(*at))))
    }
}

impl MemoryStore {
    fn check(&self, partition: Partition) -> Result<(), ReadError> {
        let partitions = self.partitions();
        if partition.index() < partitions {
            Ok(())
        } else {
            Err(ReadError::NoSuchPartition {
                partition,
                partitions,
            })
        }
    }
}

impl TailLog for MemoryStore {
    fn partitions(&self) -> u16 {
        self.shared.heads.len() as u16
    }

    async fn head(&self, partition: Partition) -> Result<Position, ReadError> {
        self.check(partition)?;
        let head = *self.shared.heads[usize::from(partition.index())].borrow();
        Ok(Position::new(head))
    }

    fn goes_on(&self, partition: Partition, after: Position) -> bool {
        let head = self.shared.heads.get(usize::from(partition.index()));
        head.is_none_or(|head| *head.borrow() > after.get())
    }

    async fn wait_past(&self, partition: Partition, after: Position) -> Result<(), ReadError> {
        self.check(partition)?;
        let mut head = self.shared.heads[usize::from(partition.index())].subscribe();
        // The sender lives as long as the store that is borrowed here.
        let _ = head.wait_for(|head| *head > after.get()).await;
        Ok(())
    }
}
