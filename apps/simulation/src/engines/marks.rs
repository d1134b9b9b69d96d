//! The relays' books over a wire.

use std::sync::Arc;

use cqrs_core::testing::sim::{Node, NodeId, Wire};
use cqrs_core::{MemoryRelayMarks, Partition, RelayMark, RelayMarks, RelayMarksError};

use super::{LIMIT, at_once};

/// One process's way to the books.
#[derive(Clone)]
pub(crate) struct MarksClient {
    wire: Wire,
    books: Arc<MemoryRelayMarks>,
}

impl MarksClient {
    pub(crate) fn new(node: &Node, at: NodeId, books: &Arc<MemoryRelayMarks>) -> Self {
        Self {
            wire: node.wire(at),
            books: Arc::clone(books),
        }
    }
}

fn lost(source: impl Into<cqrs_core::BoxError>) -> RelayMarksError {
    RelayMarksError {
        source: source.into(),
    }
}

impl RelayMarks for MarksClient {
    async fn latest(
        &self,
        relay: &str,
        partition: Partition,
    ) -> Result<Option<RelayMark>, RelayMarksError> {
        let (books, relay) = (Arc::clone(&self.books), relay.to_owned());
        let run = move || at_once(books.latest(&relay, partition));
        let answer = self.wire.call("latest mark", LIMIT, run).await;
        answer.unwrap_or_else(|error| Err(lost(error)))
    }

    async fn insert(
        &self,
        relay: &str,
        partition: Partition,
        mark: &RelayMark,
    ) -> Result<bool, RelayMarksError> {
        let (books, relay, mark) = (Arc::clone(&self.books), relay.to_owned(), mark.clone());
        let run = move || at_once(books.insert(&relay, partition, &mark));
        let answer = self.wire.call("insert mark", LIMIT, run).await;
        answer.unwrap_or_else(|error| Err(lost(error)))
    }
}
