//! The suite on PostgreSQL.

use std::sync::Arc;

use cqrs_core::RecordedCommit;
use cqrs_postgres::{PgModels, PgOptions, PgProjection, SchemaName};
use social_read_model::{
    PageRequest, PgQueries, PostFilter, QueryError, SocialQueries, SocialReadModel, Tokens,
};
use uuid::Uuid;

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

/// Somebody changes a column while the queries are prepared.
#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_column_that_changes_under_a_query_is_not_noticed() {
    let url = std::env::var("POSTGRES_URL").unwrap();
    let mut options = PgOptions::parse(&url).unwrap();
    // So that each query finds the statements of the one before.
    options.max_connections = 1;
    let random = getrandom::u64().unwrap();
    let prefix = SchemaName::parse(&format!("s{random:016x}")).unwrap();
    let models = PgModels::new(options.pool().unwrap(), &prefix);
    let live = models.open(&SocialReadModel::new(), 1).await.unwrap();
    let queries = PgQueries::new(models.clone());
    let alterer = PgOptions::parse(&url).unwrap().pool().unwrap();
    let alterer = alterer.get().await.unwrap();
    let none = Tokens::none();
    for length in [6_000, 7_000, 8_000] {
        let found = queries.post(Uuid::nil(), &none).await;
        assert!(matches!(found, Err(QueryError::NotFound(_))), "{found:?}");
        let filter = PostFilter::default();
        let page = queries.posts(&filter, &PageRequest::default(), &none).await;
        assert!(page.unwrap().items.is_empty());
        let alter = format!(
            "ALTER TABLE {}.social_post ALTER COLUMN message TYPE varchar({length})",
            live.schema
        );
        alterer.batch_execute(&alter).await.unwrap();
    }
}
