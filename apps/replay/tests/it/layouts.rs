//! Moving to tables of another layout.

use cqrs_core::RecordedEvent;
use cqrs_postgres::{ApplyFailure, ModelError, PgReadModel, Table, Writer};
use social_read_model::{PgQueries, SocialQueries, SocialReadModel, Tokens};
use uuid::Uuid;

use crate::kit::{Installation, append, history, liked, post};

/// The social read model before its tables became what they are: it had no indexes, and a table more.
struct Before(SocialReadModel);

const OLD: u32 = 1_000;

impl PgReadModel for Before {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn layout(&self) -> u32 {
        OLD
    }

    fn handles(&self, event_type: &str) -> bool {
        self.0.handles(event_type)
    }

    fn tables(&self) -> Vec<&'static Table> {
        self.0.tables()
    }

    fn create_tables(&self) -> &'static str {
        self.0.create_tables()
    }

    fn create_indexes(&self) -> &'static str {
        "CREATE TABLE {schema}.of_old (n bigint)"
    }

    async fn apply(
        &self,
        writer: &Writer<'_>,
        events: &[RecordedEvent<'_>],
    ) -> Result<(), ApplyFailure> {
        self.0.apply(writer, events).await
    }
}

#[tokio::test]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
async fn another_layout_is_moved_to_by_a_rebuild_and_back_by_a_rollback() {
    let installation = Installation::new(2);
    let log = installation.log().await;
    history(&log, 20, 3).await;
    let before = || Before(SocialReadModel::new());
    let old = installation.models.open(&before(), 2).await.unwrap();
    installation.feed(&log, old.clone(), before()).await;
    let queries = PgQueries::new(installation.models.clone());
    queries.ping().await.unwrap_err();

    let told = installation.run(&["rebuild"]).await.expect(0);
    assert!(told.contains("layout 1000 becomes 1"), "{told}");
    assert!(told.contains("version 2 is live"), "{told}");
    let found = queries.post(Uuid::from_u128(7), &Tokens::none()).await;
    assert_eq!(found.unwrap().like_count, 3);

    // Whoever knows the old tables has fed them on; then there is a way back.
    append(&log, post(7), vec![liked(99)]).await;
    installation.feed(&log, old.clone(), before()).await;
    installation.run(&["rollback"]).await.expect(0);
    assert_eq!(installation.models.live(&before()).await.unwrap(), old);
    let refused = installation.models.live(&SocialReadModel::new()).await;
    assert!(matches!(refused, Err(ModelError::Layout { .. })));
}
