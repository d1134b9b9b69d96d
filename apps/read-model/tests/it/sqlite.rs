//! The suite on SQLite.

use cqrs_core::{AppendToLog, Commit, ExpectedVersion, RecordedCommit};
use cqrs_sqlite::{ReadModel, SqliteOptions, SqliteProjection, SqliteStore};
use social_read_model::{SocialReadModel, SqliteQueries};
use tempfile::TempDir;

use crate::harness::Harness;

struct Sqlite {
    store: SqliteStore,
    projection: SqliteProjection<SocialReadModel>,
    queries: SqliteQueries,
    _folder: TempDir,
}

impl Harness for Sqlite {
    const CASES: u32 = 24;

    type Projection = SqliteProjection<SocialReadModel>;
    type Queries = SqliteQueries;

    async fn open(partitions: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = SqliteOptions {
            partitions,
            ..SqliteOptions::default()
        };
        let store = SqliteStore::open(folder.path().join("social.db"), options).unwrap();
        let model = SocialReadModel::new();
        Self {
            projection: SqliteProjection::open(store.clone(), model).await.unwrap(),
            queries: SqliteQueries::new(store.clone()),
            store,
            _folder: folder,
        }
    }

    async fn log(&self, commits: &[RecordedCommit]) {
        for recorded in commits {
            let commit = Commit {
                stream: recorded.stream.clone(),
                expected: ExpectedVersion::Exact(recorded.version_before()),
                header: recorded.header.clone(),
                events: recorded.events.clone(),
                reservations: recorded.reservations.clone(),
            };
            let appended = self.store.append(commit).await.unwrap();
            assert_eq!(appended.at, recorded.at);
        }
    }

    fn projection(&self) -> &Self::Projection {
        &self.projection
    }

    fn queries(&self) -> &Self::Queries {
        &self.queries
    }
}

social_queries_suite!(Sqlite);

#[test]
fn the_model_names_its_events_and_its_layout() {
    let model = SocialReadModel::new();
    assert!(model.handles("post-liked") && model.handles("handle-changed"));
    assert!(!model.handles("account-opened"));
    assert_eq!(model.layout(), 2);
}
