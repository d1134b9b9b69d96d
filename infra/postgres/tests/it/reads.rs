//! Reads of the live version: one snapshot, tokens, layouts.

use cqrs_core::{Batch, EventRef, LogPosition, Partition, Position, Projection};
use cqrs_postgres::{ModelError, PgReader, ReadModelError};

use crate::kit::{PARTITION, STRICT, at, batch, first_of, fixture};

fn token(partition: u16, position: u64) -> LogPosition {
    LogPosition::new(Partition::new(partition), Position::new(position))
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_read_reflects_its_tokens_or_says_that_it_is_behind() {
    let fixture = fixture();
    for payload in ["{}", "bad", "{}"] {
        fixture.append(payload.len(), &[payload]).await;
    }
    let projection = fixture.counts(&STRICT).await;
    let commits = fixture.commits().await;
    let apply = [EventRef {
        commit: 0,
        event: 0,
    }];
    let park = [(
        EventRef {
            commit: 1,
            event: 0,
        },
        Some("bad".to_owned()),
    )];
    let slice = Batch {
        park: &park,
        ..batch(0, 2, &commits[..2], &apply)
    };
    projection.apply(&slice).await.unwrap();
    let reader = fixture.reader();
    let read = reader.begin(&[token(0, 1), token(0, 0)]).await.unwrap();
    assert_eq!(read.checkpoints(), [at(2)]);
    assert_eq!(reader.places().await.unwrap(), [Position::new(2)]);
    for behind in [token(0, 2), token(0, 3)] {
        let refused = reader.begin(&[token(0, 1), behind]).await.unwrap_err();
        let named = matches!(refused, ReadModelError::Behind { token, .. } if token == behind);
        assert!(named, "{refused:?}");
    }
    let refused = reader.begin(&[token(1, 0)]).await.unwrap_err();
    let named = matches!(refused, ReadModelError::UnknownPartition(p) if p.index() == 1);
    assert!(named, "{refused:?}");
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_read_stands_still_beside_a_writer() {
    let fixture = fixture();
    fixture.append(1, &["{}"]).await;
    let projection = fixture.counts(&STRICT).await;
    let commits = fixture.commits().await;
    let read = fixture.reader().begin(&[]).await.unwrap();
    let apply = first_of(&commits);
    projection
        .apply(&batch(0, 1, &commits, &apply))
        .await
        .unwrap();
    let rows = read
        .query("SELECT n FROM {schema}.count", &[])
        .await
        .unwrap();
    assert!(rows.is_empty());
    assert_eq!(read.checkpoints(), [at(0)]);
    drop(read);
    assert_eq!(fixture.total().await, (1, 1));
    assert_eq!(projection.checkpoint(PARTITION).await.unwrap(), at(1));
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_layout_that_is_not_known_is_not_read() {
    let fixture = fixture();
    fixture.counts(&STRICT).await;
    let newer = PgReader::new(fixture.models.clone(), "counts", 2);
    let refused = newer.places().await.unwrap_err();
    assert!(
        matches!(refused, ReadModelError::NotThere(ModelError::Layout { .. })),
        "{refused:?}"
    );
    let refused = newer.begin(&[]).await.unwrap_err();
    let layout = ModelError::Layout {
        projection: "counts".to_owned(),
        found: 1,
        known: 2,
    };
    let ReadModelError::NotThere(found) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(found.to_string(), layout.to_string());
    let other = PgReader::new(fixture.models.clone(), "other", 1);
    let refused = other.begin(&[]).await.unwrap_err();
    let none = matches!(
        refused,
        ReadModelError::NotThere(ModelError::NoneLive { .. })
    );
    assert!(none, "{refused:?}");
}
