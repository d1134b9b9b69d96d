//! Parked streams: listed, tried again, given up.

use std::sync::Arc;

use cqrs_core::{
    Batch, EventRef, ParkedStreams, Partition, Position, Projection, ReadLog, StreamName,
};
use cqrs_mongo::MongoStore;
use cqrs_postgres::PgProjection;
use social_read_model::{PgQueries, SocialQueries, SocialReadModel, Tokens};
use uuid::Uuid;

use crate::kit::{Installation, append, created, liked, post};

const PARTITION: Partition = Partition::new(0);

/// Parks everything of `stream`, as a projector of earlier code would have that could not read it; applies the rest.
async fn park(installation: &Installation, log: &MongoStore, stream: &StreamName) {
    let model = SocialReadModel::new();
    let live = installation.models.open(&model, 1).await.unwrap();
    let projection = PgProjection::new(installation.models.clone(), live, Arc::new(model));
    let commits = log.read_partition(PARTITION, Position::START, 1_000);
    let commits = commits.await.unwrap();
    let (mut apply, mut parked) = (Vec::new(), Vec::new());
    for (commit, recorded) in commits.iter().enumerate() {
        let event = EventRef { commit, event: 0 };
        if recorded.stream == *stream {
            let reason = parked.is_empty().then(|| "unreadable then".to_owned());
            parked.push((event, reason));
        } else {
            apply.push(event);
        }
    }
    let batch = Batch {
        partition: PARTITION,
        expected: projection.checkpoint(PARTITION).await.unwrap(),
        position: commits.last().unwrap().at.position,
        commits: (&commits).into(),
        apply: &apply,
        park: &parked,
    };
    projection.apply(&batch).await.unwrap();
    assert_eq!(projection.parked(PARTITION).await.unwrap().len(), 1);
}

#[tokio::test]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
async fn what_can_be_read_by_now_is_applied_in_order() {
    let installation = Installation::new(1);
    let log = installation.log().await;
    append(&log, post(1), vec![created()]).await;
    append(&log, post(2), vec![created()]).await;
    append(&log, post(1), vec![liked(1)]).await;
    append(&log, post(1), vec![liked(2)]).await;
    park(&installation, &log, &post(1)).await;
    let queries = PgQueries::new(installation.models.clone());
    let (id, none) = (Uuid::from_u128(1), Tokens::none());
    let read = || queries.post(id, &none);
    read().await.unwrap_err();
    let status = installation.run(&["status"]).await.expect(0);
    assert!(status.contains("live      0       1  "), "{status}");
    let listed = installation.run(&["parked", "list"]).await.expect(0);
    let line = format!(
        "version 1: {} since 0-1-0, 3 events wait: unreadable then",
        post(1)
    );
    assert_eq!(listed.trim(), line);
    let other = [
        "parked",
        "retry",
        "post-00000000-0000-0000-0000-000000000002",
    ];
    let told = installation.run(&other).await.expect(0);
    assert_eq!(told.trim(), "nothing is parked");

    let told = installation.run(&["parked", "retry"]).await.expect(0);
    assert!(told.contains("applied, 3 events"), "{told}");
    assert_eq!(read().await.unwrap().like_count, 2);
    let listed = installation.run(&["parked"]).await.expect(0);
    assert_eq!(listed.trim(), "nothing is parked");
    installation.run(&["verify"]).await.expect(0);
}

#[tokio::test]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
async fn what_cannot_be_read_stays_parked_until_it_is_given_up_for_a_reason() {
    let installation = Installation::new(1);
    let log = installation.log().await;
    append(&log, post(1), vec![created()]).await;
    // A like of a post that never was.
    append(&log, post(2), vec![liked(1)]).await;
    installation.live(&log).await;
    let told = installation.run(&["parked", "retry"]).await.expect(1);
    assert!(told.contains("stays parked"), "{told}");
    let stream = post(2).to_string();
    let drop = ["parked", "drop", &stream, "--reason", "no such post"];
    let told = installation.run(&drop).await.expect(0);
    assert!(told.contains("dropped, 1 events"), "{told}");
    installation.run(&drop).await.expect(1);
    let client = installation.models.pool().get().await.unwrap();
    let sql = format!(
        "SELECT dropped_because FROM {}_control.parked_drop",
        installation.prefix
    );
    let row = client.query_one(&sql, &[]).await.unwrap();
    assert_eq!(row.get::<_, &str>(0), "no such post");

    // A rebuild knows nothing of it: the stream is parked anew, which the live version has not.
    let told = installation.run(&["rebuild"]).await.expect(1);
    assert!(told.contains("is not promoted"), "{told}");
    installation.run(&["rebuild", "--force"]).await.expect(0);
    assert_eq!(installation.live_version().await, 2);
}
