//! The suite on PostgreSQL.

use std::sync::Arc;

use cqrs_core::RecordedCommit;
use cqrs_postgres::{PgModels, PgOptions, PgProjection, SchemaName};
use social_read_model::{PgQueries, SocialReadModel};

use crate::harness::Harness;

struct Postgres {
    projection: PgProjection<SocialReadModel>,
    queries: PgQueries,
}

impl Harness for Postgres {
    const CASES: u32 = 8;

    type Projection = PgProjection<SocialReadModel>;
    type Queries = PgQueries;

    async fn open(partitions: u16) -> Self {
        let url = std::env::var("POSTGRES_URL").unwrap();
        let pool = PgOptions::parse(&url).unwrap().pool().unwrap();
        let random = getrandom::u64().unwrap();
        let prefix = SchemaName::parse(&format!("s{random:016x}")).unwrap();
        let models = PgModels::new(pool, &prefix);
        let model = SocialReadModel::new();
        let live = models.open(&model, partitions).await.unwrap();
        Self {
            projection: PgProjection::new(models.clone(), live, Arc::new(model)),
            queries: PgQueries::new(models),
        }
    }

    async fn log(&self, _: &[RecordedCommit]) {}

    fn projection(&self) -> &Self::Projection {
        &self.projection
    }

    fn queries(&self) -> &Self::Queries {
        &self.queries
    }
}

social_queries_suite!(Postgres, ignore = "needs POSTGRES_URL");
