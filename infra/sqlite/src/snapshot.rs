//! Snapshots, the newest of each stream.

use bytes::Bytes;
use cqrs_core::{Encoding, EventType, Snapshot, SnapshotError, SnapshotStore, StreamName, Version};
use rusqlite::{Connection, OptionalExtension, params};

use crate::record::{int, nat, place, row_id};
use crate::store::SqliteStore;

impl SnapshotStore for SqliteStore {
    async fn load(&self, stream: &StreamName) -> Result<Option<Snapshot>, SnapshotError> {
        let stream = stream.clone();
        let read = move |connection: &Connection| load(connection, stream);
        self.read(read).await.map_err(SnapshotError::new)
    }

    async fn save(&self, snapshot: Snapshot) -> Result<(), SnapshotError> {
        let save = move |connection: &Connection| save(connection, &snapshot);
        self.write(save).await.map_err(SnapshotError::new)
    }
}

fn load(connection: &Connection, stream: StreamName) -> rusqlite::Result<Option<Snapshot>> {
    let found = connection
        .prepare_cached(
            "SELECT version, at, schema_name, schema_version, encoding, payload
             FROM snapshots WHERE stream = ?1",
        )?
        .query_row([stream.as_str()], |row| {
            // An encoding that this code does not know is as good as no snapshot.
            let Some(encoding) = Encoding::parse(row.get_ref(4)?.as_str()?) else {
                return Ok(None);
            };
            Ok(Some(Snapshot {
                version: Version::new(nat(row.get(0)?)),
                at: place(row.get(1)?),
                schema: EventType::new(row.get::<_, String>(2)?, row.get(3)?),
                encoding,
                payload: Bytes::from(row.get::<_, Vec<u8>>(5)?),
                stream: stream.clone(),
            }))
        })
        .optional()?;
    Ok(found.flatten())
}

fn save(connection: &Connection, snapshot: &Snapshot) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO snapshots
                 (stream, version, at, schema_name, schema_version, encoding, payload)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (stream) DO UPDATE SET
                 version = excluded.version, at = excluded.at,
                 schema_name = excluded.schema_name, schema_version = excluded.schema_version,
                 encoding = excluded.encoding, payload = excluded.payload
             WHERE excluded.version >= version OR excluded.schema_name <> schema_name
                 OR excluded.schema_version <> schema_version",
        )?
        .execute(params![
            snapshot.stream.as_str(),
            int(snapshot.version.get()),
            row_id(snapshot.at),
            snapshot.schema.name(),
            snapshot.schema.version(),
            snapshot.encoding.as_str(),
            snapshot.payload.as_ref(),
        ])?;
    Ok(())
}
