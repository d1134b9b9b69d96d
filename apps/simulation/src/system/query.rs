//! The query API: an answer that has what a token names, or none by the deadline.

use std::time::Duration;

use cqrs_core::testing::sim::Node;
use cqrs_core::{LogPosition, StreamName, Timer};

use crate::engines::LIMIT;
use crate::engines::models::Looked;
use crate::world::Engines;

const DEADLINE: Duration = Duration::from_secs(1);

/// Reads the row of `stream` once everything up to `token` is in it; `None` where it is behind, or nothing answers.
pub(crate) async fn ask(
    node: &Node,
    engines: &Engines,
    stream: &StreamName,
    token: LogPosition,
) -> Option<Looked> {
    let wire = node.wire(engines.postgres);
    let began = node.sim().elapsed();
    while node.sim().elapsed() - began < DEADLINE {
        let (models, stream) = (engines.models.clone(), stream.clone());
        let run = move || models.look(&stream);
        if let Ok(looked) = wire.call("query", LIMIT, run).await
            && (looked.reaches(token) || cqrs_core::mutant("answer before the token is reached"))
        {
            return Some(looked);
        }
        node.sleep(Duration::from_millis(40)).await;
    }
    None
}
