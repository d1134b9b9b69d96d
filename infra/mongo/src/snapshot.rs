//! Snapshots, the newest of each stream.
//!
//! One document a stream, `snapshots`. A payload over 8 MiB stands in pieces in `snapshot_chunks`, which are
//! written first and belong to one saving, so that a document never speaks of pieces of another. What a crash leaves
//! behind is removed by the next saving of the same stream.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use cqrs_core::{
    BoxError, Encoding, EventType, LogPosition, Partition, Position, Snapshot, SnapshotError,
    SnapshotStore, StreamName, Version,
};
use mongodb::bson::raw::cstr;
use mongodb::bson::{Document, RawBsonRef, RawDocument, RawDocumentBuf, doc};
use mongodb::error::Error;
use uuid::Uuid;

use crate::answers;
use crate::driver::{Failed, call};
use crate::error::StoreFailure;
use crate::record::{self, int};
use crate::store::MongoStore;

const SNAPSHOTS: &str = "snapshots";
const CHUNKS: &str = "snapshot_chunks";
/// The most bytes of payload in one document; a document holds 16 MiB at most.
const CHUNK: usize = 8 << 20;

impl SnapshotStore for MongoStore {
    async fn load(&self, stream: &StreamName) -> Result<Option<Snapshot>, SnapshotError> {
        let snapshots = self.collection(SNAPSHOTS);
        let id = stream.as_str().to_owned();
        let find = async move { snapshots.find_one(doc! { "_id": id }).await };
        let found = call(self.call_timeout(), find).await.map_err(failed)?;
        let Some(doc) = found else {
            return Ok(None);
        };
        let whole = match doc.get_str("g").map(ToOwned::to_owned) {
            Ok(saving) => self.load_chunks(stream, &saving).await?,
            Err(_) => doc
                .get_binary("d")
                .ok()
                .map(|d| Bytes::copy_from_slice(d.bytes)),
        };
        // One that cannot be read is as good as none.
        Ok(whole.and_then(|payload| read(&doc, stream, payload)))
    }

    async fn save(&self, snapshot: Snapshot) -> Result<(), SnapshotError> {
        let saving = saving()?;
        let chunked = snapshot.payload.len() > CHUNK;
        if chunked {
            self.save_chunks(&snapshot, &saving).await?;
        }
        let doc = write(&snapshot, chunked.then_some(saving.as_str()));
        let filter = older(&snapshot);
        let snapshots = self.collection(SNAPSHOTS);
        let replace = async move {
            snapshots
                .find_one_and_replace(filter, doc)
                .upsert(true)
                .await
        };
        let (kept, before) = match call(self.call_timeout(), replace).await {
            Ok(before) => (true, before),
            // The upsert found no older one and met the newer: that one stays.
            Err(Failed::Driver(error)) if is_kept_out(&error) => (false, None),
            Err(other) => return Err(failed(other)),
        };
        let had_chunks = before.is_some_and(|before| before.get_str("g").is_ok());
        if chunked || had_chunks {
            let keep = if kept { saving.as_str() } else { "" };
            self.drop_chunks(&snapshot, &saving, keep).await?;
        }
        Ok(())
    }
}

impl MongoStore {
    async fn load_chunks(
        &self,
        stream: &StreamName,
        saving: &str,
    ) -> Result<Option<Bytes>, SnapshotError> {
        let chunks = self.collection(CHUNKS);
        let mut filter = of_stream(stream);
        filter.insert("g", saving);
        let read = async move {
            let mut cursor = chunks.find(filter).sort(doc! { "_id": 1 }).await?;
            let (mut payload, mut count) = (BytesMut::new(), 0_u64);
            while cursor.advance().await? {
                let chunk = cursor.current();
                let (Ok(part), Ok(of)) = (chunk.get_binary("d"), record::nat(chunk, "n")) else {
                    return Ok(None);
                };
                payload.extend_from_slice(part.bytes);
                count += 1;
                if count == of {
                    return Ok(Some(payload.freeze()));
                }
            }
            // A later saving has removed them.
            Ok::<_, Error>(None)
        };
        call(self.call_timeout(), read).await.map_err(failed)
    }

    async fn save_chunks(&self, snapshot: &Snapshot, saving: &str) -> Result<(), SnapshotError> {
        let count = snapshot.payload.len().div_ceil(CHUNK);
        for (index, part) in snapshot.payload.chunks(CHUNK).enumerate() {
            let mut doc = RawDocumentBuf::new();
            let id = format!("{} {saving} {index:06}", snapshot.stream);
            doc.append(cstr!("_id"), id.as_str());
            doc.append(cstr!("g"), saving);
            doc.append(cstr!("v"), int(snapshot.version.get()));
            doc.append(cstr!("n"), int(count as u64));
            doc.append(cstr!("d"), record::binary(part));
            let (chunks, doc) = (self.collection(CHUNKS), Arc::new(doc));
            let insert = async move { chunks.insert_one(doc).await };
            call(self.call_timeout(), insert).await.map_err(failed)?;
        }
        Ok(())
    }

    /// Removes the pieces of this stream's other savings up to this version; its own too, unless it is kept.
    async fn drop_chunks(
        &self,
        snapshot: &Snapshot,
        saving: &str,
        keep: &str,
    ) -> Result<(), SnapshotError> {
        let chunks = self.collection(CHUNKS);
        let mut filter = of_stream(&snapshot.stream);
        if keep.is_empty() {
            filter.insert("g", saving);
        } else {
            filter.insert("g", doc! { "$ne": keep });
            filter.insert("v", doc! { "$lte": int(snapshot.version.get()) });
        }
        let delete = async move { chunks.delete_many(filter).await };
        call(self.call_timeout(), delete).await.map_err(failed)?;
        Ok(())
    }
}

/// Stream names have no blanks, and `!` follows the blank.
fn of_stream(stream: &StreamName) -> Document {
    doc! { "_id": { "$gte": format!("{stream} "), "$lt": format!("{stream}!") } }
}

/// A snapshot of the same stream that this one may take the place of.
fn older(snapshot: &Snapshot) -> Document {
    doc! {
        "_id": snapshot.stream.as_str(),
        "$or": [
            { "v": { "$lte": int(snapshot.version.get()) } },
            { "k": { "$ne": snapshot.schema.name() } },
            { "x": { "$ne": i64::from(snapshot.schema.version()) } },
        ],
    }
}

fn write(snapshot: &Snapshot, saving: Option<&str>) -> RawDocumentBuf {
    let mut doc = RawDocumentBuf::new();
    doc.append(cstr!("_id"), snapshot.stream.as_str());
    doc.append(cstr!("v"), int(snapshot.version.get()));
    doc.append(cstr!("p"), i64::from(snapshot.at.partition.index()));
    doc.append(cstr!("at"), int(snapshot.at.position.get()));
    doc.append(cstr!("k"), snapshot.schema.name());
    doc.append(cstr!("x"), i64::from(snapshot.schema.version()));
    doc.append(cstr!("f"), snapshot.encoding.as_str());
    match saving {
        Some(saving) => doc.append(cstr!("g"), saving),
        None => doc.append(cstr!("d"), record::binary(&snapshot.payload)),
    }
    doc
}

fn read(doc: &RawDocument, stream: &StreamName, payload: Bytes) -> Option<Snapshot> {
    let text = |key| match doc.get(key) {
        Ok(Some(RawBsonRef::String(text))) => Some(text),
        _ => None,
    };
    let number = |key| record::nat(doc, key).ok();
    let partition = Partition::new(u16::try_from(number("p")?).ok()?);
    let schema = u32::try_from(number("x")?).ok()?;
    Some(Snapshot {
        stream: stream.clone(),
        version: Version::new(number("v")?),
        at: LogPosition::new(partition, Position::new(number("at")?)),
        schema: EventType::new(text("k")?.to_owned(), schema),
        encoding: Encoding::parse(text("f")?)?,
        payload,
    })
}

fn saving() -> Result<String, SnapshotError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| SnapshotError::new(BoxError::from(error)))?;
    Ok(Uuid::from_bytes(bytes).simple().to_string())
}

fn is_kept_out(failed: &Error) -> bool {
    answers::is_duplicate(failed) || answers::is_duplicate_command(failed)
}

fn failed(failed: Failed) -> SnapshotError {
    SnapshotError::new(StoreFailure::from(failed))
}
