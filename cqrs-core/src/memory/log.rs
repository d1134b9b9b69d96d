//! The log in memory.

use std::future::ready;

use crate::envelope::CommandId;
use crate::log::{
    AppendError, AppendToLog, Appended, Commit, ReadError, ReadLog, RecordedCommit, TailLog,
};
use crate::position::{LogPosition, Partition, Position};
use crate::stream::StreamName;
use crate::version::{ExpectedVersion, Version};

use super::{History, MemoryStore, State};

impl State {
    pub(super) fn commit(&self, at: LogPosition) -> &RecordedCommit {
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
        let history = self.streams.get(&commit.stream).copied();
        let last = history.and_then(|history| self.last(&self.histories[history]));
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
        Ok(self.insert(commit, before, history))
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

    fn insert(&mut self, commit: Commit, before: Version, history: Option<usize>) -> Appended {
        let history = history.unwrap_or_else(|| self.begin(commit.stream));
        let history = &mut self.histories[history];
        let log = &mut self.partitions[usize::from(history.partition.index())];
        let at = LogPosition::new(history.partition, Position::new(log.len() as u64 + 1));
        let version = before.plus(commit.events.len());
        self.commands.insert(commit.header.command_id, at);
        history.commits.push((version, at.position));
        log.push(RecordedCommit {
            at,
            version,
            stream: history.stream.clone(),
            header: commit.header,
            events: commit.events,
            reservations: commit.reservations,
        });
        Appended {
            at,
            version,
            repeated: false,
        }
    }

    fn begin(&mut self, stream: StreamName) -> usize {
        let partition = stream.partition(self.partitions.len() as u16);
        self.streams.insert(stream.clone(), self.histories.len());
        self.histories.push(History {
            stream,
            partition,
            commits: Vec::new(),
        });
        self.histories.len() - 1
    }

    fn last(&self, history: &History) -> Option<&RecordedCommit> {
        let (_, position) = history.commits.last()?;
        Some(self.commit(LogPosition::new(history.partition, *position)))
    }

    fn confirm(
        &self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> Result<LogPosition, AppendError> {
        let history = self.streams.get(stream);
        let last = history.and_then(|history| self.last(&self.histories[*history]));
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
    commits: impl Iterator<Item = &'a RecordedCommit>,
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

fn no_such_version(at: LogPosition, stream: &StreamName, after: Version) -> ReadError {
    ReadError::Corrupt {
        at,
        reason: format!("no commit of stream `{stream}` ends at version {after}"),
    }
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
        let Some(history) = state.streams.get(stream) else {
            return match after == Version::EMPTY {
                true => Ok(Vec::new()),
                false => Err(no_such_version(LogPosition::default(), stream, after)),
            };
        };
        let History {
            partition, commits, ..
        } = &state.histories[*history];
        let commit = |(_, position): &(_, Position)| {
            let at = LogPosition::new(*partition, *position);
            state.commit(at)
        };
        let begin = match commits.binary_search_by_key(&after, |(end, _)| *end) {
            Ok(index) => index + 1,
            Err(0) if after == Version::EMPTY => 0,
            Err(index) => {
                let near = commits.get(index).or(commits.last()).map(commit);
                let at = near.map_or_else(LogPosition::default, |commit| commit.at);
                return Err(no_such_version(at, stream, after));
            }
        };
        Ok(slice(commits[begin..].iter().map(commit), max_events))
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
