//! The command API: mediator, behaviours, executors, coordinator, committers.

use std::future::pending;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cqrs_core::testing::sim::{Node, NodeId};
use cqrs_core::{
    Backoff, Clock, Codec, CommandId, ConflictRetry, Coordinator, CoordinatorOptions, Envelope,
    EventLog, Executor, ExecutorOptions, Idempotency, Identity, Mediator, Random, Tracing,
};
use cqrs_mongo::testing::{SimulatedLog, SimulatedOptions};
use futures_util::future::BoxFuture;
use social_domain::{
    AddComment, Author, CommentText, CreatePost, DeletePost, DisplayName, EditPost, Handle,
    LikePost, Post, PostMessage, RegisterAuthor, UnlikePost,
};
use uuid::Uuid;

use super::ask::{Act, Ask, Told, post_id};
use crate::engines::ledger::LedgerClient;
use crate::world::Engines;

/// What a process that takes commands can be asked, while it lives.
#[derive(Clone, Default)]
pub(crate) struct Api(Arc<Mutex<Option<Serving>>>);

#[derive(Clone)]
struct Serving {
    node: Node,
    decide: Arc<dyn Fn(Ask) -> BoxFuture<'static, Told> + Send + Sync>,
}

struct App<L> {
    posts: Executor<Post, L>,
    authors: Executor<Author, L>,
}

cqrs_core::handlers! {
    impl[L: EventLog] App<L> {
        posts: [CreatePost, EditPost, DeletePost, LikePost, UnlikePost, AddComment],
        authors: [RegisterAuthor],
    }
}

fn options() -> CoordinatorOptions {
    CoordinatorOptions {
        lease: Duration::from_secs(2),
        renew_every: Duration::from_millis(600),
        sweep_every: Duration::from_millis(700),
        patience: Duration::from_millis(2_500),
        poll: Backoff {
            first: Duration::from_millis(5),
            longest: Duration::from_millis(200),
        },
        finish_queue: 16,
        finish_batch: 4,
        fold_events: 8,
        fold_at_once: 2,
        ..CoordinatorOptions::default()
    }
}

impl Api {
    /// Begins to serve, in a new life of its process.
    pub(crate) fn boot(&self, node: Node, engines: &Engines) {
        let log = SimulatedLog::open(
            &node,
            engines.mongo,
            &engines.server,
            SimulatedOptions::default(),
        );
        let ledger = LedgerClient::new(&node, engines.mssql, &engines.ledger);
        let instance = Uuid::from_u64_pair(node.next_u64(), node.next_u64());
        let coordinator = Coordinator::new(log, ledger, node.clone(), instance, options());
        let running = coordinator.clone();
        node.spawn(async move {
            // It ends only where the log is corrupt, which the checks find.
            let _ended = running.run(pending()).await;
        });
        // So small that streams are evicted.
        let cache = ExecutorOptions {
            cache_bytes: 1_200,
            shards: 1,
            stream_queue: 8,
            ..ExecutorOptions::default()
        };
        let app = App {
            posts: Executor::new(coordinator.clone(), Codec::new(), cache),
            authors: Executor::new(coordinator.clone(), Codec::new(), cache),
        };
        let mediator = Mediator::new(app)
            .with(ConflictRetry::new(node.clone(), node.clone()))
            .with(Idempotency::new(coordinator))
            .with(Tracing);
        let (mediator, edge) = (Arc::new(mediator), node.clone());
        let decide = move |ask: Ask| -> BoxFuture<'static, Told> {
            let (mediator, edge) = (Arc::clone(&mediator), edge.clone());
            Box::pin(async move { send(&*mediator, &edge, ask).await })
        };
        *self.serving() = Some(Serving {
            node,
            decide: Arc::new(decide),
        });
    }

    /// Decides `ask` in the process's present life, and tells `answer`; neither where it is down.
    pub(crate) fn decide(&self, ask: Ask, answer: impl FnOnce(Told) + Send + 'static) {
        let Some(serving) = self.serving().clone() else {
            return;
        };
        let deciding = (serving.decide)(ask);
        serving.node.spawn(async move { answer(deciding.await) });
    }

    fn serving(&self) -> std::sync::MutexGuard<'_, Option<Serving>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of all that the process had.
    pub(crate) fn close(&self) {
        let serving = self.serving().take();
        drop(serving);
    }
}

/// What the HTTP edge does: makes the envelope, sends the command.
async fn send<L>(mediator: &Mediator<L>, edge: &Node, ask: Ask) -> Told
where
    L: cqrs_core::Handler<CreatePost>
        + cqrs_core::Handler<EditPost>
        + cqrs_core::Handler<DeletePost>
        + cqrs_core::Handler<LikePost>
        + cqrs_core::Handler<UnlikePost>
        + cqrs_core::Handler<AddComment>
        + cqrs_core::Handler<RegisterAuthor>,
{
    let id = match ask.keyed {
        true => CommandId::keyed(Uuid::nil(), &ask.actor, &ask.number.to_string()),
        false => CommandId::fresh(edge, edge),
    };
    let mut envelope = Envelope::new(id, ask.actor.clone(), edge.now());
    if ask.keyed {
        envelope = envelope.with_identity(Identity::Keyed(ask.request()));
    }
    if let Some(precondition) = ask.precondition() {
        envelope = envelope.with_precondition(precondition);
    }
    let unreadable = |what: &str| Told::Broken(format!("{what} cannot be read"));
    match ask.act {
        Act::Create(post) => {
            let Ok(message) = PostMessage::parse("hello") else {
                return unreadable("a message");
            };
            let post_id = Some(post_id(post));
            let create = CreatePost { post_id, message };
            Told::of(mediator.send(create, &envelope).await, id)
        }
        Act::Edit(post, text) => {
            let Ok(message) = PostMessage::parse(&text) else {
                return unreadable("a message");
            };
            let edit = EditPost {
                post_id: post_id(post),
                message,
            };
            Told::of(mediator.send(edit, &envelope).await, id)
        }
        Act::Delete(post) => {
            let post_id = post_id(post);
            Told::of(mediator.send(DeletePost { post_id }, &envelope).await, id)
        }
        Act::Like(post) => {
            let post_id = post_id(post);
            Told::of(mediator.send(LikePost { post_id }, &envelope).await, id)
        }
        Act::Unlike(post) => {
            let post_id = post_id(post);
            Told::of(mediator.send(UnlikePost { post_id }, &envelope).await, id)
        }
        Act::Comment(post, text) => {
            let Ok(message) = CommentText::parse(&text) else {
                return unreadable("a comment");
            };
            let comment = AddComment {
                post_id: post_id(post),
                comment_id: None,
                message,
            };
            Told::of(mediator.send(comment, &envelope).await, id)
        }
        Act::Register(handle, name) => {
            let (Ok(handle), Ok(display_name)) =
                (Handle::parse(&handle), DisplayName::parse(&name))
            else {
                return unreadable("a profile");
            };
            let register = RegisterAuthor {
                handle,
                display_name,
            };
            Told::of(mediator.send(register, &envelope).await, id)
        }
    }
}

/// A process that takes commands, and the way to it.
#[derive(Clone)]
pub(crate) struct ApiAt {
    pub(crate) at: NodeId,
    pub(crate) api: Api,
}
