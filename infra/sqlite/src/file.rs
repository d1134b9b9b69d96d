//! Reading the log of a file that another process may be using.

use std::path::Path;

use cqrs_core::{BoxError, Partition, Position, ReadError, RecordedCommit};
use rusqlite::Connection;
use uuid::Uuid;

use crate::error::OpenError;
use crate::log::read_partition;
use crate::open::{SqliteOptions, connect_reader, identity, inspect};
use crate::record;

/// The log in a file, read without its lock: whoever has the store open goes on. Blocks.
///
/// Each read is a transaction of its own, so that a long walk is in nobody's way.
#[derive(Debug)]
pub struct SqliteLogFile {
    connection: Connection,
    store_id: Uuid,
    namespace: Uuid,
    partitions: u16,
}

impl SqliteLogFile {
    /// Opens the file at `path`, whatever its number of partitions.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; also where there is no file.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let failed = |source: BoxError| OpenError::Store {
            path: path.to_owned(),
            source,
        };
        if !inspect(path)? {
            return Err(failed("there is no store".into()));
        }
        let connection = connect_reader(path, 2_048).map_err(|error| failed(error.into()))?;
        let sql = "SELECT value FROM meta WHERE key = 'partitions'";
        let partitions: String = connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(|error| failed(error.into()))?;
        let options = SqliteOptions {
            partitions: partitions.parse().map_err(|_| {
                failed(format!("it has `{partitions}` partitions, which is no number").into())
            })?,
            ..SqliteOptions::default()
        };
        let (store_id, namespace) = identity(&connection, path, &options)?;
        Ok(Self {
            connection,
            store_id,
            namespace,
            partitions: options.partitions,
        })
    }

    /// The store's id.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.store_id
    }

    /// The random namespace of keyed command ids. Never show it.
    #[must_use]
    pub fn namespace(&self) -> Uuid {
        self.namespace
    }

    /// How many partitions the log has.
    #[must_use]
    pub fn partitions(&self) -> u16 {
        self.partitions
    }

    /// The last durable position of each partition.
    ///
    /// # Errors
    ///
    /// [`ReadError::Store`].
    pub fn heads(&self) -> Result<Vec<Position>, ReadError> {
        let heads = crate::append::load_heads(&self.connection, self.partitions);
        let heads = heads.map_err(record::store)?;
        Ok(heads.into_iter().map(Position::new).collect())
    }

    /// The commits of `partition` after position `after`: as [`ReadLog::read_partition`](cqrs_core::ReadLog::read_partition).
    ///
    /// # Errors
    ///
    /// [`ReadError`].
    pub fn read_partition(
        &self,
        partition: Partition,
        after: Position,
        max_events: usize,
    ) -> Result<Vec<RecordedCommit>, ReadError> {
        read_partition(&self.connection, partition, after, max_events)
    }
}
