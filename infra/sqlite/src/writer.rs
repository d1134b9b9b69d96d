//! The writer thread: groups of jobs, one transaction and one `fsync` each.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use cqrs_core::{AppendError, Appended, Commit, ExpectedVersion, LogPosition, StreamName};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::append::Appender;
use crate::error::{StoreFailure, WriteFailure};
use crate::open::SqliteOptions;
use crate::store::Shared;

/// A group is closed once its commits hold this much.
const GROUP_BYTES: usize = 8 << 20;

/// The most jobs that are waited for before a group begins; more make a group worth its `fsync`.
const GATHERED: usize = 64;

type AppendReply = oneshot::Sender<Result<Appended, AppendError>>;

/// What waits for the writer.
#[expect(
    clippy::large_enum_variant,
    reason = "appends are nearly all of them; a box would be an allocation each"
)]
pub(crate) enum Job {
    Append {
        commit: Commit,
        reply: AppendReply,
    },
    Confirm {
        stream: StreamName,
        expected: ExpectedVersion,
        reply: oneshot::Sender<Result<LogPosition, AppendError>>,
    },
    Work {
        work: Box<dyn Work>,
        keeping: Keeping,
    },
}

impl Job {
    fn is_durable(&self) -> bool {
        match self {
            Self::Append { .. } => true,
            // It writes nothing.
            Self::Confirm { .. } => false,
            Self::Work { keeping, .. } => *keeping == Keeping::Durable,
        }
    }
}

/// What the answer to a closure promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeping {
    /// It survives a power loss.
    Durable,
    /// It can be made again from what is durable: a power loss may take it back, a crash of the process does not.
    Derived,
}

/// A job that is a closure, run in a savepoint.
pub(crate) trait Work: Send {
    /// Runs it; `false` undoes what it wrote.
    fn run(&mut self, connection: &Connection) -> bool;

    /// Answers, once the group is durable or has failed.
    fn answer(self: Box<Self>, failed: Option<&StoreFailure>);
}

/// [`Work`] made of a closure.
pub(crate) struct Task<F, T, E> {
    work: Option<F>,
    done: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, WriteFailure<E>>>,
}

impl<F, T, E> Task<F, T, E> {
    pub(crate) fn new(work: F, reply: oneshot::Sender<Result<T, WriteFailure<E>>>) -> Self {
        Self {
            work: Some(work),
            done: None,
            reply,
        }
    }
}

impl<F, T, E> Work for Task<F, T, E>
where
    F: FnOnce(&Connection) -> Result<T, E> + Send,
    T: Send,
    E: Send,
{
    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else {
            return false;
        };
        let done = work(connection);
        let keep = done.is_ok();
        self.done = Some(done);
        keep
    }

    fn answer(self: Box<Self>, failed: Option<&StoreFailure>) {
        let answer = match (failed, self.done) {
            (Some(failure), _) => Err(WriteFailure::Store(failure.clone())),
            (None, Some(Ok(value))) => Ok(value),
            (None, Some(Err(error))) => Err(WriteFailure::Failed(error)),
            (None, None) => Err(WriteFailure::Store(StoreFailure::unanswered())),
        };
        let _ = self.reply.send(answer);
    }
}

/// What a job came to, kept until the group is durable.
enum Answer {
    Append(Result<Appended, AppendError>),
    Confirm(Result<LogPosition, AppendError>),
    Work,
}

/// A job that is done, and to whom that is to be said.
enum Done {
    Append(AppendReply, Result<Appended, AppendError>),
    Confirm(
        oneshot::Sender<Result<LogPosition, AppendError>>,
        Result<LogPosition, AppendError>,
    ),
    Work(Box<dyn Work>),
}

/// Answers whom it concerns; nobody need be there any more.
fn answer(done: Vec<Done>) {
    for done in done {
        match done {
            Done::Append(reply, answer) => {
                let _ = reply.send(answer);
            }
            Done::Confirm(reply, answer) => {
                let _ = reply.send(answer);
            }
            Done::Work(work) => work.answer(None),
        }
    }
}

/// Owns the connection that writes.
pub(crate) struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    appender: Appender,
    /// The last durable position of each partition.
    durable: Vec<u64>,
    /// Those that followers were last woken for.
    woken: Vec<u64>,
    group: usize,
    /// Whether a commit waits for the disk, as the connection is set.
    synced: bool,
    readers: Vec<JoinHandle<()>>,
    /// Held until the connection is closed.
    lock: File,
}

impl Writer {
    pub(crate) fn new(
        connection: Connection,
        shared: Arc<Shared>,
        heads: Vec<u64>,
        options: &SqliteOptions,
        readers: Vec<JoinHandle<()>>,
        lock: File,
    ) -> Self {
        Self {
            connection,
            shared,
            appender: Appender::new(heads.clone(), options.cached_heads),
            woken: heads.clone(),
            durable: heads,
            group: options.group,
            synced: true,
            readers,
            lock,
        }
    }

    /// Does groups until the queue is closed and empty, then closes the file.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut jobs = Vec::with_capacity(self.group.min(1_024));
        let mut answered = 0;
        loop {
            // Those who were answered together come back one by one: without this the first of them would be
            // a group of its own, and the others wait for a second `fsync`.
            shared.writes.gather(answered);
            let Some(first) = shared.writes.take(self.group, GROUP_BYTES, &mut jobs) else {
                break;
            };
            answered = jobs.len().min(GATHERED);
            self.group(first, &mut jobs);
        }
        self.close();
    }

    fn group(&mut self, first: u64, jobs: &mut Vec<Job>) {
        let after = first + jobs.len() as u64;
        let transacted = catch_unwind(AssertUnwindSafe(|| self.transact(jobs)))
            .unwrap_or_else(|_| Err(StoreFailure::new("the writer panicked")));
        let failed = transacted.is_err();
        self.shared.failed.store(failed, Ordering::Release);
        match transacted {
            Ok(answers) => {
                self.durable.clone_from_slice(self.appender.positions());
                let done = self.remember(jobs, answers);
                self.move_tails();
                answer(done);
                self.wake_followers();
            }
            Err(failure) => {
                tracing::error!(error = %failure, jobs = jobs.len(), "a group was rolled back");
                if !self.connection.is_autocommit() {
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                self.recover();
                self.fail(jobs, &failure);
            }
        }
        self.shared.done.store(after, Ordering::Release);
    }

    fn transact(&mut self, jobs: &mut [Job]) -> Result<Vec<Answer>, StoreFailure> {
        self.sync_commits(jobs.iter().any(Job::is_durable))?;
        self.statement("BEGIN IMMEDIATE")?;
        let mut answers = Vec::with_capacity(jobs.len());
        for job in jobs {
            answers.push(match job {
                Job::Append { commit, .. } => {
                    Answer::Append(self.appender.append(&self.connection, commit)?)
                }
                Job::Confirm {
                    stream, expected, ..
                } => Answer::Confirm(self.confirm(stream, *expected)?),
                Job::Work { work, .. } => {
                    self.work(work.as_mut())?;
                    Answer::Work
                }
            });
        }
        self.statement("COMMIT")?;
        Ok(answers)
    }

    fn confirm(
        &mut self,
        stream: &StreamName,
        expected: ExpectedVersion,
    ) -> rusqlite::Result<Result<LogPosition, AppendError>> {
        let head = self.appender.head(&self.connection, stream)?;
        if expected.accepts(head.version, head.last) {
            return Ok(Ok(head.at));
        }
        Ok(Err(AppendError::Conflict {
            stream: stream.clone(),
            expected,
            actual: head.version,
        }))
    }

    /// Runs a closure in a savepoint; its panic undoes it alone.
    fn work(&mut self, work: &mut dyn Work) -> Result<(), StoreFailure> {
        self.statement("SAVEPOINT job")?;
        let kept = catch_unwind(AssertUnwindSafe(|| work.run(&self.connection)));
        if kept.is_err() {
            tracing::error!("a write panicked");
        }
        if self.connection.is_autocommit() {
            // An I/O error ends the whole transaction: the group is lost.
            return Err(StoreFailure::new("the transaction was rolled back"));
        }
        if !matches!(kept, Ok(true)) {
            self.statement("ROLLBACK TO job")?;
        }
        Ok(self.statement("RELEASE job")?)
    }

    /// Lets commits wait for the disk, or not.
    ///
    /// Where they do not, what is committed is durable with the next commit that does: both are in one file, in this
    /// order, and what recovery keeps of it is a prefix.
    fn sync_commits(&mut self, synced: bool) -> rusqlite::Result<()> {
        if self.synced != synced {
            self.connection.execute_batch(match synced {
                true => "PRAGMA synchronous=FULL",
                false => "PRAGMA synchronous=NORMAL",
            })?;
            self.synced = synced;
        }
        Ok(())
    }

    /// Keeps what was appended for those who follow the log.
    fn remember(&self, jobs: &mut Vec<Job>, answers: Vec<Answer>) -> Vec<Done> {
        let mut recent = self.shared.recent.lock();
        let done = jobs.drain(..).zip(answers).filter_map(|pair| match pair {
            (Job::Append { commit, reply }, Answer::Append(answer)) => {
                if let Ok(appended) = &answer
                    && !appended.repeated
                {
                    recent.push(commit, appended);
                }
                Some(Done::Append(reply, answer))
            }
            (Job::Confirm { reply, .. }, Answer::Confirm(answer)) => {
                Some(Done::Confirm(reply, answer))
            }
            (Job::Work { work, .. }, _) => Some(Done::Work(work)),
            // Answers are made in step with their jobs.
            _ => None,
        });
        done.collect()
    }

    fn fail(&mut self, jobs: &mut Vec<Job>, failure: &StoreFailure) {
        let failed = |stream| AppendError::Store {
            stream,
            source: failure.clone().into(),
        };
        for job in jobs.drain(..) {
            match job {
                Job::Append { commit, reply } => {
                    let _ = reply.send(Err(failed(commit.stream)));
                }
                Job::Confirm { stream, reply, .. } => {
                    let _ = reply.send(Err(failed(stream)));
                }
                Job::Work { work, .. } => work.answer(Some(failure)),
            }
        }
    }

    /// Finds out where the log ends: a failed COMMIT may have been durable all the same.
    fn recover(&mut self) {
        let partitions = self.shared.partitions;
        match crate::append::load_heads(&self.connection, partitions) {
            Ok(heads) => self.durable = heads,
            Err(error) => tracing::error!(%error, "the log's end could not be read"),
        }
        self.appender.reset(self.durable.clone());
        self.move_tails();
        self.wake_followers();
    }

    /// Shows everybody who asks what is durable now.
    fn move_tails(&self) {
        for (tail, durable) in self.shared.tails.iter().zip(&self.durable) {
            tail.send_if_modified(|tail| {
                tail.head = *durable;
                false
            });
        }
    }

    /// Wakes whoever waits for more than there was.
    fn wake_followers(&mut self) {
        for ((tail, durable), woken) in self
            .shared
            .tails
            .iter()
            .zip(&self.durable)
            .zip(&mut self.woken)
        {
            tail.send_if_modified(|_| *woken != *durable);
            *woken = *durable;
        }
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn close(self) {
        self.shared.reads.close();
        for reader in self.readers {
            let _ = reader.join();
        }
        let checkpointed = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        if let Err(error) = checkpointed {
            tracing::warn!(%error, "the write-ahead log stays; the next start reads it");
        }
        drop(self.connection);
        drop(self.lock);
        for tail in &self.shared.tails {
            tail.send_modify(|tail| tail.closed = true);
        }
        self.shared.stopped.send_replace(true);
        tracing::info!(store = %self.shared.store_id, "store closed");
    }
}
