//! What the log's store tells about itself, read when it is asked.

use std::fmt;

use cqrs_mongo::MongoStore;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

/// Reads the queues of the committers.
#[derive(Debug)]
pub(crate) struct StoreStats(pub(crate) MongoStore);

impl Collector for StoreStats {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let queued = self.0.queued() as u64;
        let help = "Calls that wait for the committers";
        social_service::gauge(&mut encoder, "append_queue", help, queued)
    }
}
