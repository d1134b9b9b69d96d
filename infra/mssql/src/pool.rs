//! Connections, each for one call at a time.

mod connection;
mod database;
mod open;
mod tables;

use std::fmt;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::{Either, select};
use tiberius::{Config, Row};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::error::{CallError, ConnectError};
use crate::options::MssqlOptions;

pub(crate) use connection::Call;

use connection::Connection;
use tables::Tables;

/// After a connection could not be opened, nobody tries for this long: all who ask are told at once.
const PAUSE: Duration = Duration::from_millis(250);
/// How many connections are opened at once. Logins that all compete for a busy server all take too long, and those that take
/// their place meet a server that is still at work for them.
const OPENING: usize = 2;

/// At most so many connections, each opened when it is first needed. Cheap to clone; clones share them.
///
/// # Delivery
///
/// A call runs to its end in a task of its own, even when its caller goes away. A connection comes back
/// only after a call on it ended well: one that failed, ran too long or was torn down with its
/// task is closed, and the server rolls back what it had begun.
///
/// A connection that was cut while it was idle is noticed without asking the server, and replaced.
///
/// Few are opened at once; who waits for its turn takes a connection that comes back meanwhile.
#[derive(Clone)]
pub struct MssqlPool {
    inner: Arc<Inner>,
}

/// What a pool has at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Connections that wait for a call.
    pub idle: usize,
    /// Calls that have a connection, or open one.
    pub busy: usize,
    /// Connections that were ever opened.
    pub opened: u64,
}

struct Inner {
    options: MssqlOptions,
    driver: Config,
    tables: Tables,
    /// One for each connection.
    permits: Arc<Semaphore>,
    /// One for each call that runs or waits.
    room: Arc<Semaphore>,
    /// One for each connection that is being opened.
    opening: Semaphore,
    /// Told where a connection comes back.
    returned: Notify,
    opened: AtomicU64,
    idle: Mutex<Vec<Connection>>,
    failed: Mutex<Option<(Instant, ConnectError)>>,
}

impl MssqlPool {
    /// A pool over what `options` name. Nothing is opened yet.
    #[must_use]
    pub fn new(options: MssqlOptions) -> Self {
        let connections = options.max_connections.clamp(1, Semaphore::MAX_PERMITS / 2);
        let waiting = options.max_waiting.min(Semaphore::MAX_PERMITS / 2);
        Self {
            inner: Arc::new(Inner {
                driver: options.driver(),
                tables: Tables::of(options.schema()),
                permits: Arc::new(Semaphore::new(connections)),
                room: Arc::new(Semaphore::new(connections + waiting)),
                opening: Semaphore::new(OPENING),
                returned: Notify::new(),
                opened: AtomicU64::new(0),
                idle: Mutex::default(),
                failed: Mutex::default(),
                options,
            }),
        }
    }

    /// What it has now.
    #[must_use]
    pub fn state(&self) -> PoolState {
        let inner = &self.inner;
        let most = inner.options.max_connections.max(1);
        PoolState {
            idle: inner.idle().len(),
            busy: most.saturating_sub(inner.permits.available_permits()),
            opened: self.opened(),
        }
    }

    /// Whether the server can be used now: one call, on a connection from the pool or a new one.
    ///
    /// # Errors
    ///
    /// Why not; [`ConnectError`] where no connection can be had.
    pub async fn check(&self) -> Result<(), cqrs_core::BoxError> {
        let call = Call::new("SELECT 1 AS one".into());
        self.call(None, call).await?;
        Ok(())
    }

    /// What it was made from.
    #[must_use]
    pub fn options(&self) -> &MssqlOptions {
        &self.inner.options
    }

    /// How many connections were opened so far.
    pub(crate) fn opened(&self) -> u64 {
        self.inner.opened.load(Ordering::Acquire)
    }

    /// Makes `call`, on one of the first `standing` connections that were ever opened where that is told.
    pub(crate) async fn call(
        &self,
        standing: Option<u64>,
        call: Call,
    ) -> Result<Vec<Vec<Row>>, CallError> {
        let inner = &self.inner;
        let room = Arc::clone(&inner.room).try_acquire_owned();
        let room = room.map_err(|_| CallError::Overloaded)?;
        let permit = Arc::clone(&inner.permits).acquire_owned();
        let permit = match timeout(inner.options.wait_timeout, permit).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(_)) | Err(_) => return Err(CallError::Overloaded),
        };
        let inner = Arc::clone(inner);
        let task = tokio::spawn(async move {
            let results = inner.make(standing, call).await;
            drop((permit, room));
            results
        });
        task.await.map_err(CallError::Broken)?
    }
}

impl Inner {
    // Nothing panics under these locks half-way through a change.
    fn idle(&self) -> MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self) -> MutexGuard<'_, Option<(Instant, ConnectError)>> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was used last, of the first `last` opened and still in order.
    fn take_idle(&self, last: u64) -> Option<Connection> {
        let options = &self.options;
        let mut idle = self.idle();
        idle.retain(|connection| {
            connection.born.elapsed() < options.max_lifetime
                && connection.used.elapsed() < options.max_idle
        });
        while let Some(at) = idle.iter().rposition(|c| c.number <= last) {
            let connection = idle.remove(at);
            if connection.is_open() {
                return Some(connection);
            }
        }
        None
    }

    async fn make(&self, standing: Option<u64>, call: Call) -> Result<Vec<Vec<Row>>, CallError> {
        let mut connection = self.connection(standing).await?;
        if connection.number > standing.unwrap_or(u64::MAX) {
            self.give_back(connection);
            return Err(CallError::Lost);
        }
        // Whatever error it was, the connection is closed with it.
        let results = connection.make(&call).await?;
        self.give_back(connection);
        Ok(results)
    }

    /// One that is idle or comes back, or a new one.
    async fn connection(&self, standing: Option<u64>) -> Result<Connection, CallError> {
        let last = standing.unwrap_or(u64::MAX);
        let deadline = Instant::now() + self.options.connect_timeout;
        let mut turn = pin!(self.opening.acquire());
        loop {
            if let Some(connection) = self.take_idle(last) {
                return Ok(connection);
            }
            if standing.is_some() && !self.idle().is_empty() {
                // Those that are idle are all from after. They are for others, who may wait for what this one was told.
                self.returned.notify_one();
                return Err(CallError::Lost);
            }
            let returned = pin!(self.returned.notified());
            match timeout_at(deadline, select(turn.as_mut(), returned)).await {
                // The turn ends with what is opened in it.
                Ok(Either::Left((turn, _))) => {
                    let _turn = turn.map_err(|_| CallError::Overloaded)?;
                    return Ok(self.open().await?);
                }
                Ok(Either::Right(_)) => {}
                Err(_) => return Err(ConnectError::Busy.into()),
            }
        }
    }

    fn give_back(&self, mut connection: Connection) {
        connection.used = Instant::now();
        self.idle().push(connection);
        self.returned.notify_one();
    }

    async fn open(&self) -> Result<Connection, ConnectError> {
        if let Some((at, error)) = &*self.failed()
            && at.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let opened = open::open(&self.options, &self.driver, &self.tables).await;
        match opened {
            Ok((client, socket)) => {
                *self.failed() = None;
                // Counted when it is open: whoever reads the count before does not have it.
                let number = self.opened.fetch_add(1, Ordering::AcqRel) + 1;
                tracing::debug!(number, "a connection to the ledger's server is open");
                Ok(Connection::new(client, socket, number))
            }
            Err(error) => {
                *self.failed() = Some((Instant::now(), error.clone()));
                Err(error)
            }
        }
    }
}

impl fmt::Debug for MssqlPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MssqlPool")
            .field("options", &self.inner.options)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}
