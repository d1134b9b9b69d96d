//! What the binary drives beside the commands: finishing, renewing, sweeping, folding.

use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Either, join4, select};
use tokio::sync::{Mutex, Notify};

use crate::follow::{self, Backoff, Follower, RunnerError, Step, Trouble, Until, chain};
use crate::log::EventLog;
use crate::mutants::mutant;
use crate::position::{Partition, Position};
use crate::projection::Progress;
use crate::time::Timer;

use super::footing::FoldError;
use super::recover::Recovered;
use super::{Coordinator, IntentStore, Lease};

/// How many intents one sweep takes up.
const SWEEP: usize = 100;

impl<L: EventLog, I: IntentStore, T: Timer> Coordinator<L, I, T> {
    /// Drives all of the background parts until `shutdown` completes: finishes, renewals, sweeps, the fold.
    ///
    /// A ledger that is away is waited for. What was finished by then is written down before this returns.
    ///
    /// # Errors
    ///
    /// [`RunnerError`] of the first partition that the fold gave up, once all has ended: the log is corrupt.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future is a crash: finishes are lost, which the fold does again; leases run out.
    pub async fn run(&self, shutdown: impl Future<Output = ()> + Send) -> Result<(), RunnerError> {
        let shutdown = shutdown.shared();
        let (folded, (), (), ()) = join4(
            self.run_fold(shutdown.clone()),
            self.run_finishes(shutdown.clone()),
            self.run_renewals(shutdown.clone()),
            self.run_sweeps(shutdown),
        )
        .await;
        folded
    }

    /// Writes down which commands are finished, batch by batch, until `shutdown` completes and all is written.
    pub async fn run_finishes(&self, shutdown: impl Future<Output = ()> + Send) {
        let mut shutdown = pin!(shutdown);
        let mut failures = 0u32;
        loop {
            let finished = self.finish_some().await;
            match finished {
                Ok(true) => failures = 0,
                Ok(false) => {
                    failures = 0;
                    let pause = || self.inner.timer.sleep(self.inner.options.finish_every);
                    let gathered = self.inner.finishes.gathered(pause);
                    if let Either::Left(_) = select(shutdown.as_mut(), pin!(gathered)).await {
                        // What came in meanwhile; a ledger that is away then leaves it to the fold.
                        while matches!(self.finish_some().await, Ok(true)) {}
                        return;
                    }
                }
                Err(error) => {
                    failures = failures.saturating_add(1);
                    tracing::debug!(error = chain(&error), failures, "finishes wait");
                    let pause = self.inner.options.backoff.pause(failures);
                    let wait = self.inner.timer.sleep(pause);
                    if let Either::Left(_) = select(shutdown.as_mut(), pin!(wait)).await {
                        return;
                    }
                }
            }
        }
    }

    /// Finishes one batch; whether there was one.
    ///
    /// # Errors
    ///
    /// [`IntentError`](super::IntentError): the batch waits for the next call.
    pub async fn finish_some(&self) -> Result<bool, super::IntentError> {
        let finishes = &self.inner.finishes;
        let batch = finishes.take(self.inner.options.finish_batch);
        if batch.is_empty() {
            return Ok(false);
        }
        let finished = self.inner.intents.finish(&batch).await;
        if let Err(error) = finished {
            finishes.put_back(batch);
            return Err(error);
        }
        Ok(true)
    }

    /// Renews the leases of all that this instance is at, until `shutdown` completes.
    pub async fn run_renewals(&self, shutdown: impl Future<Output = ()> + Send) {
        let (period, mut shutdown) = (self.inner.options.renew_every, pin!(shutdown));
        while self.waited(period, shutdown.as_mut()).await {
            self.renew().await;
        }
    }

    async fn renew(&self) {
        let held = self.inner.local.held();
        if held.is_empty() {
            return;
        }
        if let Err(error) = self.inner.intents.renew(&held, self.lease()).await {
            tracing::warn!(
                error = chain(&error),
                held = held.len(),
                "leases not renewed"
            );
        }
    }

    /// Settles intents whose lease is over, until `shutdown` completes.
    pub async fn run_sweeps(&self, shutdown: impl Future<Output = ()> + Send) {
        let (period, mut shutdown) = (self.inner.options.sweep_every, pin!(shutdown));
        while self.waited(period, shutdown.as_mut()).await {
            self.sweep().await;
        }
    }

    /// Settles the intents whose lease is over now; how many.
    ///
    /// What cannot be settled is logged and left to the next sweep.
    pub async fn sweep(&self) -> usize {
        if mutant("sweep nothing") {
            return 0;
        }
        // A ledger that is being made whole may yet learn that an intent is contested.
        let expired = match self.footing().await {
            Ok(_) => self.inner.intents.expired(SWEEP).await,
            Err(error) => Err(error),
        };
        let expired = match expired {
            Ok(expired) => expired,
            Err(error) => {
                tracing::debug!(error = chain(&error), "no sweep");
                return 0;
            }
        };
        let mut settled = 0;
        for open in &expired {
            match self.recover(open, None).await {
                Ok(Recovered::Finished | Recovered::Dropped) => settled += 1,
                Ok(Recovered::Held(_)) => {}
                Err(error) => {
                    tracing::warn!(error = chain(&error), command_id = %open.command, "not swept");
                }
            }
        }
        settled
    }

    /// Waits; `false` where the shutdown comes first.
    async fn waited(
        &self,
        period: Duration,
        shutdown: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> bool {
        let wait = self.inner.timer.sleep(period);
        matches!(select(shutdown, pin!(wait)).await, Either::Right(_))
    }

    /// Folds the log into the ledger, partition by partition, until `shutdown` completes.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn run_fold(
        &self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), RunnerError> {
        follow::drive_all(&self.folder(), shutdown.shared(), Until::Shutdown).await
    }

    /// Folds what the log holds now.
    ///
    /// # Errors
    ///
    /// As [`run`](Self::run).
    pub async fn catch_up(
        &self,
        shutdown: impl Future<Output = ()> + Send,
    ) -> Result<(), RunnerError> {
        follow::drive_all(&self.folder(), shutdown.shared(), Until::EndOfLog).await
    }

    /// How far the fold has come.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.inner.progress.clone()
    }

    fn folder(&self) -> Folder<'_, L, I, T> {
        let partitions = self.inner.log.partitions();
        Folder {
            coordinator: self,
            lanes: (0..partitions).map(|_| Mutex::default()).collect(),
        }
    }

    pub(super) fn lease(&self) -> Lease {
        Lease {
            owner: self.inner.instance,
            span: self.inner.options.lease,
        }
    }
}

struct Folder<'a, L, I, T> {
    coordinator: &'a Coordinator<L, I, T>,
    /// Where each checkpoint stands, if that is known; within, whether it has a row.
    lanes: Box<[Mutex<Option<Option<Position>>>]>,
}

impl<L: EventLog, I: IntentStore, T: Timer> Follower for Folder<'_, L, I, T> {
    type Source = L;
    type Timer = T;

    fn name(&self) -> &str {
        "ledger"
    }

    fn source(&self) -> &L {
        &self.coordinator.inner.log
    }

    fn timer(&self) -> &T {
        &self.coordinator.inner.timer
    }

    fn backoff(&self) -> Backoff {
        self.coordinator.inner.options.backoff
    }

    fn progress(&self) -> &Progress {
        &self.coordinator.inner.progress
    }

    fn gathering(&self) -> Duration {
        self.coordinator.inner.options.fold_every
    }

    fn wake(&self, partition: Partition) -> Option<&Notify> {
        let lanes = &self.coordinator.inner.ground.lanes;
        Some(&lanes.get(usize::from(partition.index()))?.wake)
    }

    async fn begin(&self, partition: Partition) -> Result<(), Trouble> {
        if let Some(lane) = self.lanes.get(usize::from(partition.index())) {
            *lane.lock().await = None;
        }
        Ok(())
    }

    async fn step(&self, partition: Partition) -> Result<Step, Trouble> {
        let index = usize::from(partition.index());
        let inner = &self.coordinator.inner;
        let (Some(lane), Some(told)) = (self.lanes.get(index), inner.ground.lanes.get(index))
        else {
            return Err(follow::no_such_partition(&inner.log, partition));
        };
        let mut known = lane.lock().await;
        if told.reload.swap(false, Ordering::AcqRel) {
            *known = None;
        }
        let from = match known.take() {
            Some(from) => from,
            None => {
                let loaded = self.coordinator.checkpoint(partition).await;
                loaded.map_err(|error| Trouble::Away(error.into()))?
            }
        };
        match self.coordinator.fold_slice(partition, from).await {
            Ok(Some((to, events))) => {
                *known = Some(Some(to));
                inner.progress.stand(partition, to, 0);
                if from == Some(to) {
                    return Ok(Step::AtEnd(to));
                }
                inner.progress.done(events, 0);
                Ok(Step::to(&inner.log, partition, to))
            }
            Ok(None) => {
                inner.progress.retried();
                Ok(Step::Went)
            }
            Err(FoldError::Log(source)) => Err(Trouble::source(partition, source.into())),
            Err(FoldError::Ledger(error)) => Err(Trouble::Away(error.into())),
        }
    }
}
