//! Who relays a partition, and how far: marks in a [`Book`] each.

use cqrs_core::{Partition, Position, RelayMark, RelayMarks, RelayMarksError, Timestamp};
use mongodb::bson::{DateTime, RawDocument, doc};

use crate::book::Book;
use crate::error::StoreFailure;
use crate::record::{self, int};
use crate::store::MongoStore;

const MARKS: &str = "relay_marks";

impl RelayMarks for MongoStore {
    async fn latest(
        &self,
        relay: &str,
        partition: Partition,
    ) -> Result<Option<RelayMark>, RelayMarksError> {
        let book = Book::new(self, MARKS, relay, partition);
        let last = book.last().await.map_err(failed)?;
        let mark = last.doc.map(|doc| read(&doc, last.number)).transpose();
        mark.map_err(|reason| failed(StoreFailure::new(reason)))
    }

    async fn insert(
        &self,
        relay: &str,
        partition: Partition,
        mark: &RelayMark,
    ) -> Result<bool, RelayMarksError> {
        let book = Book::new(self, MARKS, relay, partition);
        let last = book.last_if(|last| last.number + 1 == mark.seq).await;
        let last = last.map_err(failed)?;
        if mark.seq <= last.number {
            return Ok(false);
        }
        if mark.seq != last.number + 1 {
            let hole = format!("mark {} does not follow {}", mark.seq, last.number);
            return Err(failed(StoreFailure::new(hole)));
        }
        let entry = doc! {
            "position": int(mark.position.get()),
            "offset": int(mark.offset),
            "owner": mark.owner.as_str(),
            "lease_until": DateTime::from_millis(mark.lease_until.as_millis()),
        };
        book.insert_after(&last, entry).await.map_err(failed)
    }
}

fn read(doc: &RawDocument, seq: u64) -> Result<RelayMark, &'static str> {
    let lease = doc.get_datetime("lease_until");
    let lease = lease.map_err(|_| "a mark has no lease")?;
    Ok(RelayMark {
        seq,
        position: Position::new(record::nat(doc, "position")?),
        offset: record::nat(doc, "offset")?,
        owner: (doc.get_str("owner").map_err(|_| "a mark has no owner")?).to_owned(),
        lease_until: Timestamp::from_millis(lease.timestamp_millis()),
    })
}

fn failed(failure: StoreFailure) -> RelayMarksError {
    RelayMarksError {
        source: failure.into(),
    }
}
