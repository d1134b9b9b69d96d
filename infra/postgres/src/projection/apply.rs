//! Writing a batch.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use cqrs_core::{ApplyError, Batch, BoxError, EventRef, RecordedCommit, RecordedEvent, Writing};
use deadpool_postgres::ClientWrapper;
use futures_util::FutureExt;
use futures_util::future::{join, join5};
use tokio_postgres::types::ToSql;

use crate::error::{
    ApplyFailure, TooSlow, away, driver_error, is_data_fault, is_outdated, is_too_slow,
};
use crate::model::PgReadModel;
use crate::projection::{PgProjection, big};
use crate::transaction::Transaction;
use crate::writer::Writer;

/// What a lost tail takes with it is applied again, so nothing waits for the disk. And whoever stands still in here, or is gone
/// without a word, keeps the partition's lock no longer than any statement may take.
pub(super) const BEGIN: &str = "BEGIN; SELECT set_config('synchronous_commit', 'off', true),
    set_config('idle_in_transaction_session_timeout', current_setting('statement_timeout'), true)";

/// Waits for whoever holds the gate of the version alone.
pub(super) const GATE: &str = "SELECT pg_advisory_xact_lock_shared(hashtext($1), $2)";

const MOVE: &str = "UPDATE {schema}.checkpoint SET position = $5
    WHERE version = $1 AND partition = $2 AND position = $3 AND epoch = $4";
const PARKED: &str =
    "SELECT stream FROM {schema}.parked_stream WHERE version = $1 AND partition = $2";

/// How to apply a slice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// All at once.
    Whole,
    /// In parts, to find an event.
    Parts,
}

impl<M: PgReadModel> PgProjection<M> {
    pub(super) async fn apply_batch(&self, batch: &Batch<'_>) -> Result<(), ApplyError> {
        let events = batch
            .apply
            .iter()
            .map(|event| recorded(&batch.commits, *event));
        let events: Vec<_> = events.collect::<Result<_, _>>().map_err(away)?;
        let retried = match self.write(batch, &events, How::Whole).await {
            Err(ApplyError::Store { source }) if is_outdated(source.as_ref()) => {
                self.forget_statements();
                self.write(batch, &events, How::Whole).await
            }
            written => written,
        };
        match retried {
            // An index out of range: somewhere in the slice.
            Err(ApplyError::Poison { index, .. }) if index >= events.len() => {
                self.write(batch, &events, How::Parts).await
            }
            written => written,
        }
    }

    /// One transaction. [`ApplyError::Poison`] past the end: some event, it is not known which.
    async fn write(
        &self,
        batch: &Batch<'_>,
        events: &[RecordedEvent<'_>],
        how: How,
    ) -> Result<(), ApplyError> {
        let mut transaction = Transaction::on(self.models.pool()).await.map_err(away)?;
        let moving = transaction
            .prepare_cached(&self.fill(MOVE))
            .await
            .map_err(away)?;
        let parking = transaction
            .prepare_cached(&self.fill(PARKED))
            .await
            .map_err(away)?;
        let gate = transaction.prepare_cached(GATE).await.map_err(away)?;
        let (client, begun) = transaction.begin(BEGIN);
        let (version, partition) = (self.key(), i32::from(batch.partition.index()));
        let (from, epoch) = (
            big(batch.expected.position.get()),
            big(batch.expected.epoch),
        );
        let to = big(batch.position.get());
        let slot: [&(dyn ToSql + Sync); 5] = [&version, &partition, &from, &epoch, &to];
        let open = self.gate_key();
        let open: [&(dyn ToSql + Sync); 2] = [&open, &version];
        let passed = async {
            match self.writing {
                Writing::Gated => Ok(0),
                Writing::Feeding | Writing::Copying => client.execute(&gate, &open).await,
            }
        };
        let moved = client.execute(&moving, &slot);
        let of_partition: [&(dyn ToSql + Sync); 2] = [&version, &partition];
        let parked = client.query(&parking, &of_partition);
        let bulk = self.writing == Writing::Copying;
        let writer = Writer::new(client, &self.version.schema, batch.partition, bulk);
        // Polled in this order, so sent in this order: whatever the model reads, it reads under the lock.
        let applied = self.apply_events(&writer, events, how);
        let (begun, passed, moved, parked, applied) =
            join5(begun, passed, moved, parked, applied).await;
        begun.map_err(away)?;
        passed.map_err(away)?;
        if moved.map_err(away)? == 0 {
            return Err(ApplyError::Stale);
        }
        let parked = parked.map_err(away)?;
        let parked = parked.iter().map(|row| row.try_get(0));
        let parked: BTreeSet<String> = parked.collect::<Result<_, _>>().map_err(away)?;
        if !agrees(batch, &parked) {
            return Err(ApplyError::Stale);
        }
        applied?;
        self.park(&transaction, batch).await?;
        match transaction.commit().await {
            // A constraint that was deferred up to here: some event of the slice.
            Err(error) if is_data_fault(&error) && !events.is_empty() => Err(ApplyError::Poison {
                index: events.len(),
                source: error.into(),
            }),
            committed => committed.map_err(away),
        }
    }

    /// Applies `events` in an open transaction; a panic of the model counts as the failure of some event.
    async fn apply_whole(
        &self,
        writer: &Writer<'_>,
        events: &[RecordedEvent<'_>],
    ) -> Result<(), ApplyError> {
        if events.is_empty() {
            return Ok(());
        }
        let applied = AssertUnwindSafe(self.model.apply(writer, events)).catch_unwind();
        let failure = match applied.await {
            Ok(Ok(())) => return Ok(()),
            Ok(Err(failure)) => failure,
            Err(_) => ApplyFailure::somewhere("the read model panicked"),
        };
        let ApplyFailure { index, source } = failure;
        let index = match driver_error(source.as_ref()) {
            // Fewer events may be done in time; one is waited for, since the server may only be busy.
            Some(error) if is_too_slow(error) => match events {
                [event] => return Err(away(too_slow(event, source))),
                several => several.len(),
            },
            Some(error) if !is_data_fault(error) => return Err(ApplyError::Store { source }),
            _ if events.len() == 1 => 0,
            _ => index.unwrap_or(events.len()),
        };
        Err(ApplyError::Poison { index, source })
    }

    async fn apply_events(
        &self,
        writer: &Writer<'_>,
        events: &[RecordedEvent<'_>],
        how: How,
    ) -> Result<(), ApplyError> {
        match how {
            How::Whole => self.apply_whole(writer, events).await,
            How::Parts => self.apply_parts(writer, events).await,
        }
    }

    /// Applies `events` in parts, halving each that fails, until all are applied or one event is named.
    pub(super) async fn apply_parts(
        &self,
        writer: &Writer<'_>,
        events: &[RecordedEvent<'_>],
    ) -> Result<(), ApplyError> {
        let client = writer.client();
        let (mut done, mut size) = (0, events.len().div_ceil(2));
        while done < events.len() {
            let end = events.len().min(done + size);
            let part = &events[done..end];
            statement(client, "SAVEPOINT part").await?;
            let applied = match self.apply_whole(writer, part).await {
                Ok(()) => check_deferred(client, part.len()).await,
                failed => failed,
            };
            match applied {
                Ok(()) => {
                    statement(client, "RELEASE part").await?;
                    done = end;
                }
                Err(ApplyError::Poison { index, source }) if index < part.len() => {
                    let index = done + index;
                    return Err(ApplyError::Poison { index, source });
                }
                Err(ApplyError::Poison { .. }) => {
                    statement(client, "ROLLBACK TO part").await?;
                    size = part.len().div_ceil(2);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    pub(super) fn gate_key(&self) -> &str {
        self.models.control().as_str()
    }

    /// Keeps what `batch` parks.
    async fn park(&self, client: &ClientWrapper, batch: &Batch<'_>) -> Result<(), ApplyError> {
        for of_commit in batch.park.chunk_by(|a, b| a.0.commit == b.0.commit) {
            let (event, reason) = &of_commit[0];
            let first = recorded(&batch.commits, *event).map_err(away)?;
            let waiting: Vec<usize> = of_commit.iter().map(|(event, _)| event.event).collect();
            let stream = async {
                match reason {
                    Some(reason) => self.park_stream(client, &first, reason).await,
                    None => Ok(()),
                }
            };
            let commit = self.park_commit(client, first.commit, &waiting);
            let (stream, commit) = join(stream, commit).await;
            stream.and(commit).map_err(away)?;
        }
        Ok(())
    }

    pub(super) fn forget_statements(&self) {
        self.models.pool().manager().statement_caches.clear();
    }
}

/// Whether `batch` parks and applies as fits the streams that are parked.
fn agrees(batch: &Batch<'_>, parked: &BTreeSet<String>) -> bool {
    if parked.is_empty() && batch.park.is_empty() {
        return true;
    }
    let stream = |event: &EventRef| batch.commits.get(event.commit).map(|c| c.stream.as_str());
    let is_parked = |event: &EventRef| stream(event).is_some_and(|s| parked.contains(s));
    let mut begun = BTreeSet::new();
    let parks = batch.park.iter().all(|(event, reason)| {
        if reason.is_some() {
            begun.insert(stream(event));
        }
        is_parked(event) || begun.contains(&stream(event))
    });
    parks && !batch.apply.iter().any(is_parked)
}

fn recorded(commits: &[RecordedCommit], event: EventRef) -> Result<RecordedEvent<'_>, BoxError> {
    let commit = commits
        .get(event.commit)
        .ok_or("the batch names a commit that it does not hold")?;
    commit
        .recorded_events()
        .nth(event.event)
        .ok_or_else(|| "the batch names an event that its commit does not hold".into())
}

fn too_slow(event: &RecordedEvent<'_>, source: BoxError) -> TooSlow {
    TooSlow {
        event: event.id,
        stream: event.commit.stream.clone(),
        source,
    }
}

/// Checks what is deferred to the end of the transaction, and leaves it deferred.
async fn check_deferred(client: &ClientWrapper, events: usize) -> Result<(), ApplyError> {
    let check = "SAVEPOINT deferred; SET CONSTRAINTS ALL IMMEDIATE; ROLLBACK TO deferred";
    match client.batch_execute(check).await {
        Err(error) if is_data_fault(&error) => Err(ApplyError::Poison {
            index: if events == 1 { 0 } else { events },
            source: error.into(),
        }),
        checked => checked.map_err(away),
    }
}

async fn statement(client: &ClientWrapper, sql: &str) -> Result<(), ApplyError> {
    client.batch_execute(sql).await.map_err(away)
}
