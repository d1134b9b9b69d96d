//! What a verification finds.

use cqrs_postgres::ModelState;
use social_read_model::SocialReadModel;

use crate::kit::{Installation, history};

#[tokio::test]
#[ignore = "needs MONGODB_URI and POSTGRES_URL"]
async fn a_row_that_was_changed_by_hand_is_found_and_a_rebuild_mends_it() {
    let installation = Installation::new(2);
    let log = installation.log().await;
    history(&log, 20, 2).await;
    let live = installation.live(&log).await;
    installation.run(&["verify"]).await.expect(0);
    let client = installation.models.pool().get().await.unwrap();
    let spoil = format!(
        "UPDATE {0}.social_post SET like_count = 7 WHERE id = '00000000-0000-0000-0000-000000000003';
         DELETE FROM {0}.social_like WHERE post = '00000000-0000-0000-0000-000000000004' AND actor = 'actor-1'",
        live.schema
    );
    client.batch_execute(&spoil).await.unwrap();
    drop(client);
    let told = installation.run(&["verify"]).await.expect(1);
    for part in [
        "social_post [\"00000000-0000-0000-0000-000000000003\"]",
        "\"like_count\":7",
        "social_like [\"00000000-0000-0000-0000-000000000004\", \"actor-1\"]",
        "version 1: none",
        " 2 differ",
    ] {
        assert!(told.contains(part), "{part} not in\n{told}");
    }
    // What was made for the comparison is gone.
    let versions = installation
        .models
        .versions(SocialReadModel::NAME)
        .await
        .unwrap();
    let states: Vec<_> = versions.iter().map(|version| version.state).collect();
    let retired = ModelState::Retired;
    assert_eq!(states, [ModelState::Live, retired, retired]);

    let told = installation.run(&["rebuild"]).await.expect(1);
    assert!(told.contains("is not promoted"), "{told}");
    assert_eq!(installation.live_version().await, 1);
    installation.run(&["rebuild", "--force"]).await.expect(0);
    assert_eq!(installation.live_version().await, 4);
    installation.run(&["verify"]).await.expect(0);
}
