//! The store: one database, a committer for each partition.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cqrs_core::{Partition, Position};
use mongodb::bson::RawDocumentBuf;
use mongodb::{Client, Collection, Database};
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::book::Moved;
use crate::committer::{Committer, Limits};
use crate::driver::Driver;
use crate::error::OpenError;
use crate::lanes::{Lane, Lanes};
use crate::look::{self, Tailing};
use crate::open::{self, Purpose};
use crate::options::MongoOptions;
use crate::queue::{Bounds, Queue};
use crate::tail::Tail;
use crate::watch;

/// The most bytes of documents in one insert, far below the 48 MB that a message may have.
const GROUP_BYTES: usize = 8 << 20;

/// Event log, snapshots and checkpoints in one MongoDB database. Cheap to clone.
///
/// Implements [`AppendToLog`](cqrs_core::AppendToLog), [`ReadLog`](cqrs_core::ReadLog),
/// [`TailLog`](cqrs_core::TailLog), [`SnapshotStore`](cqrs_core::SnapshotStore) and
/// [`CheckpointStore`](cqrs_core::CheckpointStore). Any number of stores, in any number of processes, may have one
/// database open. Reservations are stored with their commits but not arbitrated here: that is a ledger's business.
///
/// Dropping the last clone lets what waits be committed, by tasks that go on as long as the runtime does;
/// [`close`](Self::close) waits for them.
#[derive(Clone)]
pub struct MongoStore {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    database: Database,
    store_id: Uuid,
    namespace: Uuid,
    call_timeout: Duration,
    lanes: Lanes<Driver>,
    moved: Moved,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl MongoStore {
    /// Opens the store in a database; makes one where the database is empty. Call it in a tokio runtime.
    ///
    /// Makes the unique indexes that are missing, and refuses to go on without them.
    ///
    /// # Errors
    ///
    /// [`OpenError`]. [`OpenError::Store`] is the only one for which asking again may help.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future may leave a new, empty store; opening it again goes on from there.
    pub async fn open(options: MongoOptions) -> Result<Self, OpenError> {
        Self::open_for(options, Purpose::Use).await
    }

    pub(crate) async fn open_for(
        options: MongoOptions,
        purpose: Purpose,
    ) -> Result<Self, OpenError> {
        let opened = open::open(&options, purpose).await?;
        let mut writer = [0; 8];
        getrandom::fill(&mut writer).map_err(|error| OpenError::Store {
            database: options.database.clone(),
            source: error.into(),
        })?;
        let writer = i64::from_le_bytes(writer);
        let limits = Limits {
            group: options.group,
            group_bytes: GROUP_BYTES,
            give_up: options.give_up,
            cached_heads: options.cached_heads,
        };
        let (mut lanes, mut tasks, mut watched) = (Vec::new(), Vec::new(), Vec::new());
        for partition in Partition::all(options.partitions) {
            let driver = Driver {
                log: opened
                    .database
                    .collection(&open::log_name(partition.index())),
                limit: options.call_timeout,
                strict: opened.strict.clone(),
            };
            let queue = Arc::new(Queue::new(Bounds {
                jobs: options.queue,
                bytes: options.queue_bytes,
                per_stream: options.stream_queue,
            }));
            let tail = Arc::new(Tail::default());
            let committer = Committer::new(
                driver.clone(),
                partition,
                writer,
                Arc::clone(&queue),
                Arc::clone(&tail),
                limits,
            );
            tasks.push(tokio::spawn(committer.run()));
            tasks.push(tokio::spawn(look::look(
                driver.clone(),
                Arc::clone(&tail),
                options.tailing,
            )));
            watched.push((driver.clone(), Arc::clone(&tail)));
            lanes.push(Lane {
                engine: driver,
                queue,
                tail,
            });
        }
        if options.tailing == Tailing::Close {
            // Not waited for at the end: the server may hold its last question a while.
            drop(tokio::spawn(watch::stream(
                opened.database.clone(),
                watched,
            )));
        }
        tracing::info!(store = %opened.store_id, partitions = options.partitions, "store opened");
        Ok(Self {
            inner: Arc::new(Inner {
                client: opened.client,
                database: opened.database,
                store_id: opened.store_id,
                namespace: opened.namespace,
                call_timeout: options.call_timeout,
                lanes: Lanes { writer, lanes },
                moved: Moved::default(),
                tasks: Mutex::new(tasks),
            }),
        })
    }

    /// The store's id, made at its creation.
    #[must_use]
    pub fn store_id(&self) -> Uuid {
        self.inner.store_id
    }

    /// The random namespace of keyed command ids. Never show it.
    #[must_use]
    pub fn namespace(&self) -> Uuid {
        self.inner.namespace
    }

    /// Calls that wait for the committers.
    #[must_use]
    pub fn queued(&self) -> usize {
        self.inner
            .lanes
            .lanes
            .iter()
            .map(|lane| lane.queue.len())
            .sum()
    }

    /// The last position of `partition` that is known here to be durable; others may have come further. Asks nobody.
    #[must_use]
    pub fn seen_head(&self, partition: Partition) -> Position {
        let lane = self.inner.lanes.lane(partition);
        lane.map_or(Position::START, |lane| lane.tail.head())
    }

    /// Takes no more appends, commits what waits, and lets the connections go.
    ///
    /// What is still unknown after the limit of [`MongoOptions::give_up`] stays so.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future does not stop it.
    pub async fn close(&self) {
        self.inner.close_queues();
        let tasks = {
            let mut tasks = self
                .inner
                .tasks
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            std::mem::take(&mut *tasks)
        };
        for task in tasks {
            if let Err(ended) = task.await {
                tracing::error!(error = %ended, "a task of the store did not end well");
            }
        }
        let client = self.inner.client.clone();
        let shutdown = tokio::spawn(async move { client.shutdown().immediate(true).await });
        if let Err(ended) = shutdown.await {
            tracing::error!(error = %ended, "the client did not shut down");
        }
    }

    pub(crate) fn lanes(&self) -> &Lanes<Driver> {
        &self.inner.lanes
    }

    pub(crate) fn collection(&self, name: &str) -> Collection<RawDocumentBuf> {
        self.inner.database.collection(name)
    }

    pub(crate) fn moved(&self) -> &Moved {
        &self.inner.moved
    }

    pub(crate) fn call_timeout(&self) -> Duration {
        self.inner.call_timeout
    }
}

impl Inner {
    fn close_queues(&self) {
        for lane in &self.lanes.lanes {
            lane.queue.close();
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close_queues();
    }
}

impl std::fmt::Debug for MongoStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MongoStore")
            .field("store_id", &self.store_id())
            .field("partitions", &self.inner.lanes.lanes.len())
            .finish_non_exhaustive()
    }
}
