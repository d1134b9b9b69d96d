//! Opening a file: whose it is, who uses it, and making a new one.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use cqrs_core::{BoxError, PARTITION_HASH};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, params};
use uuid::Uuid;

use crate::error::OpenError;

/// "cqrs", in the header of every file of ours.
const APPLICATION_ID: u32 = 0x6371_7273;
/// Raised when the tables of `schema/store.sql` change.
const LAYOUT_VERSION: u32 = 1;
/// Positions have 48 bits of a row id; this leaves room for the sign.
const MAX_PARTITIONS: u16 = 1_024;

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqliteOptions {
    /// Log partitions, 1 to 1,024; fixed when the file is created, checked afterwards.
    pub partitions: u16,
    /// Reader threads, 1 to 64, each with a connection.
    pub readers: usize,
    /// Page cache of the writer in KiB.
    pub writer_cache_kib: u32,
    /// Page cache of each reader in KiB.
    pub reader_cache_kib: u32,
    /// Jobs that may wait for the writer, and queries that may wait for a reader; more are refused.
    pub queue: usize,
    /// Bytes of payload that may wait for the writer; once there are as many, more are refused.
    pub queue_bytes: usize,
    /// The most jobs in one group, 1 or more.
    pub group: usize,
    /// Streams whose head is remembered; two generations of half as many.
    pub cached_heads: usize,
    /// Bytes of payload, over all partitions, of the last commits that are kept for those who follow the log.
    pub recent_bytes: usize,
    /// Pages in the write-ahead log before it is copied into the file.
    pub autocheckpoint_pages: u32,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            partitions: 1,
            readers: 2,
            writer_cache_kib: 8_192,
            reader_cache_kib: 2_048,
            queue: 16_384,
            queue_bytes: 256 << 20,
            group: 512,
            cached_heads: 8_192,
            recent_bytes: 1 << 20,
            autocheckpoint_pages: 4_000,
        }
    }
}

impl SqliteOptions {
    fn check(&self) -> Result<(), OpenError> {
        let bad = |name, range, value| Err(OpenError::Option { name, range, value });
        if !(1..=MAX_PARTITIONS).contains(&self.partitions) {
            bad("partitions", "1 to 1024", u64::from(self.partitions))
        } else if !(1..=64).contains(&self.readers) {
            bad("readers", "1 to 64", self.readers as u64)
        } else if self.queue == 0 {
            bad("queue", "1 or more", 0)
        } else if self.queue_bytes == 0 {
            bad("queue_bytes", "1 or more", 0)
        } else if self.group == 0 {
            bad("group", "1 or more", 0)
        } else {
            Ok(())
        }
    }
}

/// A file that is ours, locked, with its connections.
pub(crate) struct Opened {
    pub(crate) path: PathBuf,
    pub(crate) lock: File,
    pub(crate) store_id: Uuid,
    pub(crate) namespace: Uuid,
    pub(crate) writer: Connection,
    pub(crate) readers: Vec<Connection>,
}

pub(crate) fn open(path: &Path, options: &SqliteOptions) -> Result<Opened, OpenError> {
    options.check()?;
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    // Looked at before anything is made beside it, and again under the lock.
    inspect(path)?;
    let lock = lock(path)?;
    let store = |source: BoxError| OpenError::Store {
        path: path.clone(),
        source,
    };
    if !inspect(path)? {
        create(path, options.partitions).map_err(store)?;
    }
    let writer = connect_writer(path, options).map_err(|e| store(e.into()))?;
    let (store_id, namespace) = identity(&writer, path, options)?;
    let readers = (0..options.readers)
        .map(|_| connect_reader(path, options.reader_cache_kib))
        .collect::<Result<_, _>>()
        .map_err(|e| store(e.into()))?;
    sync_seen(path).map_err(|error| store(error.into()))?;
    Ok(Opened {
        path: path.clone(),
        lock,
        store_id,
        namespace,
        writer,
        readers,
    })
}

/// Whether a store of ours is there; `false` where there is no file, or an empty one.
///
/// Reads the header's bytes, not through SQLite: that could already write
/// (recover a journal, make a `-shm`) beside a file that is not ours.
pub(crate) fn inspect(path: &Path) -> Result<bool, OpenError> {
    let mut header = Vec::with_capacity(100);
    let read = match File::open(path) {
        Ok(file) => file.take(100).read_to_end(&mut header),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => Err(error),
    };
    read.map_err(|error| OpenError::Store {
        path: path.to_owned(),
        source: error.into(),
    })?;
    let foreign = |found: String| OpenError::Foreign {
        path: path.to_owned(),
        found,
    };
    if header.is_empty() {
        return Ok(false);
    }
    if header.len() < 100 || !header.starts_with(b"SQLite format 3\0") {
        return Err(foreign("no SQLite database".to_owned()));
    }
    let number = |at: usize| {
        let bytes = header[at..at + 4].try_into().unwrap_or_default();
        u32::from_be_bytes(bytes)
    };
    match (number(68), number(60)) {
        (APPLICATION_ID, LAYOUT_VERSION) => Ok(true),
        (APPLICATION_ID, found) => Err(OpenError::UnknownVersion {
            path: path.to_owned(),
            found,
            known: LAYOUT_VERSION,
        }),
        (found, _) => Err(foreign(format!("application id {found:#010x}"))),
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let beside = suffixed(path, ".lock");
    let store = |source: std::io::Error| OpenError::Store {
        path: beside.clone(),
        source: source.into(),
    };
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&beside)
        .map_err(store)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
            path: path.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(store(error)),
    }
}

/// Makes a new store beside `path` and moves it there: a crash leaves a whole one or none.
fn create(path: &Path, partitions: u16) -> Result<(), BoxError> {
    let new = suffixed(path, ".new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    let connection = Connection::open(&new)?;
    connection.execute_batch(&format!(
        "PRAGMA page_size=4096; PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; BEGIN;
         PRAGMA application_id={APPLICATION_ID}; PRAGMA user_version={LAYOUT_VERSION};"
    ))?;
    connection.execute_batch(include_str!("schema/store.sql"))?;
    let meta = [
        ("store_id", random_uuid()?.to_string()),
        ("namespace", random_uuid()?.to_string()),
        ("partitions", partitions.to_string()),
        ("partition_hash", PARTITION_HASH.to_owned()),
    ];
    for (key, value) in meta {
        connection.execute("INSERT INTO meta VALUES (?1, ?2)", params![key, value])?;
    }
    connection.execute_batch("COMMIT")?;
    connection.close().map_err(|(_, error)| error)?;
    File::open(&new)?.sync_all()?;
    fs::rename(&new, path)?;
    sync_folder(path)?;
    Ok(())
}

/// Makes a rename in the folder of `path` durable.
pub(crate) fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

pub(crate) fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

pub(crate) fn random_uuid() -> Result<Uuid, getrandom::Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes)?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

/// Makes durable what is seen from now on: a process that was killed may have left commits that it had written and not synced.
///
/// SQLite's locks are on the database file and its `-shm`, never on the `-wal`: closing a descriptor of that takes none away.
fn sync_seen(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).open(suffixed(path, "-wal")) {
        Ok(wal) => wal.sync_data(),
        // All is in the database file, synced before that log was taken away.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn connect_writer(path: &Path, options: &SqliteOptions) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA temp_store=MEMORY;
         PRAGMA mmap_size=0; PRAGMA busy_timeout=5000; PRAGMA foreign_keys=OFF;
         PRAGMA journal_size_limit=67108864; PRAGMA wal_autocheckpoint={}; PRAGMA cache_size=-{};",
        options.autocheckpoint_pages, options.writer_cache_kib
    ))?;
    keep_plans(&connection)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

pub(crate) fn connect_reader(path: &Path, cache_kib: u32) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.execute_batch(&format!(
        "PRAGMA query_only=ON; PRAGMA temp_store=MEMORY; PRAGMA mmap_size=0;
         PRAGMA busy_timeout=5000; PRAGMA cache_size=-{cache_kib};"
    ))?;
    keep_plans(&connection)?;
    connection.set_prepared_statement_cache_capacity(128);
    Ok(connection)
}

/// Keeps a statement's plan whatever is bound to it: SQLite with STAT4 else prepares many a cached
/// statement anew each time that it runs, which costs more than running it.
fn keep_plans(connection: &Connection) -> rusqlite::Result<()> {
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
        .map(drop)
}

pub(crate) fn identity(
    connection: &Connection,
    path: &Path,
    options: &SqliteOptions,
) -> Result<(Uuid, Uuid), OpenError> {
    let store = |source: BoxError| OpenError::Store {
        path: path.to_owned(),
        source,
    };
    let get = |key: &str| {
        connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| {
                row.get::<_, String>(0)
            })
            .map_err(|error| store(error.into()))
    };
    let hash = get("partition_hash")?;
    if hash != PARTITION_HASH {
        return Err(OpenError::PartitionHash {
            found: hash,
            known: PARTITION_HASH,
        });
    }
    let found = get("partitions")?
        .parse()
        .map_err(|error: std::num::ParseIntError| store(error.into()))?;
    if found != options.partitions {
        return Err(OpenError::Partitions {
            found,
            asked: options.partitions,
        });
    }
    let uuid = |key| Uuid::parse_str(&get(key)?).map_err(|error| store(error.into()));
    Ok((uuid("store_id")?, uuid("namespace")?))
}
