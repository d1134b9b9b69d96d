//! The domain's handlers, and what every command goes through on its way to them.

use std::fmt;

use cqrs_core::{
    Codec, ConflictRetry, EventLog, Executor, ExecutorOptions, ExecutorStats, Idempotency, Ledger,
    Mediator, SnapshotStore, Tracing,
};
use social_domain::{
    AddComment, Author, CreatePost, DeletePost, EditComment, EditPost, LikeComment, LikePost, Post,
    RegisterAuthor, RemoveComment, UnlikeComment, UnlikePost,
};

use crate::clock::{SystemRandom, TokioTimer};
use crate::commands::SocialCommands;

/// The handlers of every command: an executor for each kind of aggregate, over one log. Cheap to clone.
pub struct App<L> {
    posts: Executor<Post, L>,
    authors: Executor<Author, L>,
}

cqrs_core::handlers! {
    impl[L: EventLog] App<L> {
        posts: [
            CreatePost,
            EditPost,
            DeletePost,
            LikePost,
            UnlikePost,
            AddComment,
            EditComment,
            RemoveComment,
            LikeComment,
            UnlikeComment,
        ],
        authors: [RegisterAuthor],
    }
}

impl<L: EventLog + Clone> App<L> {
    /// Decides over `log`, starting from the snapshots in `snapshots`.
    #[must_use]
    pub fn new<S>(log: L, snapshots: S, options: ExecutorOptions) -> Self
    where
        S: SnapshotStore + Clone + 'static,
    {
        Self {
            posts: Executor::with_snapshots(log.clone(), Codec::new(), options, snapshots.clone()),
            authors: Executor::with_snapshots(log, Codec::new(), options, snapshots),
        }
    }

    /// Takes the snapshots that are due, until `shutdown` completes; drive it beside the server.
    pub async fn run_snapshots(&self, shutdown: impl Future<Output = ()> + Send + Clone) {
        tokio::join!(
            self.posts.run_snapshots(shutdown.clone()),
            self.authors.run_snapshots(shutdown),
        );
    }

    /// What the executors of posts and of authors have done.
    #[must_use]
    pub fn stats(&self) -> [(&'static str, ExecutorStats); 2] {
        [
            ("post", self.posts.stats()),
            ("author", self.authors.stats()),
        ]
    }
}

/// The mediator of a service that writes: spans, answers for repeats from `ledger`, another try after a
/// conflict, then the handlers.
pub fn mediator<L, G>(app: App<L>, ledger: G) -> Mediator<impl SocialCommands>
where
    L: EventLog + 'static,
    G: Ledger + 'static,
{
    Mediator::new(app)
        .with(ConflictRetry::new(TokioTimer, SystemRandom))
        .with(Idempotency::new(ledger))
        .with(Tracing)
}

impl<L> Clone for App<L> {
    fn clone(&self) -> Self {
        Self {
            posts: self.posts.clone(),
            authors: self.authors.clone(),
        }
    }
}

impl<L> fmt::Debug for App<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}
