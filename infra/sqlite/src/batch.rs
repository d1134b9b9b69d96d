//! One batch of a read model, on the writer thread.

use std::collections::BTreeSet;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use cqrs_core::{
    ApplyError, Batch, BoxError, Checkpoint, EventRef, Partition, Position, RecordedCommit,
    RecordedEvent,
};
use rusqlite::{Connection, params};

use crate::decoded::{Decoded, PANICKED, decode};
use crate::error::is_store_failure;
use crate::model::{ApplyFailure, ReadModel};
use crate::parking;
use crate::record::int;

/// A batch that owns what it needs.
pub(crate) struct Job<M: ReadModel> {
    model: Arc<M>,
    decoded: Decoded<M::Event>,
    partition: Partition,
    expected: Checkpoint,
    position: Position,
    commits: Arc<[RecordedCommit]>,
    apply: Vec<EventRef>,
    park: Vec<(EventRef, Option<String>)>,
}

impl<M: ReadModel> Job<M> {
    pub(crate) fn of(model: Arc<M>, batch: &Batch<'_>, decoded: Decoded<M::Event>) -> Self {
        Self {
            model,
            decoded,
            partition: batch.partition,
            expected: batch.expected,
            position: batch.position,
            commits: batch.commits.to_shared(),
            apply: batch.apply.to_vec(),
            park: batch.park.to_vec(),
        }
    }

    pub(crate) fn run(mut self, connection: &Connection) -> Result<(), ApplyError> {
        let decoded = std::mem::replace(&mut self.decoded, Decoded::none());
        self.move_checkpoint(connection)?;
        let name = self.model.name();
        let apply = self.events(self.apply.iter().copied())?;
        let park = self.events(self.park.iter().map(|(event, _)| *event))?;
        let mut parked = parking::streams(connection, name, self.partition).map_err(store)?;
        self.agrees(&mut parked, &apply, &park)?;
        let decoded = decoded.all(&*self.model, &apply);
        apply_all(connection, &*self.model, self.partition, &apply, decoded)?;
        for (event, (_, reason)) in park.iter().zip(&self.park) {
            parking::park(connection, name, event, reason.as_deref()).map_err(store)?;
        }
        Ok(())
    }

    fn events(
        &self,
        places: impl Iterator<Item = EventRef>,
    ) -> Result<Vec<RecordedEvent<'_>>, ApplyError> {
        recorded(&self.commits, places).map_err(|source| ApplyError::Store { source })
    }

    /// A release moves no checkpoint, so whoever made the batch may not know of it.
    fn agrees(
        &self,
        parked: &mut BTreeSet<String>,
        apply: &[RecordedEvent<'_>],
        park: &[RecordedEvent<'_>],
    ) -> Result<(), ApplyError> {
        let stream = |event: &RecordedEvent<'_>| event.commit.stream.as_str().to_owned();
        if !parked.is_empty() && apply.iter().any(|event| parked.contains(&stream(event))) {
            return Err(ApplyError::Stale);
        }
        for (event, (_, reason)) in park.iter().zip(&self.park) {
            if reason.is_some() {
                parked.insert(stream(event));
            } else if !parked.contains(&stream(event)) {
                return Err(ApplyError::Stale);
            }
        }
        Ok(())
    }

    fn move_checkpoint(&self, connection: &Connection) -> Result<(), ApplyError> {
        let moved = connection
            .prepare_cached(
                "UPDATE projection_checkpoint SET position = ?5
                 WHERE projection = ?1 AND partition = ?2 AND position = ?3 AND epoch = ?4",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    self.model.name(),
                    self.partition.index(),
                    int(self.expected.position.get()),
                    int(self.expected.epoch),
                    int(self.position.get()),
                ])
            });
        match moved.map_err(store)? {
            0 => Err(ApplyError::Stale),
            _ => Ok(()),
        }
    }
}

/// The events at `places`.
pub(crate) fn recorded(
    commits: &[RecordedCommit],
    places: impl Iterator<Item = EventRef>,
) -> Result<Vec<RecordedEvent<'_>>, BoxError> {
    places
        .map(|place| {
            let commit = commits
                .get(place.commit)
                .ok_or("the batch names a commit that it does not hold")?;
            commit
                .recorded_events()
                .nth(place.event)
                .ok_or_else(|| "the batch names an event that its commit does not hold".into())
        })
        .collect()
}

/// Applies `events`, which `decoded` gives as the model takes them; a panic of the model counts as the failure of the event that
/// it came from.
pub(crate) fn apply_all<M: ReadModel>(
    connection: &Connection,
    model: &M,
    partition: Partition,
    events: &[RecordedEvent<'_>],
    decoded: impl Iterator<Item = Result<M::Event, ApplyFailure>>,
) -> Result<(), ApplyError> {
    if events.is_empty() {
        return Ok(());
    }
    statement(connection, "SAVEPOINT apply").map_err(store)?;
    let all = AssertUnwindSafe(|| model.apply(connection, partition, decoded));
    let applied = match catch_unwind(all) {
        Ok(applied) => applied,
        Err(_) => {
            // One by one, to find out which event it was.
            statement(connection, "ROLLBACK TO apply").map_err(store)?;
            (0..events.len()).try_for_each(|index| {
                let failed = |source| ApplyFailure { index, source };
                let alone = decode(model, &events[index]).map_err(failed);
                let apply = || model.apply(connection, partition, iter::once(alone));
                match catch_unwind(AssertUnwindSafe(apply)) {
                    Ok(applied) => applied.map_err(|failure| failed(failure.source)),
                    Err(_) => Err(failed(PANICKED.into())),
                }
            })
        }
    };
    applied.map_err(failed)?;
    statement(connection, "RELEASE apply").map_err(store)
}

fn statement(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}

/// An event's failure is poison unless SQLite says that the store itself failed.
fn failed(failure: ApplyFailure) -> ApplyError {
    let ApplyFailure { index, source } = failure;
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(source.as_ref());
    while let Some(error) = cause {
        if error
            .downcast_ref::<rusqlite::Error>()
            .is_some_and(is_store_failure)
        {
            return ApplyError::Store { source };
        }
        cause = error.source();
    }
    ApplyError::Poison { index, source }
}

pub(crate) fn store(source: rusqlite::Error) -> ApplyError {
    ApplyError::Store {
        source: source.into(),
    }
}
