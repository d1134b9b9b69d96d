//! Several versions of the read model, and one that this code does not know.

use std::sync::Arc;

use cqrs_core::{ApplyError, Projection, RecordedEvent};
use cqrs_postgres::{ApplyFailure, ModelState, PgProjection, PgReadModel, PgReplay, Table, Writer};
use social_api::TokioTimer;
use social_read_model::SocialReadModel;
use social_test_kit::get;
use uuid::Uuid;

use crate::support::{World, soon};
use crate::{created, liked};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
async fn the_version_beside_the_live_one_is_fed_too() {
    let mut world = World::new().await;
    let post = Uuid::from_u128(1);
    world.happen("ada", post, created()).await;
    world.publish().await;
    let projector = world.start();
    let model = Arc::new(SocialReadModel::new());
    let (models, log) = (world.models.clone(), world.log.clone());
    let replay = PgReplay::new(models, Arc::clone(&model), log, TokioTimer);
    let lock = replay.lock().await.unwrap();
    let next = replay.rebuild(&lock, std::future::pending()).await.unwrap();
    assert_eq!((next.version, next.state), (2, ModelState::Ready));
    let last = world.happen("bob", post, liked(1)).await;
    world.publish().await;
    assert_eq!(world.post(post, last).await.like_count, 1);
    let fed = PgProjection::new(world.models.clone(), next, model);
    soon(
        async || match fed.checkpoint(last.partition).await.unwrap().position {
            reached if reached == last.position => Ok(()),
            reached => Err(format!("{reached} of {}", last.position)),
        },
    )
    .await;
    projector.send(&get("/readyz")).expect(200);
}

/// The social read model as some other code knows it.
struct Other;

impl PgReadModel for Other {
    fn name(&self) -> &str {
        SocialReadModel::NAME
    }

    fn layout(&self) -> u32 {
        u32::MAX
    }

    fn handles(&self, _: &str) -> bool {
        true
    }

    fn tables(&self) -> Vec<&'static Table> {
        Vec::new()
    }

    fn create_tables(&self) -> &'static str {
        ""
    }

    fn create_indexes(&self) -> &'static str {
        ""
    }

    async fn apply(&self, _: &Writer<'_>, _: &[RecordedEvent<'_>]) -> Result<(), ApplyFailure> {
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs KAFKA_BROKERS, MONGODB_URI and POSTGRES_URL"]
async fn a_live_layout_that_it_does_not_know_is_told_and_left_alone() {
    let mut world = World::new().await;
    let live = world.models.open(&Other, crate::support::PARTITIONS).await;
    let live = live.unwrap();
    let post = Uuid::from_u128(1);
    let at = world.happen("ada", post, created()).await;
    world.publish().await;
    let projector = world.start();
    let mut client = projector.client();
    soon(async || {
        let answer = client.send(&get("/readyz"));
        let report = answer.value();
        match answer.status == 503 && report["checks"]["read_model"] == "down" {
            true => Ok(()),
            false => Err(report.to_string()),
        }
    })
    .await;
    // A rebuild of the layout that it knows is fed, so that it can be promoted.
    let model = Arc::new(SocialReadModel::new());
    let (models, log) = (world.models.clone(), world.log.clone());
    let replay = PgReplay::new(models, Arc::clone(&model), log, TokioTimer);
    let lock = replay.lock().await.unwrap();
    let next = replay.rebuild(&lock, std::future::pending()).await.unwrap();
    let last = world.happen("bob", post, liked(1)).await;
    world.publish().await;
    let fed = PgProjection::new(world.models.clone(), next, model);
    soon(
        async || match fed.checkpoint(last.partition).await.unwrap().position {
            reached if reached == last.position => Ok(()),
            reached => Err(format!("{reached} of {}", last.position)),
        },
    )
    .await;
    let untouched = PgProjection::new(world.models.clone(), live, Arc::new(Other));
    let stands: Result<_, ApplyError> = untouched.checkpoint(at.partition).await;
    assert_eq!(stands.unwrap().position.get(), 0);
}
