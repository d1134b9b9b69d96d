//! The writer thread: groups of jobs, one transaction each, made durable together.
//!
//! A group is open for as long as the groups before it wait for the disk: it does what comes meanwhile, so that the disk
//! is never waited for while there is work, and never asked for less than has come by then.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;

use cqrs_core::{AppendError, ExpectedVersion, LogPosition, StreamName};
use rusqlite::Connection;
use rusqlite::config::DbConfig;

use crate::append::Appender;
use crate::error::StoreFailure;
use crate::job::{Answer, Done, Job, Work};
use crate::open::SqliteOptions;
use crate::pipeline::{Group, Pipeline};
use crate::store::Shared;

/// A group is closed once its commits hold this much.
const GROUP_BYTES: usize = 8 << 20;

/// The most jobs that are waited for before a group begins; more make a group worth its sync.
const GATHERED: usize = 64;

/// So many jobs are worth a wake-up while the disk is busy anyway.
const WORTHWHILE: usize = 16;

/// Owns the connection that writes.
pub(crate) struct Writer {
    connection: Connection,
    shared: Arc<Shared>,
    pipeline: Arc<Pipeline>,
    appender: Appender,
    /// The last committed position of each partition.
    ends: Vec<u64>,
    /// Pages in the write-ahead log after the last commit that wrote any; 0 once that is taken.
    pages: Arc<AtomicU32>,
    group: usize,
    checkpoint_pages: u32,
    threads: Threads,
    /// Held until the connection is closed.
    lock: File,
}

/// The other threads, which end before the writer does.
pub(crate) struct Threads {
    pub(crate) readers: Vec<JoinHandle<()>>,
    pub(crate) sync: JoinHandle<()>,
}

impl Writer {
    pub(crate) fn new(
        mut connection: Connection,
        pipeline: Arc<Pipeline>,
        shared: Arc<Shared>,
        heads: Vec<u64>,
        options: &SqliteOptions,
        threads: Threads,
        lock: File,
    ) -> rusqlite::Result<Self> {
        let pages = Arc::new(AtomicU32::new(0));
        let written = Arc::clone(&pages);
        // In place of SQLite's own hook, which would checkpoint before the group is on its way to the disk.
        connection.wal_hook(Some(move |_: &mut _, pages: i32| {
            written.store(pages.cast_unsigned(), Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Self {
            connection,
            shared,
            pipeline,
            ends: heads.clone(),
            appender: Appender::new(heads, options.cached_heads),
            pages,
            group: options.group,
            checkpoint_pages: options.autocheckpoint_pages,
            threads,
            lock,
        })
    }

    /// Does groups until the queue is closed and empty, then closes the file.
    pub(crate) fn run(mut self) {
        let shared = Arc::clone(&self.shared);
        let mut jobs = Vec::with_capacity(self.group.min(1_024));
        let mut last = 0;
        loop {
            // A group that is begun while the disk is busy takes what comes until it is free.
            if !self.pipeline.is_busy() {
                // Those who were answered together come back one by one: without this the first of them would be
                // a group of its own, and the others wait for a second sync.
                shared.writes.gather(last);
            }
            let Some(first) = shared.writes.take(self.group, GROUP_BYTES, &mut jobs) else {
                break;
            };
            last = self.group(first, &mut jobs).min(GATHERED);
        }
        self.close();
    }

    /// Does a group that begins with `jobs`; how many it had in the end.
    fn group(&mut self, first: u64, jobs: &mut Vec<Job>) -> usize {
        if let Some(failure) = self.shared.durability.failure() {
            return self.fail(first, jobs, &failure);
        }
        let transacted = catch_unwind(AssertUnwindSafe(|| self.transact(jobs)))
            .unwrap_or_else(|_| Err(StoreFailure::new("the writer panicked")));
        let count = jobs.len();
        let after = first + count as u64;
        self.shared
            .failed
            .store(transacted.is_err(), Ordering::Release);
        match transacted {
            Ok((number, answers)) => {
                self.ends.clone_from_slice(self.appender.positions());
                let pages = self.pages.swap(0, Ordering::Relaxed);
                let done = jobs.drain(..).zip(answers);
                let group = Group {
                    number,
                    written: pages > 0,
                    after,
                    ends: self.ends.clone(),
                    done: done
                        .filter_map(|(job, answer)| Done::of(job, answer))
                        .collect(),
                };
                // One alone is answered soonest where it is.
                self.pipeline
                    .push(group, count == 1 && self.shared.writes.is_empty());
                if pages >= self.checkpoint_pages {
                    self.checkpoint();
                }
                count
            }
            Err(failure) => {
                tracing::error!(error = %failure, jobs = count, "a group was rolled back");
                if !self.connection.is_autocommit() {
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                self.fail(first, jobs, &failure);
                self.recover(after);
                count
            }
        }
    }

    /// Executes a group and commits it; its number, where it waits for the disk, and what its jobs came to.
    fn transact(
        &mut self,
        jobs: &mut Vec<Job>,
    ) -> Result<(Option<u64>, Vec<Answer>), StoreFailure> {
        let (shared, pipeline) = (Arc::clone(&self.shared), Arc::clone(&self.pipeline));
        self.statement("BEGIN IMMEDIATE")?;
        let mut answers = Vec::with_capacity(jobs.len());
        let (mut durable, mut busy, mut bytes) = (false, true, 0);
        loop {
            for job in &mut jobs[answers.len()..] {
                durable |= job.is_durable();
                bytes += job.bytes();
                answers.push(self.execute(job)?);
            }
            let room = self.group.saturating_sub(jobs.len());
            if room == 0 || bytes >= GROUP_BYTES {
                // However slow the disk: no more than this one, those that it syncs and those that are told of.
                shared.writes.wait_while(usize::MAX, || pipeline.is_busy());
                break;
            }
            if !busy {
                break;
            }
            busy = shared.writes.wait_while(WORTHWHILE, || pipeline.is_busy());
            shared.writes.take_more(room, GROUP_BYTES - bytes, jobs);
        }
        let number = durable.then(|| shared.durability.begin());
        self.statement("COMMIT")?;
        Ok((number, answers))
    }

    fn execute(&mut self, job: &mut Job) -> Result<Answer, StoreFailure> {
        Ok(match job {
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
        })
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

    /// Answers that the store failed; what was done of it, if anything, is not told of.
    fn fail(&self, first: u64, jobs: &mut Vec<Job>, failure: &StoreFailure) -> usize {
        let count = jobs.len();
        jobs.drain(..).for_each(|job| job.fail(failure));
        if self.shared.durability.failure().is_some() {
            // Groups in flight, too, have failed or will.
            self.shared
                .done
                .fetch_max(first + count as u64, Ordering::Release);
        }
        count
    }

    /// Finds out where the log ends: a failed COMMIT may have happened all the same.
    fn recover(&mut self, after: u64) {
        let partitions = self.shared.partitions;
        let ends = match crate::append::load_heads(&self.connection, partitions) {
            Ok(ends) => ends,
            Err(error) => {
                tracing::error!(%error, "the log's end could not be read");
                self.ends.clone()
            }
        };
        self.ends.clone_from(&ends);
        self.appender.reset(ends.clone());
        self.pages.store(0, Ordering::Relaxed);
        // If it did, that is told of once it is on the disk.
        let group = Group {
            number: Some(self.shared.durability.begin()),
            written: true,
            after,
            ends,
            done: Vec::new(),
        };
        self.pipeline.push(group, true);
    }

    /// Copies the write-ahead log into the file, so that it can begin anew.
    fn checkpoint(&self) {
        let copied = self
            .connection
            .query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if let Err(error) = copied {
            // It grows until a later one succeeds.
            tracing::warn!(%error, "the write-ahead log was not copied");
        }
    }

    fn statement(&self, sql: &str) -> rusqlite::Result<()> {
        self.connection.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn close(self) {
        self.pipeline.close();
        let _ = self.threads.sync.join();
        self.shared.reads.close();
        for reader in self.threads.readers {
            let _ = reader.join();
        }
        if self.shared.durability.failure().is_some() {
            // What the kernel could not write it may read back wrong: nothing of it gets into the file.
            let keep = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            let _ = self.connection.set_db_config(keep, true);
        } else {
            let copied = self
                .connection
                .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
            if let Err(error) = copied {
                tracing::warn!(%error, "the write-ahead log stays; the next start reads it");
            }
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
