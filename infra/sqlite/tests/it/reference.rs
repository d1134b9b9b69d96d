//! The store beside the reference in memory: the same calls, the same answers.

use cqrs_core::testing::strategies;
use cqrs_core::{
    AppendToLog, Commit, ExpectedVersion, MemoryStore, Partition, Position, ReadLog, TailLog,
    Version,
};
use proptest::prelude::*;

use crate::kit::open;

const PARTITIONS: u16 = 3;

/// Commits to a few streams, some decided on a version that is not there, some sent twice.
fn commits() -> impl Strategy<Value = Vec<Commit>> {
    let names = prop::collection::vec(strategies::stream_name(), 3);
    let picks = prop::collection::vec((0..3_usize, 0..6_u64, any::<bool>()), 1..20);
    (names, picks).prop_flat_map(|(names, picks)| {
        let commits: Vec<_> = picks
            .into_iter()
            .map(|(stream, expected, exact)| {
                let commit = strategies::commit(names[stream].clone(), Version::new(expected));
                let again = prop::bool::weighted(0.2);
                (commit, again).prop_map(move |(mut commit, again)| {
                    if !exact {
                        commit.expected = ExpectedVersion::Any;
                    }
                    vec![commit; 1 + usize::from(again)]
                })
            })
            .collect();
        commits.prop_map(|repeated| repeated.concat())
    })
}

/// All that can be read, as text.
async fn everything<S: ReadLog + TailLog>(store: &S, commits: &[Commit]) -> Vec<String> {
    let mut all = Vec::new();
    for partition in Partition::all(PARTITIONS) {
        let slice = store.read_partition(partition, Position::START, usize::MAX);
        all.push(format!("{:?}", slice.await));
        all.push(format!("{:?}", store.head(partition).await));
    }
    for commit in commits {
        let read = store.read_stream(&commit.stream, Version::EMPTY, usize::MAX);
        all.push(format!("{:?}", read.await));
        let found = store.find_commit(commit.header.command_id);
        all.push(format!("{:?}", found.await));
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_answers_as_the_reference_does(commits in commits()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let folder = tempfile::tempdir().unwrap();
            let sqlite = open(&folder, PARTITIONS);
            let memory = MemoryStore::new(PARTITIONS);
            for commit in &commits {
                let (ours, reference) = (sqlite.append(commit.clone()).await, memory.append(commit.clone()).await);
                prop_assert_eq!(format!("{ours:?}"), format!("{reference:?}"));
            }
            let reference = everything(&memory, &commits).await;
            prop_assert_eq!(everything(&sqlite, &commits).await, reference.clone());
            // And after a start from the file.
            sqlite.close().await;
            drop(sqlite);
            let sqlite = open(&folder, PARTITIONS);
            prop_assert_eq!(everything(&sqlite, &commits).await, reference);
            Ok(())
        })?;
    }
}
