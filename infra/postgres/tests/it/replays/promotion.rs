//! What is promoted, and what is not.

use super::*;

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_version_that_parks_more_than_the_live_one_needs_force() {
    let fixture = fixture();
    fixture.append(1, &["{}"]).await;
    fixture.append(2, &["broken"]).await;
    fixture.append(2, &["{}"]).await;
    fixture.append(3, &["{}"]).await;
    let live = fixture.models.open(&LENIENT, 1).await.unwrap();
    fixture.catch_up(&live, &LENIENT).await;
    let replay = fixture.replay(&STRICT);
    let lock = replay.lock().await.unwrap();
    let rebuilt = replay.rebuild(&lock, pending()).await.unwrap();
    let parked = fixture
        .of(&rebuilt, &STRICT)
        .parked(PARTITION)
        .await
        .unwrap();
    assert_eq!((&parked[0].stream, parked[0].waiting), (&stream(2), 2));
    let how = Promotion::default();
    let refused = replay.promote(&lock, 2, &how, pending()).await.unwrap_err();
    let named = matches!(&refused, ReplayError::Parked { streams } if streams[..] == [(PARTITION, stream(2))]);
    assert!(named, "{refused:?}");
    assert_eq!(fixture.models.live(&STRICT).await.unwrap().version, 1);
    let verified = replay.verify(&lock, 2, pending()).await.unwrap();
    let tables: Vec<_> = verified
        .differences
        .iter()
        .map(|d| d.table.as_str())
        .collect();
    assert_eq!(
        tables,
        ["count", "entry", "entry", "parked", "parked"],
        "{verified:?}"
    );

    let force = Promotion { force: true, ..how };
    replay.promote(&lock, 2, &force, pending()).await.unwrap();
    assert_eq!(fixture.total().await, (2, 2));
    replay.promote(&lock, 1, &how, pending()).await.unwrap();
    assert_eq!(fixture.total().await, (4, 3));
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn another_layout_is_moved_to_by_a_rebuild() {
    let fixture = fixture();
    for n in 0..30 {
        fixture.append(n, &["{}"]).await;
    }
    let live = fixture.models.open(&STRICT, 1).await.unwrap();
    fixture.catch_up(&live, &STRICT).await;
    let wide = Counts {
        layout: 2,
        ..STRICT
    };
    let replay = fixture.replay(&wide);
    let lock = replay.lock().await.unwrap();
    let rebuilt = replay.rebuild(&lock, pending()).await.unwrap();
    assert_eq!(rebuilt.layout, 2);
    assert_eq!(
        fixture.models.fed(&STRICT).await.unwrap()[..],
        *std::slice::from_ref(&live)
    );
    assert_eq!(
        fixture.models.fed(&wide).await.unwrap()[..],
        *std::slice::from_ref(&rebuilt)
    );
    replay
        .promote(&lock, 2, &Promotion::default(), pending())
        .await
        .unwrap();
    let old = fixture.models.live(&STRICT).await.unwrap_err();
    assert!(
        matches!(
            old,
            ModelError::Layout {
                found: 2,
                known: 1,
                ..
            }
        ),
        "{old:?}"
    );
    let read = cqrs_postgres::PgReader::new(fixture.models.clone(), "counts", 2);
    let read = read.begin(&[]).await.unwrap();
    let sql = "SELECT length, n FROM {schema}.count WHERE stream = 'thing-7'";
    let row = read.query_opt(sql, &[]).await.unwrap().unwrap();
    assert_eq!((row.get::<_, i64>(0), row.get::<_, i64>(1)), (2, 1));
    // Back, as long as somebody feeds the old one.
    fixture.catch_up(&live, &STRICT).await;
    replay
        .promote(&lock, 1, &Promotion::default(), pending())
        .await
        .unwrap();
    assert_eq!(fixture.models.live(&STRICT).await.unwrap(), live);
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_version_that_nobody_brings_up_is_not_promoted() {
    let fixture = fixture();
    fixture.append(1, &["{}"]).await;
    let live = fixture.models.open(&STRICT, 1).await.unwrap();
    fixture.catch_up(&live, &STRICT).await;
    let wide = Counts {
        layout: 2,
        ..STRICT
    };
    let newer = fixture.replay(&wide);
    let lock = newer.lock().await.unwrap();
    newer.rebuild(&lock, pending()).await.unwrap();
    fixture.append(2, &["{}"]).await;
    fixture.catch_up(&live, &STRICT).await;
    let how = Promotion {
        hold: Duration::from_millis(10),
        attempts: 2,
        ..Promotion::default()
    };
    // This one knows the old layout only, so it cannot feed the other.
    let older = fixture.replay(&STRICT);
    let refused = older.promote(&lock, 2, &how, pending()).await.unwrap_err();
    assert!(
        matches!(
            refused,
            ReplayError::Behind {
                version: 2,
                attempts: 2
            }
        ),
        "{refused:?}"
    );
    assert_eq!(fixture.models.live(&STRICT).await.unwrap(), live);
}
