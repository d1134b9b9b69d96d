//! The projector: bus → read model, the log behind holes.

use std::collections::BTreeMap;
use std::time::Duration;

use cqrs_core::testing::sim::Node;
use cqrs_core::{BusSource, ProjectionRunner, RunnerOptions, Timer};
use cqrs_mongo::testing::{SimulatedLog, SimulatedOptions};
use futures_util::FutureExt;
use tokio::sync::oneshot;

use super::relay::backoff;
use crate::engines::LIMIT;
use crate::engines::group::BusConsumer;
use crate::engines::models::ModelClient;
use crate::world::{Engines, PARTITIONS};

/// How often it looks which versions there are.
const LOOK: Duration = Duration::from_millis(700);

pub(crate) fn boot(node: Node, engines: Engines) {
    let options = SimulatedOptions::default();
    let log = SimulatedLog::open(&node, engines.mongo, &engines.server, options);
    let wire = node.wire(engines.postgres);
    node.clone().spawn(async move {
        let mut fed = BTreeMap::new();
        loop {
            let models = engines.models.clone();
            if let Ok(found) = wire.call("fed", LIMIT, move || models.fed()).await {
                // Dropped, what is fed no longer ends.
                fed.retain(|version, _| found.contains(version));
                for version in found {
                    let feeding = || feed(&node, &engines, &log, version);
                    fed.entry(version).or_insert_with(feeding);
                }
            }
            node.sleep(LOOK).await;
        }
    });
}

/// Feeds one version, with a consumer group of its own, until what it gives back is dropped.
fn feed(node: &Node, engines: &Engines, log: &SimulatedLog, version: u32) -> oneshot::Sender<()> {
    let (stop, stopped) = oneshot::channel();
    let group = format!("projector-{version}");
    let consumer = BusConsumer::join(node, engines.kafka, &engines.bus, &group);
    let source = BusSource::new(consumer.clone(), PARTITIONS, node.clone())
        .with_log(log.clone())
        .with_patience(Duration::from_secs(1));
    let projection = ModelClient::new(node, engines.postgres, &engines.models, version);
    let options = RunnerOptions {
        max_events: 5,
        attempts: 2,
        backoff: backoff(),
        look_again: Duration::from_secs(1),
        ..RunnerOptions::default()
    };
    let runner = ProjectionRunner::new(source, projection, node.clone(), options);
    node.spawn(async move {
        // Before that it ends only where the log is corrupt, which the checks find.
        let _ended = runner.run_assigned(&consumer, stopped.map(drop)).await;
    });
    stop
}
