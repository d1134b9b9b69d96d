//! The log as it is stored: what really happened.

use std::collections::BTreeMap;

use cqrs_core::{
    Actor, CommandId, LogPosition, LoggedAnswer, Partition, Position, ReadLog, RecordedCommit,
    TailLog, Version,
};
use uuid::Uuid;

use crate::world::World;

/// Every commit, by partition, in order.
pub(crate) struct History {
    pub(crate) partitions: Vec<Vec<RecordedCommit>>,
    by_command: BTreeMap<Uuid, (usize, usize)>,
    namespace: Uuid,
}

impl World {
    /// Reads the whole log, and checks what must hold of any: positions dense, versions without hole or repeat, each stream in
    /// its partition, each command once.
    pub(crate) fn history(&self) -> History {
        let store = self.store();
        let partitions = self.runtime.block_on(async {
            let mut partitions = Vec::new();
            for partition in Partition::all(store.partitions()) {
                partitions.push(read(&store, partition).await);
            }
            partitions
        });
        let namespace = store.namespace();
        self.runtime.block_on(store.close());
        History::checked(partitions, namespace)
    }
}

async fn read(log: &impl ReadLog, partition: Partition) -> Vec<RecordedCommit> {
    let mut commits: Vec<RecordedCommit> = Vec::new();
    loop {
        let after = commits
            .last()
            .map_or(Position::START, |last| last.at.position);
        let more = log.read_partition(partition, after, 1_000).await.unwrap();
        if more.is_empty() {
            return commits;
        }
        commits.extend(more);
    }
}

impl History {
    fn checked(partitions: Vec<Vec<RecordedCommit>>, namespace: Uuid) -> Self {
        let mut by_command = BTreeMap::new();
        let mut versions = BTreeMap::new();
        let count = u16::try_from(partitions.len()).unwrap();
        for (partition, commits) in partitions.iter().enumerate() {
            for (index, commit) in commits.iter().enumerate() {
                assert_eq!(
                    commit.at.position.get(),
                    index as u64 + 1,
                    "positions are dense"
                );
                assert_eq!(usize::from(commit.at.partition.index()), partition);
                assert_eq!(commit.stream.partition(count), commit.at.partition);
                let version = versions.entry(&commit.stream).or_insert(Version::EMPTY);
                assert_eq!(
                    commit.version_before(),
                    *version,
                    "versions of {}",
                    commit.stream
                );
                *version = commit.version;
                let command = commit.header.command_id.as_uuid();
                let twice = by_command.insert(command, (partition, index));
                assert_eq!(twice, None, "command {command} stands in the log twice");
            }
        }
        Self {
            partitions,
            by_command,
            namespace,
        }
    }

    /// What took effect: a logged answer says that its command had none.
    pub(crate) fn commits(&self) -> impl Iterator<Item = &RecordedCommit> {
        let all = self.partitions.iter().flatten();
        all.filter(|commit| LoggedAnswer::of(commit).is_none())
    }

    /// The id of the command that `actor` sent under `key`.
    pub(crate) fn command(&self, actor: &str, key: &str) -> Uuid {
        CommandId::keyed(self.namespace, &Actor::parse(actor).unwrap(), key).as_uuid()
    }

    /// The commit of a command, if it took effect.
    pub(crate) fn find(&self, command: Uuid) -> Option<&RecordedCommit> {
        let (partition, index) = self.by_command.get(&command)?;
        let commit = &self.partitions[*partition][*index];
        LoggedAnswer::of(commit).is_none().then_some(commit)
    }

    /// The same without the commit at `place`.
    pub(crate) fn without(mut self, place: LogPosition) -> Self {
        for commits in &mut self.partitions {
            commits.retain(|commit| commit.at != place);
        }
        self
    }

    /// The token that stands for all of it.
    pub(crate) fn token(&self) -> String {
        let ends = self.partitions.iter().enumerate();
        let ends: Vec<_> = ends
            .map(|(partition, commits)| format!("{partition}-{}", commits.len()))
            .collect();
        ends.join(",")
    }
}
