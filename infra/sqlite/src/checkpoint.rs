//! Checkpoints of consumers that keep no rows here.

use cqrs_core::{CheckpointError, CheckpointStore, Partition, Position};
use rusqlite::{Connection, OptionalExtension, params};

use crate::record::{int, nat};
use crate::store::SqliteStore;

impl CheckpointStore for SqliteStore {
    async fn load(
        &self,
        consumer: &str,
        partition: Partition,
    ) -> Result<Position, CheckpointError> {
        let consumer = consumer.to_owned();
        let read = move |connection: &Connection| {
            connection
                .prepare_cached(
                    "SELECT position FROM consumer_checkpoint
                     WHERE consumer = ?1 AND partition = ?2",
                )?
                .query_row(params![consumer, partition.index()], |row| row.get(0))
                .optional()
        };
        match self.read(read).await {
            Ok(found) => Ok(found.map_or(Position::START, |at| Position::new(nat(at)))),
            Err(error) => Err(failed(error)),
        }
    }

    async fn advance(
        &self,
        consumer: &str,
        partition: Partition,
        from: Position,
        to: Position,
    ) -> Result<bool, CheckpointError> {
        let consumer = consumer.to_owned();
        let write = move |connection: &Connection| {
            // The place before the first commit is where everybody stands without a row.
            let sql = if from == Position::START {
                "INSERT INTO consumer_checkpoint (consumer, partition, position)
                 VALUES (?1, ?2, ?4)
                 ON CONFLICT DO UPDATE SET position = ?4 WHERE position = ?3"
            } else {
                "UPDATE consumer_checkpoint SET position = ?4
                 WHERE consumer = ?1 AND partition = ?2 AND position = ?3"
            };
            let (from, to) = (int(from.get()), int(to.get()));
            connection
                .prepare_cached(sql)?
                .execute(params![consumer, partition.index(), from, to])
                .map(|rows| rows == 1)
        };
        self.write::<_, rusqlite::Error, _>(write)
            .await
            .map_err(failed)
    }
}

fn failed(source: impl Into<cqrs_core::BoxError>) -> CheckpointError {
    CheckpointError {
        source: source.into(),
    }
}
