//! The relay: log → bus.

use std::future::pending;
use std::time::Duration;

use cqrs_core::testing::sim::Node;
use cqrs_core::{Backoff, Relay, RelayOptions};
use cqrs_mongo::testing::{SimulatedLog, SimulatedOptions};

use crate::engines::bus::BusPublisher;
use crate::engines::marks::MarksClient;
use crate::world::{Engines, PARTITIONS};

/// What the relays call themselves, together.
pub(crate) const NAME: &str = "events";

pub(crate) fn boot(node: Node, engines: &Engines) {
    let options = SimulatedOptions::default();
    let log = SimulatedLog::open(&node, engines.mongo, &engines.server, options);
    let marks = MarksClient::new(&node, engines.mongo, &engines.marks);
    let bus = BusPublisher::new(&node, engines.kafka, &engines.bus, PARTITIONS);
    let options = RelayOptions {
        max_events: 6,
        lease: Duration::from_secs(2),
        mark_every: Duration::from_millis(100),
        backoff: backoff(),
    };
    let relay = Relay::new(NAME, node.name(), log, marks, bus, node.clone(), options);
    node.spawn(async move {
        // It ends only where the log is corrupt, which the checks find.
        let _ended = relay.run(pending()).await;
    });
}

pub(crate) fn backoff() -> Backoff {
    Backoff {
        first: Duration::from_millis(10),
        longest: Duration::from_secs(1),
    }
}
