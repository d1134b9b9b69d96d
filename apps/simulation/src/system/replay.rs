//! The replayer: does what operators want of the versions, by production's order of steps.

use std::future::pending;
use std::time::Duration;

use cqrs_core::testing::sim::Node;
use cqrs_core::{MemoryVersion, Promotion, Replay, ReplayError, ReplayOptions, Timer, Verified};
use cqrs_mongo::testing::{SimulatedLog, SimulatedOptions};
use futures_util::future::{BoxFuture, FutureExt, Shared};

use super::relay::backoff;
use crate::engines::LIMIT;
use crate::engines::models::{Job, VersionsClient, Want};
use crate::world::Engines;

/// How often it looks what there is to do, and tries again.
const LOOK: Duration = Duration::from_millis(400);

type Replaying = Replay<VersionsClient, SimulatedLog, Node>;
type Ended<R> = Result<R, ReplayError<cqrs_core::testing::sim::Unanswered>>;
type Shutdown = Shared<BoxFuture<'static, ()>>;

/// Boots one that does what was wanted first, or `last`: two of them get in each other's way.
pub(crate) fn boot(node: Node, engines: Engines, last: bool) {
    let options = SimulatedOptions::default();
    let log = SimulatedLog::open(&node, engines.mongo, &engines.server, options);
    let wire = node.wire(engines.postgres);
    node.clone().spawn(async move {
        loop {
            let models = engines.models.clone();
            let job = wire.call("job", LIMIT, move || models.job(last)).await;
            if let Some(job) = job.ok().flatten() {
                let operator = Operator::new(&node, &engines, &log);
                if operator.does(job).await {
                    engines.models.done(job);
                }
            }
            node.sleep(LOOK).await;
        }
    });
}

/// Whoever started the replay, and waits for its end.
struct Operator {
    node: Node,
    engines: Engines,
    replay: Replaying,
    force: bool,
    shutdown: Shutdown,
}

impl Operator {
    fn new(node: &Node, engines: &Engines, log: &SimulatedLog) -> Self {
        let sim = node.sim();
        let force = sim.chance(15);
        let versions = VersionsClient::new(node, engines.postgres, &engines.models, force);
        let options = ReplayOptions {
            copied: 6,
            applied: 4,
            attempts: 2,
            backoff: backoff(),
            look: Duration::from_millis(100),
            gate: Duration::from_millis(300),
        };
        // Now and then they lose patience.
        let (waiting, hurried) = (node.clone(), sim.chance(20));
        let patience = Duration::from_millis(sim.below(2_000));
        let shutdown: BoxFuture<'static, ()> = if hurried {
            async move { waiting.sleep(patience).await }.boxed()
        } else {
            pending().boxed()
        };
        Self {
            node: node.clone(),
            engines: engines.clone(),
            replay: Replay::new(versions, log.clone(), node.clone()).with_options(options),
            force,
            shutdown: shutdown.shared(),
        }
    }

    /// Whether `job` is done; if not, it is to be tried again.
    async fn does(&self, job: Job) -> bool {
        let done = match job.want {
            Want::Rebuild => self.rebuild().await.map(drop),
            Want::RollBack => self.roll_back().await.map(drop),
            Want::Cancel => self.replay.cancel().await.map(drop),
            Want::Retire => self.retire().await,
        };
        self.node
            .note(|| format!("{:?} comes to {done:?}", job.want));
        // Somebody else wanted it gone.
        matches!(done, Ok(()) | Err(ReplayError::Cancelled { .. }))
    }

    async fn rebuild(&self) -> Ended<()> {
        let lock = self.replay.lock().await?;
        let rebuilt = self.replay.rebuild(&lock, self.shutdown.clone()).await?;
        let number = rebuilt.number;
        self.node.note(|| format!("model {number} is rebuilt"));
        if self.node.sim().chance(50) {
            let verifying = self.replay.verify(&lock, number, self.shutdown.clone());
            self.look_at(&verifying.await?);
        }
        self.promote(&lock, number).await
    }

    async fn roll_back(&self) -> Ended<()> {
        let lock = self.replay.lock().await?;
        match self.replay.previous().await? {
            Some(previous) => self.promote(&lock, previous.number).await,
            None => Ok(()),
        }
    }

    async fn retire(&self) -> Ended<()> {
        match self.replay.previous().await? {
            Some(previous) => self.replay.retire(previous.number).await,
            None => Ok(()),
        }
    }

    async fn promote(
        &self,
        lock: &<VersionsClient as cqrs_core::ChangeVersions>::Lock,
        number: u32,
    ) -> Ended<()> {
        let how = Promotion {
            force: self.force,
            hold: Duration::from_millis(200),
            attempts: 3,
        };
        let promoting = self
            .replay
            .promote(lock, number, &how, self.shutdown.clone());
        let live = promoting.await?.number;
        self.node.note(|| format!("model {live} is live"));
        Ok(())
    }

    /// Models that are made of the same log by the same code are the same.
    fn look_at(&self, verified: &Verified<MemoryVersion>) {
        // What was parked before the code was mended is parked in one of them only, for a while.
        if verified.differing > 0 && !self.engines.models.is_mended() {
            self.engines.models.breaks("P10", format!("{verified:?}"));
        }
    }
}
