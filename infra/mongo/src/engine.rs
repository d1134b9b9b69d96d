//! What the committer asks of a partition's collection: one kind of insert, and point reads.

use std::sync::Arc;

use cqrs_core::{CommandId, Position, StreamName};
use mongodb::bson::RawDocumentBuf;

use crate::error::StoreFailure;
use crate::record::Stub;

/// What an ordered insert came to.
#[derive(Debug)]
pub(crate) enum Inserted {
    /// All of it is durable.
    All,
    /// All before this index is durable; this one met a key that is there for good; nothing after it was written.
    Lost(usize),
    /// Anything may have happened, or may happen yet.
    Unknown(StoreFailure),
}

/// One partition of the log. Reads are majority reads where nothing else is said. Clones are the same collection.
pub(crate) trait Engine: Clone + Send + Sync + 'static {
    /// Inserts in order, up to the first that meets a duplicate key; durable on a majority.
    fn insert(&self, docs: Vec<Arc<RawDocumentBuf>>) -> impl Future<Output = Inserted> + Send;

    /// The last position.
    fn head(&self) -> impl Future<Output = Result<Position, StoreFailure>> + Send;

    /// The commits after a position, in order, without a hole, at most so many.
    fn after(
        &self,
        position: Position,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Stub>, StoreFailure>> + Send;

    /// The last commit of a stream.
    fn last_of(
        &self,
        stream: StreamName,
    ) -> impl Future<Output = Result<Option<Stub>, StoreFailure>> + Send;

    /// Those commits that these commands appended.
    fn by_commands(
        &self,
        commands: Vec<CommandId>,
    ) -> impl Future<Output = Result<Vec<Stub>, StoreFailure>> + Send;

    /// Whether a commit of `stream` begins at version `first`: a linearizable read, where the server has such.
    fn is_taken(
        &self,
        stream: StreamName,
        first: u64,
    ) -> impl Future<Output = Result<bool, StoreFailure>> + Send;
}
