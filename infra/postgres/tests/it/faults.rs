//! What the server refuses late, slowly, or because somebody changed a table: searched for, made smaller, tried again.

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{ApplyError, Batch, EventRef, ParkedStreams, Projection, RecordedEvent};
use cqrs_postgres::{
    ApplyFailure, Column, PgModels, PgOptions, PgProjection, PgReadModel, PgReader, SchemaName,
    SqlType, Table, Writer,
};

use tokio::sync::Notify;

use crate::kit::{Fixture, PARTITION, at, batch, first_of, fixture, prefix, stream};

static PERSON: Table = Table {
    name: "person",
    columns: &[
        Column::key("stream", SqlType::Text),
        Column::key("version", SqlType::Int8),
        Column::value("parent", SqlType::Text),
    ],
};

/// People: `child` is written before its parent, which is looked for at the end only; `orphan` has none; `slow` takes
/// 20 milliseconds of the statement that it shares with the others, `endless` all of its time.
#[derive(Default)]
struct People {
    /// Told once it stands still in the middle of a slice, for ever.
    frozen: Option<Arc<Notify>>,
}

impl PgReadModel for People {
    fn name(&self) -> &str {
        "people"
    }

    fn layout(&self) -> u32 {
        1
    }

    fn handles(&self, event_type: &str) -> bool {
        event_type == "thing-done"
    }

    fn tables(&self) -> Vec<&'static Table> {
        vec![&PERSON]
    }

    fn create_tables(&self) -> &'static str {
        "CREATE TABLE {schema}.parent (name text PRIMARY KEY);
         CREATE TABLE {schema}.person (stream text COLLATE \"C\", version bigint,
            parent text REFERENCES {schema}.parent DEFERRABLE INITIALLY DEFERRED,
            PRIMARY KEY (stream, version))"
    }

    fn create_indexes(&self) -> &'static str {
        ""
    }

    async fn apply(
        &self,
        writer: &Writer<'_>,
        events: &[RecordedEvent<'_>],
    ) -> Result<(), ApplyFailure> {
        let (mut people, mut parents, mut seconds) = (writer.rows(&PERSON), Vec::new(), 0.0);
        for (index, event) in events.iter().enumerate() {
            let stream = event.commit.stream.as_str();
            let version = i64::try_from(event.version.get()).unwrap();
            let (parent, needs) = match &event.data.payload[..] {
                b"orphan" => (Some("nobody"), 0.0),
                b"slow" => (None, 0.02),
                b"endless" => (None, 60.0),
                _ => (Some(stream), 0.0),
            };
            parents.extend(parent.filter(|parent| *parent == stream));
            seconds += needs;
            people
                .push(&[&stream, &version, &parent])
                .map_err(|error| ApplyFailure::at(index, error))?;
        }
        let known = "SELECT parent FROM {schema}.person WHERE stream = ANY($1)";
        for row in writer.query(known, &[&parents]).await? {
            row.try_get::<_, Option<&str>>(0)?;
        }
        if let Some(frozen) = &self.frozen {
            frozen.notify_one();
            std::future::pending::<()>().await;
        }
        writer.execute("SELECT pg_sleep($1)", &[&seconds]).await?;
        writer.insert(people).await?;
        let add = "INSERT INTO {schema}.parent SELECT unnest($1::text[]) ON CONFLICT DO NOTHING";
        writer.execute(add, &[&parents]).await?;
        Ok(())
    }
}

/// One connection, whose statements take 300 milliseconds at most.
fn models(prefix: &SchemaName) -> PgModels {
    let mut options = PgOptions::parse(&std::env::var("POSTGRES_URL").unwrap()).unwrap();
    options.max_connections = 1;
    options.statement_timeout = Duration::from_millis(300);
    PgModels::new(options.pool().unwrap(), prefix)
}

async fn people() -> (Fixture, PgProjection<People>) {
    let fixture = Fixture {
        models: models(&prefix()),
        ..fixture()
    };
    let people = People::default();
    let live = fixture.models.open(&people, 1).await.unwrap();
    let projection = PgProjection::new(fixture.models.clone(), live, Arc::new(people));
    (fixture, projection)
}

/// How many people there are.
async fn count(fixture: &Fixture) -> i64 {
    let reader = PgReader::new(fixture.models.clone(), "people", 1);
    let read = reader.begin(&[]).await.unwrap();
    let sql = "SELECT count(*) FROM {schema}.person";
    read.query_opt(sql, &[]).await.unwrap().unwrap().get(0)
}

/// Runs `sql`, in which `{model}` and `{control}` stand for the schemas.
async fn change(projection: &PgProjection<People>, sql: &str) {
    let model = projection.version().schema.as_str();
    let control = format!("{}_control", model.strip_suffix("_1").unwrap());
    let sql = sql.replace("{model}", model).replace("{control}", &control);
    let client = crate::kit::pool().get().await.unwrap();
    client.batch_execute(&sql).await.unwrap();
}

/// Parks all of `commits`, which are of one stream and begin at position 1.
async fn park(projection: &PgProjection<People>, commits: &[cqrs_core::RecordedCommit]) {
    let reason = |nth: usize| (nth == 0).then(|| "parked by a test".to_owned());
    let events = first_of(commits).into_iter().enumerate();
    let parked: Vec<_> = events.map(|(nth, event)| (event, reason(nth))).collect();
    let slice = Batch {
        park: &parked,
        ..batch(0, commits.len() as u64, commits, &[])
    };
    projection.apply(&slice).await.unwrap();
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn what_a_deferred_constraint_refuses_at_the_commit_is_named() {
    for (orphan, size) in [(29, 40), (0, 1)] {
        let (fixture, projection) = people().await;
        for id in 0..size {
            let payload = if id == orphan { "orphan" } else { "child" };
            fixture.append(id, &[payload]).await;
        }
        let commits = fixture.commits().await;
        let mut apply = first_of(&commits);
        let refused = projection
            .apply(&batch(0, size as u64, &commits, &apply))
            .await;
        let named = matches!(&refused, Err(ApplyError::Poison { index, .. }) if *index == orphan);
        assert!(named, "{refused:?}");
        assert_eq!(projection.checkpoint(PARTITION).await.unwrap(), at(0));

        let parked = [(apply.remove(orphan), Some("an orphan".to_owned()))];
        let slice = Batch {
            park: &parked,
            ..batch(0, size as u64, &commits, &apply)
        };
        projection.apply(&slice).await.unwrap();
        assert_eq!(count(&fixture).await, size as i64 - 1);
        let released = projection.release(PARTITION, &stream(orphan)).await;
        let named = matches!(released, Err(ApplyError::Poison { index: 0, .. }));
        assert!(named, "{released:?}");
    }
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_constraint_that_holds_at_the_end_of_each_event_refuses_none_of_the_parts() {
    let (fixture, projection) = people().await;
    for id in 0..9 {
        fixture
            .append(id, &[if id == 5 { "orphan" } else { "child" }])
            .await;
    }
    let commits = fixture.commits().await;
    // Waiting events are applied in parts, too, each with its parent behind it.
    park(&projection, &commits[..1]).await;
    projection.release(PARTITION, &stream(0)).await.unwrap();
    assert_eq!(count(&fixture).await, 1);
    let rest = first_of(&commits[1..]);
    let refused = projection.apply(&batch(1, 9, &commits[1..], &rest)).await;
    let named = matches!(refused, Err(ApplyError::Poison { index: 4, .. }));
    assert!(named, "{refused:?}");
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_slice_that_takes_too_long_at_once_is_written_in_parts() {
    let (fixture, projection) = people().await;
    for id in 0..40 {
        fixture.append(id, &["slow"]).await;
    }
    let commits = fixture.commits().await;
    let apply = first_of(&commits);
    projection
        .apply(&batch(0, 40, &commits, &apply))
        .await
        .unwrap();
    assert_eq!(count(&fixture).await, 40);
    assert_eq!(projection.checkpoint(PARTITION).await.unwrap(), at(40));
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn one_event_that_takes_too_long_is_waited_for_and_not_parked_for() {
    let (fixture, projection) = people().await;
    for payload in ["child", "endless"] {
        fixture.append(payload, &[payload]).await;
    }
    let commits = fixture.commits().await;
    let apply = first_of(&commits);
    let waits = projection.apply(&batch(0, 2, &commits, &apply)).await;
    let Err(ApplyError::Store { source }) = waits else {
        panic!("{waits:?}");
    };
    let told = "event 0-2-0 of stream `thing-endless` takes longer than a statement may";
    assert_eq!(source.to_string(), told);
    assert_eq!(count(&fixture).await, 0);
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_column_that_changed_under_the_cached_statements_is_met_once() {
    let (fixture, projection) = people().await;
    for _ in 0..3 {
        fixture.append(1, &["child"]).await;
    }
    let commits = fixture.commits().await;
    let one = |nth: usize| std::slice::from_ref(&commits[nth]);
    let event = [EventRef {
        commit: 0,
        event: 0,
    }];
    projection
        .apply(&batch(0, 1, one(0), &event))
        .await
        .unwrap();
    let reader = PgReader::new(fixture.models.clone(), "people", 1);
    let sql = "SELECT parent FROM {schema}.person WHERE stream = $1";
    let read = reader.begin(&[]).await.unwrap();
    read.query(sql, &[&"thing-1"]).await.unwrap();
    drop(read);

    let alter = "ALTER TABLE {model}.person ALTER COLUMN parent TYPE varchar(100)";
    change(&projection, alter).await;
    let read = reader.begin(&[]).await.unwrap();
    let refused = read.query(sql, &[&"thing-1"]).await.unwrap_err();
    assert!(cqrs_postgres::is_outdated(&refused), "{refused:?}");
    drop(read);
    let read = reader.begin(&[]).await.unwrap();
    assert_eq!(read.query(sql, &[&"thing-1"]).await.unwrap().len(), 1);
    drop(read);

    let alter = "ALTER TABLE {model}.person ALTER COLUMN parent TYPE varchar(200)";
    change(&projection, alter).await;
    projection
        .apply(&batch(1, 2, one(1), &event))
        .await
        .unwrap();
    let parked = [(event[0], Some("parked by a test".to_owned()))];
    let slice = Batch {
        park: &parked,
        ..batch(2, 3, one(2), &[])
    };
    projection.apply(&slice).await.unwrap();
    let alter = "ALTER TABLE {model}.person ALTER COLUMN parent TYPE text";
    change(&projection, alter).await;
    projection.release(PARTITION, &stream(1)).await.unwrap();
    assert_eq!(count(&fixture).await, 3);
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn parked_rows_that_cannot_be_read_hold_no_other_stream_up() {
    let (fixture, projection) = people().await;
    for id in [1, 1, 2] {
        fixture.append(id, &["child"]).await;
    }
    let commits = fixture.commits().await;
    park(&projection, &commits[..2]).await;
    let spoil = "UPDATE {control}.parked_commit SET encodings = '{morse}' WHERE position = 2;
        INSERT INTO {control}.parked_stream SELECT version, partition, '', position, event, reason
        FROM {control}.parked_stream";
    change(&projection, spoil).await;
    let parked = projection.parked(PARTITION).await.unwrap();
    assert_eq!(parked.len(), 1);
    assert_eq!((&parked[0].stream, parked[0].waiting), (&stream(1), 2));
    let released = projection.release(PARTITION, &stream(1)).await;
    let named = matches!(released, Err(ApplyError::Poison { index: 1, .. }));
    assert!(named, "{released:?}");
    let rest = first_of(&commits[2..]);
    projection
        .apply(&batch(2, 3, &commits[2..], &rest))
        .await
        .unwrap();
    assert_eq!(count(&fixture).await, 1);
}

#[tokio::test]
#[ignore = "needs POSTGRES_URL"]
async fn a_writer_that_stands_still_does_not_keep_its_partition() {
    let (fixture, projection) = people().await;
    fixture.append(1, &["child"]).await;
    let commits = fixture.commits().await;
    let apply = first_of(&commits);
    let batch = batch(0, 1, &commits, &apply);
    // As a process that is stopped: it holds the lock, and neither goes on nor goes away.
    let frozen = Arc::new(Notify::new());
    let people = People {
        frozen: Some(Arc::clone(&frozen)),
    };
    let version = projection.version().clone();
    let prefix = version.schema.as_str().strip_suffix("_1").unwrap();
    let models = models(&SchemaName::parse(prefix).unwrap());
    let zombie = PgProjection::new(models, version, Arc::new(people));
    let (zombie, next) = (zombie.apply(&batch), async {
        frozen.notified().await;
        while let Err(error) = projection.apply(&batch).await {
            assert!(matches!(error, ApplyError::Store { .. }), "{error:?}");
        }
    });
    let (zombie, next) = (std::pin::pin!(zombie), std::pin::pin!(next));
    let both = futures_util::future::select(zombie, next);
    let ended = tokio::time::timeout(Duration::from_secs(60), both).await;
    let ended = ended.expect("the partition is free in time");
    assert!(matches!(ended, futures_util::future::Either::Right(_)));
    assert_eq!(count(&fixture).await, 1);
}
