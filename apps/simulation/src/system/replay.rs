//! The replayer: builds versions from the log, and moves the pointer to them.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use cqrs_core::testing::sim::Node;
use cqrs_core::{Partition, ProjectionRunner, RunnerOptions, TailLog, Timer, UpTo, mutant};
use cqrs_mongo::testing::{SimulatedLog, SimulatedOptions};

use super::relay::backoff;
use crate::engines::LIMIT;
use crate::engines::models::{Job, ModelClient};
use crate::world::{Engines, PARTITIONS};

/// How often it looks what there is to do, and tries again.
const LOOK: Duration = Duration::from_millis(400);

pub(crate) fn boot(node: Node, engines: Engines) {
    let options = SimulatedOptions::default();
    let log = Arc::new(SimulatedLog::open(
        &node,
        engines.mongo,
        &engines.server,
        options,
    ));
    let wire = node.wire(engines.postgres);
    node.clone().spawn(async move {
        loop {
            let models = engines.models.clone();
            let job = wire.call("job", LIMIT, move || models.job()).await;
            match job.ok().flatten() {
                Some(Job::Rebuild(version)) => {
                    let built = build(&node, &engines, &log, version).await.is_some();
                    if built {
                        promote(&node, &engines, &log, version).await;
                    }
                }
                Some(Job::Promote(version)) => promote(&node, &engines, &log, version).await,
                None => {}
            }
            node.sleep(LOOK).await;
        }
    });
}

/// Copies history, then tells projectors to feed the version; `None` where something did not answer.
async fn build(
    node: &Node,
    engines: &Engines,
    log: &Arc<SimulatedLog>,
    version: u32,
) -> Option<()> {
    apply_up_to_heads(node, engines, log, version).await?;
    let models = engines.models.clone();
    let wire = node.wire(engines.postgres);
    let ready = move || models.make_ready(version);
    wire.call("make ready", LIMIT, ready).await.ok()?;
    node.note(|| format!("model {version} is ready"));
    Some(())
}

/// Brings `version` to where the log ends, then tries to move the pointer.
async fn promote(node: &Node, engines: &Engines, log: &Arc<SimulatedLog>, version: u32) {
    let hasty = mutant("promote before the live one is reached");
    if !hasty
        && apply_up_to_heads(node, engines, log, version)
            .await
            .is_none()
    {
        return;
    }
    let models = engines.models.clone();
    let promote = move || models.promote(version, PARTITIONS);
    let wire = node.wire(engines.postgres);
    let promoted = wire.call("promote", LIMIT, promote).await;
    node.note(|| format!("promotes model {version}: {promoted:?}"));
}

async fn apply_up_to_heads(
    node: &Node,
    engines: &Engines,
    log: &Arc<SimulatedLog>,
    version: u32,
) -> Option<()> {
    let mut until = Vec::new();
    for partition in Partition::all(PARTITIONS) {
        until.push(log.head(partition).await.ok()?);
    }
    let model = engines.models.model(version)?;
    let projection = ModelClient::new(node, engines.postgres, model);
    let source = UpTo::new(log, &until);
    let options = RunnerOptions {
        max_events: 4,
        attempts: 2,
        backoff: backoff(),
        read_ahead: true,
        ..RunnerOptions::default()
    };
    let runner = ProjectionRunner::new(source, projection, node.clone(), options);
    runner.catch_up(pending()).await.ok()
}
