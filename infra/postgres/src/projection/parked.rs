//! Parked streams: kept, listed, released.

use cqrs_core::{
    ApplyError, BoxError, EventId, LogPosition, Parked, Partition, Position, RecordedCommit,
    RecordedEvent, StreamName, Writing,
};
use deadpool_postgres::ClientWrapper;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error, Row};

use crate::error::{away, is_outdated};
use crate::model::PgReadModel;
use crate::projection::apply::{BEGIN, GATE};
use crate::projection::{PgProjection, big, nat, wire};
use crate::transaction::Transaction;
use crate::writer::Writer;

/// Takes the lock under which rows of a partition are written, without moving its checkpoint.
const LOCK: &str = "SELECT 1 FROM {schema}.checkpoint
    WHERE version = $1 AND partition = $2 FOR UPDATE";

const LIST: &str = "SELECT stream, position, event, reason,
        (SELECT coalesce(sum(cardinality(c.waiting)), 0) FROM {schema}.parked_commit c
         WHERE c.version = s.version AND c.partition = s.partition AND c.stream = s.stream)
    FROM {schema}.parked_stream s WHERE version = $1 AND partition = $2 ORDER BY position, event";

const PARK_STREAM: &str = "INSERT INTO {schema}.parked_stream
        (version, partition, stream, position, event, reason)
    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";

const FORGET: &str = "WITH events AS (DELETE FROM {schema}.parked_commit
        WHERE version = $1 AND partition = $2 AND stream = $3)
    DELETE FROM {schema}.parked_stream WHERE version = $1 AND partition = $2 AND stream = $3";

const DROP: &str = "INSERT INTO {schema}.parked_drop (version, partition, stream, position, event,
        events, parked_because, dropped_because)
    SELECT version, partition, stream, position, event,
        (SELECT coalesce(sum(cardinality(c.waiting)), 0) FROM {schema}.parked_commit c
         WHERE c.version = s.version AND c.partition = s.partition AND c.stream = s.stream),
        reason, $4
    FROM {schema}.parked_stream s WHERE version = $1 AND partition = $2 AND stream = $3
    RETURNING events";

impl<M: PgReadModel> PgProjection<M> {
    /// Gives up the waiting events of `stream` in this version and unparks it; how many there were.
    ///
    /// Kept for good: which stream, since where, how many events, why they were parked and `reason`. Later
    /// events of the stream are applied again. Does nothing, and gives 0, where it is not parked. A rebuild
    /// knows nothing of it: it applies or parks anew.
    ///
    /// # Errors
    ///
    /// [`ApplyError::Store`]: unknown outcome; list the parked streams.
    pub async fn drop_parked(
        &self,
        partition: Partition,
        stream: &StreamName,
        reason: &str,
    ) -> Result<u64, ApplyError> {
        let transaction = self.locked(partition).await?;
        // What a human decided is not to be lost with a crash.
        let durable = "SET LOCAL synchronous_commit TO on";
        transaction.batch_execute(durable).await.map_err(away)?;
        let sql = self.fill(DROP);
        let statement = transaction.prepare_cached(&sql).await.map_err(away)?;
        let (index, reason) = (
            i32::from(partition.index()),
            reason.replace('\0', "\u{fffd}"),
        );
        let params: [&(dyn ToSql + Sync); 4] = [&self.key(), &index, &stream.as_str(), &reason];
        let dropped = transaction.query_opt(&statement, &params).await;
        let dropped = dropped.map_err(away)?.map(|row| row.try_get(0)).transpose();
        let events = dropped.map_err(away)?.map_or(0, nat);
        self.forget(&transaction, partition, stream).await?;
        transaction.commit().await.map_err(away)?;
        if events > 0 {
            let schema = &self.version.schema;
            tracing::warn!(%schema, %stream, events, reason, "dropped what was parked");
        }
        Ok(events)
    }

    pub(super) async fn park_stream(
        &self,
        client: &ClientWrapper,
        first: &RecordedEvent<'_>,
        reason: &str,
    ) -> Result<(), Error> {
        let at = first.id.at;
        // PostgreSQL's text holds no NUL; an error's message may.
        let reason = reason.replace('\0', "\u{fffd}");
        let params: [&(dyn ToSql + Sync); 6] = [
            &self.key(),
            &i32::from(at.partition.index()),
            &first.commit.stream.as_str(),
            &big(at.position.get()),
            &i32::try_from(first.id.index).unwrap_or(i32::MAX),
            &reason,
        ];
        let statement = client.prepare_cached(&self.fill(PARK_STREAM)).await?;
        client.execute(&statement, &params).await.map(drop)
    }

    pub(super) async fn park_commit(
        &self,
        client: &ClientWrapper,
        commit: &RecordedCommit,
        waiting: &[usize],
    ) -> Result<(), Error> {
        let columns = wire::COLUMNS;
        let insert = self.fill(&format!(
            "INSERT INTO {{schema}}.parked_commit (version, partition, {columns})
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)"
        ));
        wire::write(client, &insert, self.key(), commit, waiting).await
    }

    pub(super) async fn list_parked(
        &self,
        partition: Partition,
    ) -> Result<Vec<Parked>, ApplyError> {
        let client = self.models.pool().get().await.map_err(away)?;
        let statement = client
            .prepare_cached(&self.fill(LIST))
            .await
            .map_err(away)?;
        let index = i32::from(partition.index());
        let rows = client.query(&statement, &[&self.key(), &index]).await;
        let rows = rows.map_err(away)?;
        let listed = rows.iter().filter_map(|row| match parked(partition, row) {
            Ok(parked) => Some(parked),
            // No stream of the log has such a name, or its first event such a place: to wait for this row to become
            // readable would only hold the others up.
            Err(error) => {
                let (schema, error) = (&self.version.schema, error.to_string());
                tracing::error!(%schema, %partition, error, "a row of a parked stream is not readable");
                None
            }
        });
        Ok(listed.collect())
    }

    pub(super) async fn release_stream(
        &self,
        partition: Partition,
        stream: &StreamName,
    ) -> Result<(), ApplyError> {
        match self.try_release(partition, stream).await {
            Err(ApplyError::Store { source }) if is_outdated(source.as_ref()) => {
                self.forget_statements();
                self.try_release(partition, stream).await
            }
            released => released,
        }
    }

    async fn try_release(
        &self,
        partition: Partition,
        stream: &StreamName,
    ) -> Result<(), ApplyError> {
        let transaction = self.locked(partition).await?;
        let waiting = self.waiting(&transaction, partition, stream).await?;
        let mut events = Vec::with_capacity(waiting.len());
        for (commit, numbers) in &waiting {
            for number in numbers {
                let event = commit.recorded_events().nth(*number);
                let lost = || unreadable(events.len(), "a commit lacks an event that waits");
                events.push(event.ok_or_else(lost)?);
            }
        }
        let schema = &self.version.schema;
        let writer = Writer::new(&transaction, schema, partition, false);
        self.apply_parts(&writer, &events).await?;
        self.forget(&transaction, partition, stream).await?;
        transaction.commit().await.map_err(away)
    }

    /// A transaction that holds the lock of `partition`.
    async fn locked(&self, partition: Partition) -> Result<Transaction, ApplyError> {
        let mut transaction = Transaction::on(self.models.pool()).await.map_err(away)?;
        let (client, begun) = transaction.begin(BEGIN);
        begun.await.map_err(away)?;
        if self.writing != Writing::Gated {
            let gate = client.prepare_cached(GATE).await.map_err(away)?;
            let key: [&(dyn ToSql + Sync); 2] = [&self.gate_key(), &self.key()];
            client.execute(&gate, &key).await.map_err(away)?;
        }
        let statement = client
            .prepare_cached(&self.fill(LOCK))
            .await
            .map_err(away)?;
        let index = i32::from(partition.index());
        let locked = client.query_opt(&statement, &[&self.key(), &index]).await;
        match locked.map_err(away)? {
            Some(_) => Ok(transaction),
            None => Err(away(format!("`{}` is retired", self.version.schema))),
        }
    }

    /// The parked commits of `stream` in order, each with the numbers of its events that wait.
    async fn waiting(
        &self,
        client: &ClientWrapper,
        partition: Partition,
        stream: &StreamName,
    ) -> Result<Vec<(RecordedCommit, Vec<usize>)>, ApplyError> {
        let columns = wire::COLUMNS;
        let sql = self.fill(&format!(
            "SELECT {columns} FROM {{schema}}.parked_commit
             WHERE version = $1 AND partition = $2 AND stream = $3 ORDER BY position"
        ));
        let statement = client.prepare_cached(&sql).await.map_err(away)?;
        let index = i32::from(partition.index());
        let params: [&(dyn ToSql + Sync); 3] = [&self.key(), &index, &stream.as_str()];
        let rows = client.query(&statement, &params).await.map_err(away)?;
        let (mut waiting, mut events) = (Vec::with_capacity(rows.len()), 0);
        for row in &rows {
            let commit = wire::read(partition, row).map_err(|error| unreadable(events, error))?;
            events += commit.1.len();
            waiting.push(commit);
        }
        Ok(waiting)
    }

    async fn forget(
        &self,
        client: &ClientWrapper,
        partition: Partition,
        stream: &StreamName,
    ) -> Result<(), ApplyError> {
        let statement = client
            .prepare_cached(&self.fill(FORGET))
            .await
            .map_err(away)?;
        let index = i32::from(partition.index());
        let params: [&(dyn ToSql + Sync); 3] = [&self.key(), &index, &stream.as_str()];
        client
            .execute(&statement, &params)
            .await
            .map(drop)
            .map_err(away)
    }
}

/// What was parked cannot be read back: no reason to hold up other streams.
fn unreadable(index: usize, source: impl Into<BoxError>) -> ApplyError {
    let source = source.into();
    ApplyError::Poison { index, source }
}

fn parked(partition: Partition, row: &Row) -> Result<Parked, BoxError> {
    Ok(Parked {
        stream: StreamName::parse(row.try_get(0)?)?,
        first: EventId {
            at: LogPosition::new(partition, Position::new(nat(row.try_get(1)?))),
            index: u32::try_from(row.try_get::<_, i32>(2)?)?,
        },
        reason: row.try_get(3)?,
        waiting: nat(row.try_get(4)?),
    })
}
