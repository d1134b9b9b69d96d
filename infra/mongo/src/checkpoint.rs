//! Checkpoints of consumers that keep no rows here, each a [`Book`].

use cqrs_core::{CheckpointError, CheckpointStore, Partition, Position};
use mongodb::bson::doc;

use crate::book::{Book, Last};
use crate::error::StoreFailure;
use crate::record::{self, int};
use crate::store::MongoStore;

const CHECKPOINTS: &str = "checkpoints";

impl CheckpointStore for MongoStore {
    async fn load(
        &self,
        consumer: &str,
        partition: Partition,
    ) -> Result<Position, CheckpointError> {
        let book = Book::new(self, CHECKPOINTS, consumer, partition);
        position(&book.last().await.map_err(failed)?).map_err(failed)
    }

    async fn advance(
        &self,
        consumer: &str,
        partition: Partition,
        from: Position,
        to: Position,
    ) -> Result<bool, CheckpointError> {
        let book = Book::new(self, CHECKPOINTS, consumer, partition);
        let stands = |last: &Last| position(last).is_ok_and(|position| position == from);
        let last = book.last_if(stands).await.map_err(failed)?;
        if position(&last).map_err(failed)? != from {
            return Ok(false);
        }
        let entry = doc! { "position": int(to.get()) };
        book.insert_after(&last, entry).await.map_err(failed)
    }
}

fn position(last: &Last) -> Result<Position, StoreFailure> {
    let Some(doc) = &last.doc else {
        return Ok(Position::START);
    };
    let position = record::nat(doc, "position");
    position.map(Position::new).map_err(StoreFailure::new)
}

fn failed(failure: StoreFailure) -> CheckpointError {
    CheckpointError {
        source: failure.into(),
    }
}
