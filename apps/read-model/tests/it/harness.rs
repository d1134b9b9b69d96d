//! What a store must offer to run the suite, and how the suite feeds and asks it.

use cqrs_core::{
    ApplyError, Batch, EventRef, LogPosition, ParkedStreams, Partition, Projection, RecordedCommit,
};
use social_read_model::{PageRequest, PostFilter, SocialQueries, Tokens};
use uuid::Uuid;

use crate::history::{self, Op};

/// A store with the social read model in it.
pub(crate) trait Harness: Sized {
    /// Cases of each property: as many as are cheap.
    const CASES: u32;

    /// What writes the rows.
    type Projection: Projection + ParkedStreams;
    /// What reads them.
    type Queries: SocialQueries;

    /// A new, empty store of a log with so many `partitions`.
    async fn open(partitions: u16) -> Self;

    /// Puts commits where the projection finds the waiting events of a parked stream again;
    /// nothing where it keeps them itself. Each partition's commits come in order.
    async fn log(&self, commits: &[RecordedCommit]);

    fn projection(&self) -> &Self::Projection;

    fn queries(&self) -> &Self::Queries;
}

/// A store under test.
pub(crate) struct World<H> {
    harness: H,
    partitions: u16,
}

impl<H: Harness> World<H> {
    /// Of a log with one partition.
    pub(crate) async fn open() -> Self {
        Self::with_partitions(1).await
    }

    pub(crate) async fn with_partitions(partitions: u16) -> Self {
        Self {
            harness: H::open(partitions).await,
            partitions,
        }
    }

    pub(crate) fn projection(&self) -> &H::Projection {
        self.harness.projection()
    }

    pub(crate) fn queries(&self) -> &H::Queries {
        self.harness.queries()
    }

    /// The commits of `ops`, logged and not yet applied.
    pub(crate) async fn commits(&self, ops: &[Op]) -> Vec<RecordedCommit> {
        let commits = history::commits(ops, self.partitions);
        self.harness.log(&commits).await;
        commits
    }

    /// Logs and applies what `ops` come to.
    pub(crate) async fn happen(&self, ops: &[Op]) {
        let commits = self.commits(ops).await;
        self.apply(&commits).await;
    }

    /// Applies `commits`, one batch for each run of one partition.
    pub(crate) async fn apply(&self, commits: &[RecordedCommit]) {
        for run in commits.chunk_by(|a, b| a.at.partition == b.at.partition) {
            self.try_apply(run).await.unwrap();
        }
    }

    /// Applies commits of one partition as one batch.
    pub(crate) async fn try_apply(&self, commits: &[RecordedCommit]) -> Result<(), ApplyError> {
        self.batch(commits, &events(commits), &[]).await
    }

    /// Parks commits of one stream: the first for `reason`, the others behind it.
    pub(crate) async fn park(&self, commits: &[RecordedCommit], reason: &str) {
        let park: Vec<_> = events(commits)
            .into_iter()
            .enumerate()
            .map(|(n, event)| (event, (n == 0).then(|| reason.to_owned())))
            .collect();
        self.batch(commits, &[], &park).await.unwrap();
    }

    async fn batch(
        &self,
        commits: &[RecordedCommit],
        apply: &[EventRef],
        park: &[(EventRef, Option<String>)],
    ) -> Result<(), ApplyError> {
        let Some(last) = commits.last() else {
            return Ok(());
        };
        let partition: Partition = last.at.partition;
        let batch = Batch {
            partition,
            expected: self.projection().checkpoint(partition).await?,
            position: last.at.position,
            commits: commits.into(),
            apply,
            park,
        };
        self.projection().apply(&batch).await
    }

    /// The first page of a list.
    pub(crate) async fn ids(&self, filter: &PostFilter, limit: u32) -> Vec<Uuid> {
        let cursor = None;
        let page = PageRequest { limit, cursor };
        let page = self.queries().posts(filter, &page, &Tokens::none()).await;
        page.unwrap().items.into_iter().map(|p| p.id).collect()
    }

    /// The same list in pages of one.
    pub(crate) async fn walk(&self, filter: &PostFilter) -> Vec<Uuid> {
        let (mut ids, mut cursor) = (Vec::new(), None);
        loop {
            let page = PageRequest { limit: 1, cursor };
            let found = self.queries().posts(filter, &page, &Tokens::none()).await;
            let found = found.unwrap();
            ids.extend(found.items.into_iter().map(|p| p.id));
            cursor = found.next;
            if cursor.is_none() {
                return ids;
            }
        }
    }
}

/// All events of `commits`, which hold one each.
fn events(commits: &[RecordedCommit]) -> Vec<EventRef> {
    (0..commits.len())
        .map(|commit| EventRef { commit, event: 0 })
        .collect()
}

/// Demands the commits at `positions`.
pub(crate) fn tokens(positions: &[LogPosition]) -> Tokens {
    Tokens::from(positions.to_vec())
}
