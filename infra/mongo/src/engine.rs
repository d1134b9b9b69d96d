//! What committer and readers ask of a partition's collection: one kind of insert, and reads; and of time.

use std::sync::Arc;
use std::time::Duration;

use bson::RawDocumentBuf;
use cqrs_core::{CommandId, Position, StreamName, Version};

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

/// Time that only ever goes on, told from some moment.
pub(crate) trait Time {
    fn now(&self) -> Duration;

    fn sleep(&self, span: Duration) -> impl Future<Output = ()> + Send;
}

/// Which documents to read, and in which order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Slice {
    /// By position, all after this one.
    After(Position),
    /// By version, all of a stream that begin after this version.
    OfStream(StreamName, Version),
    /// By version, last first, all of a stream that begin at or before this version.
    UpTo(StreamName, Version),
}

/// Documents that were read.
#[derive(Debug, Default)]
pub(crate) struct Documents {
    pub(crate) found: Vec<RawDocumentBuf>,
    /// Whether at least one more is there that was left out.
    pub(crate) more: bool,
}

/// One partition of the log. Reads are majority reads where nothing else is said. Clones are the same collection.
pub(crate) trait Engine: Time + Clone + Send + Sync + 'static {
    /// Inserts in order, up to the first that meets a duplicate key; durable on a majority.
    fn insert(&self, docs: Vec<Arc<RawDocumentBuf>>) -> impl Future<Output = Inserted> + Send;

    /// The last position; at least `known`, past which alone it is looked for.
    fn head(&self, known: Position) -> impl Future<Output = Result<Position, StoreFailure>> + Send;

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

    /// Whole documents: at least one where there is one; stops before there are more events than `max_events` otherwise.
    fn documents(
        &self,
        slice: Slice,
        max_events: usize,
    ) -> impl Future<Output = Result<Documents, StoreFailure>> + Send;

    /// The document that `command` appended.
    fn document_of(
        &self,
        command: CommandId,
    ) -> impl Future<Output = Result<Option<RawDocumentBuf>, StoreFailure>> + Send;
}
