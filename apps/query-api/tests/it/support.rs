//! A read model of one's own, and what happens to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use cqrs_core::{
    Actor, Batch, Codec, CommandId, CommitHeader, Envelope, EventRef, LogPosition, Partition,
    Position, Projection, RecordedCommit, Reservations, StreamName, Timestamp, Version,
};
use cqrs_postgres::{PgModels, PgOptions, PgProjection, SchemaName};
use social_domain::PostEvent;
use social_read_model::{PgQueries, SocialReadModel};
use social_test_kit::{Process, command};
use uuid::Uuid;

/// A log that is nowhere but here, and the read model of it.
pub(crate) struct World {
    models: PgModels,
    prefix: SchemaName,
    partitions: u16,
    versions: BTreeMap<Uuid, u64>,
    /// By partition: what happened, and how much of that is in the read model.
    log: BTreeMap<Partition, (Vec<RecordedCommit>, usize)>,
    events: i64,
}

impl World {
    /// Nothing is there yet.
    pub(crate) fn new(partitions: u16) -> Self {
        let pool = PgOptions::parse(&url()).unwrap().pool().unwrap();
        let random = getrandom::u64().unwrap();
        let prefix = SchemaName::parse(&format!("q{random:016x}")).unwrap();
        Self {
            models: PgModels::new(pool, &prefix),
            prefix,
            partitions,
            versions: BTreeMap::new(),
            log: BTreeMap::new(),
            events: 0,
        }
    }

    pub(crate) async fn with_read_model(partitions: u16) -> Self {
        let world = Self::new(partitions);
        world.open().await;
        world
    }

    /// Makes the read model, or finds it.
    pub(crate) async fn open(&self) -> PgProjection<SocialReadModel> {
        let model = SocialReadModel::new();
        let live = self.models.open(&model, self.partitions).await.unwrap();
        PgProjection::new(self.models.clone(), live, Arc::new(model))
    }

    pub(crate) fn queries(&self) -> PgQueries {
        PgQueries::new(self.models.clone())
    }

    /// A process that answers from it.
    pub(crate) fn start(&self) -> Process {
        let mut command = command(super::BINARY);
        command
            .env("POSTGRES_URL", url())
            .env("SOCIAL_SCHEMA_PREFIX", self.prefix.as_str());
        Process::start(&mut command)
    }

    /// Something happens to `post`, by `actor`; its token.
    pub(crate) fn happen(
        &mut self,
        actor: &str,
        post: Uuid,
        event: impl Into<PostEvent>,
    ) -> LogPosition {
        self.events += 1;
        let time = Timestamp::from_millis(1_700_000_000_000 + self.events * 1_000);
        let id = CommandId::new(Uuid::from_u128(self.events.unsigned_abs().into()));
        let envelope = Envelope::new(id, Actor::parse(actor).unwrap(), time);
        let count = u128::from(self.partitions);
        let partition = Partition::new(u16::try_from(post.as_u128() % count).unwrap());
        let version = self.versions.entry(post).or_default();
        *version += 1;
        let (log, _) = self.log.entry(partition).or_default();
        let at = LogPosition::new(partition, Position::new(log.len() as u64 + 1));
        log.push(RecordedCommit {
            at,
            stream: StreamName::new("post", &post).unwrap(),
            version: Version::new(*version),
            header: CommitHeader::from(&envelope),
            events: vec![Codec::<PostEvent>::new().encode(&event.into()).unwrap()],
            reservations: Reservations::none(),
        });
        at
    }

    /// Brings the read model up to what happened.
    pub(crate) async fn apply(&mut self) {
        let projection = self.open().await;
        for (partition, (log, applied)) in &mut self.log {
            let commits = &log[*applied..];
            let Some(last) = commits.last() else {
                continue;
            };
            let events: Vec<_> = (0..commits.len())
                .map(|commit| EventRef { commit, event: 0 })
                .collect();
            let batch = Batch {
                partition: *partition,
                expected: projection.checkpoint(*partition).await.unwrap(),
                position: last.at.position,
                commits: commits.into(),
                apply: &events,
                park: &[],
            };
            projection.apply(&batch).await.unwrap();
            *applied = log.len();
        }
    }
}

fn url() -> String {
    std::env::var("POSTGRES_URL").unwrap()
}
