//! The store: one file, its writer and its readers.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use cqrs_core::BoxError;
use rusqlite::Connection;
use tokio::sync::{oneshot, watch};
use uuid::Uuid;

use crate::error::{OpenError, ReadFailure, StoreFailure, WriteFailure};
use crate::ledger::Claims;
use crate::open::{self, SqliteOptions};
use crate::queue::{Queue, Refused};
use crate::readers::{self, ReadJob};
use crate::recent::RecentCommits;
use crate::writer::{Job, Keeping, Task, Writer};

/// Event log, ledger, snapshots and read models in one SQLite file. Cheap to clone.
///
/// Implements [`AppendToLog`](cqrs_core::AppendToLog), [`ReadLog`](cqrs_core::ReadLog),
/// [`TailLog`](cqrs_core::TailLog), [`Ledger`](cqrs_core::Ledger),
/// [`SnapshotStore`](cqrs_core::SnapshotStore) and
/// [`CheckpointStore`](cqrs_core::CheckpointStore). Dropping the last clone does what
/// waits and stops the threads; [`close`](Self::close) does the same without blocking.
#[derive(Clone)]
pub struct SqliteStore {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

/// What callers and threads share.
pub(crate) struct Shared {
    pub(crate) path: std::path::PathBuf,
    pub(crate) store_id: Uuid,
    pub(crate) namespace: Uuid,
    pub(crate) partitions: u16,
    pub(crate) writes: Queue<Job>,
    /// The number of the first job that is not answered yet.
    pub(crate) done: AtomicU64,
    /// Whether the last group was rolled back.
    pub(crate) failed: AtomicBool,
    pub(crate) reads: Queue<ReadJob>,
    /// The last durable position of each partition.
    pub(crate) tails: Vec<watch::Sender<Tail>>,
    /// The last commits, for those who follow closely.
    pub(crate) recent: RecentCommits,
    pub(crate) stopped: watch::Sender<bool>,
    pub(crate) claims: Claims,
}

#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tail {
    pub(crate) head: u64,
    pub(crate) closed: bool,
}

impl SqliteStore {
    /// Opens the store in the file `path`; makes one where there is none. Blocks.
    ///
    /// # Errors
    ///
    /// [`OpenError`]; a file that is not ours, or of another version, is left untouched.
    pub fn open(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, OpenError> {
        let opened = open::open(path.as_ref(), &options)?;
        let failed = |source: BoxError| OpenError::Store {
            path: path.as_ref().to_owned(),
            source,
        };
        let heads = crate::append::load_heads(&opened.writer, options.partitions)
            .map_err(|e| failed(e.into()))?;
        let tails = heads
            .iter()
            .map(|head| {
                watch::Sender::new(Tail {
                    head: *head,
                    closed: false,
                })
            })
            .collect();
        let shared = Arc::new(Shared {
            path: opened.path,
            store_id: opened.store_id,
            namespace: opened.namespace,
            partitions: options.partitions,
            writes: Queue::new(options.queue, options.queue_bytes),
            done: AtomicU64::new(0),
            failed: AtomicBool::new(false),
            reads: Queue::new(options.queue, usize::MAX),
            tails,
            recent: RecentCommits::new(options.partitions, options.recent_bytes),
            stopped: watch::Sender::new(false),
            claims: Claims::default(),
        });
        let mut threads = Vec::new();
        for (index, connection) in opened.readers.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            let thread = std::thread::Builder::new()
                .name(format!("sqlite-reader-{index}"))
                .spawn(move || readers::run(&shared.reads, connection));
            threads.push(thread.map_err(|e| failed(e.into()))?);
        }
        let writer = Writer::new(
            opened.writer,
            Arc::clone(&shared),
            heads,
            &options,
            threads,
            opened.lock,
        );
        let thread = std::thread::Builder::new()
            .name("sqlite-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|e| failed(e.into()))?;
        tracing::info!(store = %shared.store_id, partitions = shared.partitions, "store opened");
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                writer: Mutex::new(Some(thread)),
            }),
        })
    }

    /// The store's id, made at its creation and kept by backups.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.shared().store_id
    }

    /// The random namespace of keyed command ids. Never show it.
    #[must_use]
    pub fn namespace(&self) -> Uuid {
        self.shared().namespace
    }

    /// Jobs that wait for the writer.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.shared().writes.len()
    }

    /// Runs `read` on a reader thread, in one read transaction: all that it sees is of one moment.
    ///
    /// Sees everything that was answered before the call.
    ///
    /// # Errors
    ///
    /// - [`ReadFailure::Failed`]: the closure's own error.
    /// - [`ReadFailure::Overloaded`]: too many wait; ask again later.
    /// - [`ReadFailure::Store`]: closed, or the closure panicked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the closure; its answer is lost.
    pub async fn read<T, E, F>(&self, read: F) -> Result<T, ReadFailure<E>>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job: ReadJob = Box::new(move |connection| {
            // An abandoned read is not begun.
            if !reply.is_closed() {
                let _ = reply.send(readers::in_transaction(connection, read));
            }
        });
        match self.shared().reads.push(job, 0) {
            Ok(()) => answer
                .await
                .unwrap_or_else(|_| Err(ReadFailure::Store(StoreFailure::unanswered()))),
            Err(Refused::Full) => Err(ReadFailure::Overloaded),
            Err(Refused::Closed) => Err(ReadFailure::Store(StoreFailure::closed())),
        }
    }

    /// Runs `write` on the writer thread, in a savepoint of the group's transaction; durable on return.
    ///
    /// The *call* takes the place in the queue. An error, or a panic, of the closure undoes what
    /// it wrote, and nothing else of the group. It must neither begin nor end transactions.
    ///
    /// # Errors
    ///
    /// - [`WriteFailure::Failed`]: the closure's own error.
    /// - [`WriteFailure::Overloaded`]: too many wait; ask again later.
    /// - [`WriteFailure::Store`]: unknown outcome, or the closure panicked.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop the closure; its answer is lost.
    pub fn write<T, E, F>(
        &self,
        write: F,
    ) -> impl Future<Output = Result<T, WriteFailure<E>>> + Send + use<T, E, F>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        self.write_keeping(Keeping::Durable, write)
    }

    /// [`write`](Self::write), with the choice of what its answer promises.
    pub(crate) fn write_keeping<T, E, F>(
        &self,
        keeping: Keeping,
        write: F,
    ) -> impl Future<Output = Result<T, WriteFailure<E>>> + Send + use<T, E, F>
    where
        T: Send + 'static,
        E: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(Task::new(write, reply));
        let pushed = self.shared().writes.push(Job::Work { work, keeping }, 0);
        async move {
            match pushed {
                Ok(()) => answer
                    .await
                    .unwrap_or_else(|_| Err(WriteFailure::Store(StoreFailure::unanswered()))),
                Err(Refused::Full) => Err(WriteFailure::Overloaded),
                Err(Refused::Closed) => Err(WriteFailure::Store(StoreFailure::closed())),
            }
        }
    }

    /// Takes no more work, does what waits, moves the write-ahead log into the file, frees the lock.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop it.
    pub async fn close(&self) {
        self.shared().writes.close();
        // The sender lives as long as `self`: this cannot fail.
        let _ = self
            .shared()
            .stopped
            .subscribe()
            .wait_for(|stopped| *stopped)
            .await;
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.inner.shared
    }
}

impl std::fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SqliteStore")
            .field("store_id", &self.store_id())
            .field("partitions", &self.shared().partitions)
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.shared.writes.close();
        let writer = self
            .writer
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(thread) = writer.take() {
            // A job may hold the last clone: a thread cannot wait for itself.
            if thread.thread().id() != std::thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}
