//! One version beside its log: exactly once, poison, parking, release.

use cqrs_core::{ApplyError, Batch, EventRef, ParkedStreams, Position, Projection};
use cqrs_postgres::{ModelError, ModelState};

use crate::kit::{Counts, LENIENT, PARTITION, STRICT, at, batch, first_of, fixture, stream};

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn rows_and_checkpoint_move_together_once() {
    let fixture = fixture();
    for id in [1, 1, 2] {
        fixture.append(id, &["{}"]).await;
    }
    let projection = fixture.counts(&STRICT).await;
    let commits = fixture.commits().await;
    let apply = first_of(&commits);
    let batch = batch(0, 3, &commits, &apply);
    projection.apply(&batch).await.unwrap();
    let again = projection.apply(&batch).await;
    assert!(matches!(again, Err(ApplyError::Stale)), "{again:?}");
    assert_eq!(fixture.total().await, (3, 2));
    assert_eq!(projection.checkpoint(PARTITION).await.unwrap(), at(3));
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn of_many_that_write_the_same_slice_one_does() {
    let fixture = fixture();
    for id in 0..50 {
        fixture.append(id, &["{}"]).await;
    }
    let projection = fixture.counts(&STRICT).await;
    let commits = fixture.commits().await;
    let apply = first_of(&commits);
    let batch = batch(0, 50, &commits, &apply);
    let writers = (0..8).map(|_| projection.apply(&batch));
    let written = futures_util::future::join_all(writers).await;
    let stale = |r: &Result<(), ApplyError>| matches!(r, Err(ApplyError::Stale));
    assert_eq!(
        written.iter().filter(|r| r.is_ok()).count(),
        1,
        "{written:?}"
    );
    assert_eq!(
        written.iter().filter(|r| stale(r)).count(),
        7,
        "{written:?}"
    );
    assert_eq!(fixture.total().await, (50, 50));
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_poisonous_event_is_named_and_undoes_its_batch() {
    for poison in ["bad", "panic", "broken", "nul\0"] {
        let fixture = fixture();
        for id in 0..40 {
            fixture
                .append(id, &[if id == 29 { poison } else { "{}" }])
                .await;
        }
        let projection = fixture.counts(&STRICT).await;
        let commits = fixture.commits().await;
        let apply = first_of(&commits);
        let applied = projection.apply(&batch(0, 40, &commits, &apply)).await;
        let named = matches!(applied, Err(ApplyError::Poison { index: 29, .. }));
        assert!(named, "{poison:?}: {applied:?}");
        assert_eq!(fixture.total().await, (0, 0));
        assert_eq!(projection.checkpoint(PARTITION).await.unwrap(), at(0));
    }
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn parked_events_wait_in_order_and_are_released_together() {
    let fixture = fixture();
    fixture.append(1, &["{}", "broken"]).await;
    fixture.append(2, &["{}"]).await;
    fixture.append(1, &["{}", "last"]).await;
    let projection = fixture.counts(&STRICT).await;
    let commits = fixture.commits().await;
    let event = |commit, event| EventRef { commit, event };
    let park = [
        (event(0, 1), Some("it is bad\0".to_owned())),
        (event(2, 0), None),
        (event(2, 1), None),
    ];
    let apply = [event(0, 0), event(1, 0)];
    let slice = Batch {
        park: &park,
        ..batch(0, 3, &commits, &apply)
    };
    projection.apply(&slice).await.unwrap();
    assert_eq!(fixture.total().await, (2, 2));

    let parked = projection.parked(PARTITION).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!((&parked[0].stream, parked[0].waiting), (&stream(1), 3));
    assert_eq!(parked[0].reason, "it is bad\u{fffd}");
    assert_eq!(
        parked[0].first,
        commits[0].recorded_events().nth(1).unwrap().id
    );

    let release = projection.release(PARTITION, &stream(1)).await;
    let named = matches!(release, Err(ApplyError::Poison { index: 0, .. }));
    assert!(named, "{release:?}");
    assert_eq!(projection.parked(PARTITION).await.unwrap(), parked);

    let mended = fixture.counts(&LENIENT).await;
    mended.release(PARTITION, &stream(1)).await.unwrap();
    assert_eq!(fixture.total().await, (5, 2));
    assert!(mended.parked(PARTITION).await.unwrap().is_empty());
    mended.release(PARTITION, &stream(1)).await.unwrap();
    assert_eq!(fixture.total().await, (5, 2), "nothing is released twice");
    let read = fixture.reader().begin(&[]).await.unwrap();
    let sql = "SELECT last, version FROM {schema}.count WHERE stream = $1";
    let row = read.query_opt(sql, &[&"thing-1"]).await.unwrap().unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, i64>(1)), ("last", 4));
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_batch_that_is_wrong_about_parked_streams_is_refused() {
    let fixture = fixture();
    fixture.append(1, &["bad"]).await;
    fixture.append(1, &["{}"]).await;
    let projection = fixture.counts(&STRICT).await;
    let commits = fixture.commits().await;
    let event = |commit| EventRef { commit, event: 0 };
    let queued = [(event(0), None)];
    let unknown = Batch {
        park: &queued,
        ..batch(0, 1, &commits[..1], &[])
    };
    let applied = projection.apply(&unknown).await;
    assert!(matches!(applied, Err(ApplyError::Stale)), "{applied:?}");
    let begun = [(event(0), Some("bad".to_owned()))];
    let parks = Batch {
        park: &begun,
        ..batch(0, 1, &commits[..1], &[])
    };
    projection.apply(&parks).await.unwrap();
    let applied = projection
        .apply(&batch(1, 2, &commits[1..], &[event(0)]))
        .await;
    assert!(matches!(applied, Err(ApplyError::Stale)), "{applied:?}");
    assert_eq!(projection.checkpoint(PARTITION).await.unwrap(), at(1));
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_slice_without_events_moves_the_checkpoint() {
    let fixture = fixture();
    let projection = fixture.counts(&STRICT).await;
    projection.apply(&batch(0, 7, &[], &[])).await.unwrap();
    assert_eq!(projection.checkpoint(PARTITION).await.unwrap(), at(7));
    let bare = Batch {
        position: Position::new(9),
        ..batch(6, 9, &[], &[])
    };
    assert!(matches!(
        projection.apply(&bare).await,
        Err(ApplyError::Stale)
    ));
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn many_open_the_same_model_and_find_one_version() {
    let fixture = fixture();
    let opened = (0..8).map(|_| fixture.models.open(&STRICT, 1));
    let opened = futures_util::future::join_all(opened).await;
    for version in opened {
        let version = version.unwrap();
        assert_eq!((version.version, version.state), (1, ModelState::Live));
    }
    assert_eq!(fixture.models.fed(&STRICT).await.unwrap().len(), 1);
    let newer = Counts {
        layout: 2,
        ..STRICT
    };
    let refused = fixture.models.open(&newer, 1).await;
    let layouts = matches!(
        refused,
        Err(ModelError::Layout {
            found: 1,
            known: 2,
            ..
        })
    );
    assert!(layouts, "{refused:?}");
    assert!(fixture.models.fed(&newer).await.unwrap().is_empty());
    let refused = fixture.models.open(&STRICT, 2).await;
    let counted = matches!(
        refused,
        Err(ModelError::Partitions {
            found: 1,
            asked: 2,
            ..
        })
    );
    assert!(counted, "{refused:?}");
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_dropped_stream_goes_on_and_the_reason_is_kept() {
    let fixture = fixture();
    fixture.append(1, &["{}", "broken"]).await;
    fixture.append(1, &["{}"]).await;
    fixture.append(1, &["{}"]).await;
    let projection = fixture.counts(&STRICT).await;
    let commits = fixture.commits().await;
    let event = |commit, event| EventRef { commit, event };
    let park = [
        (event(0, 1), Some("it is broken".to_owned())),
        (event(1, 0), None),
    ];
    let apply = [event(0, 0)];
    let slice = Batch {
        park: &park,
        ..batch(0, 2, &commits[..2], &apply)
    };
    projection.apply(&slice).await.unwrap();
    let (reason, stream) = ("nobody\0 needs it", stream(1));
    for dropped in [2, 0] {
        let drop = projection.drop_parked(PARTITION, &stream, reason);
        assert_eq!(drop.await.unwrap(), dropped);
    }
    assert!(projection.parked(PARTITION).await.unwrap().is_empty());
    let rest = first_of(&commits[2..]);
    projection
        .apply(&batch(2, 3, &commits[2..], &rest))
        .await
        .unwrap();
    assert_eq!(fixture.total().await, (2, 1));

    let schema = projection.version().schema.as_str();
    let control = schema.strip_suffix("_1").unwrap();
    let sql = format!(
        "SELECT stream, position, event, events, parked_because, dropped_because
         FROM {control}_control.parked_drop"
    );
    let client = fixture.models.pool().get().await.unwrap();
    let rows = client.query(&sql, &[]).await.unwrap();
    assert_eq!(rows.len(), 1);
    let texts: [String; 3] = [0, 4, 5].map(|column: usize| rows[0].get(column));
    assert_eq!(
        texts,
        ["thing-1", "it is broken", "nobody\u{fffd} needs it"]
    );
    let place: (i64, i32, i64) = (rows[0].get(1), rows[0].get(2), rows[0].get(3));
    assert_eq!(place, (1, 1, 2));
}

/// A row is written once a slice, as it is at its end: that it was refused on the way there is nobody's loss.
#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn what_a_slice_itself_overwrites_is_not_refused() {
    let fixture = fixture();
    for payload in ["bad", "{}"] {
        fixture.append(1, &[payload]).await;
    }
    let projection = fixture.counts(&STRICT).await;
    let commits = fixture.commits().await;
    let apply = first_of(&commits);
    let alone = projection
        .apply(&batch(0, 1, &commits[..1], &apply[..1]))
        .await;
    let named = matches!(alone, Err(ApplyError::Poison { index: 0, .. }));
    assert!(named, "{alone:?}");
    projection
        .apply(&batch(0, 2, &commits, &apply))
        .await
        .unwrap();
    assert_eq!(fixture.total().await, (2, 1));
}
