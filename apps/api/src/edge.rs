//! Where commands enter, however they came: who, which id, and on to the mediator.

use std::sync::Arc;
use std::time::Duration;

use cqrs_core::{
    Clock, DispatchError, Envelope, Mediator, Precondition, ReplayMark, StreamName, TraceContext,
};
use http_kit::{Problem, Response};
use hyper::HeaderMap;
use social_domain::{ActorId, Receipt};
use uuid::Uuid;

use crate::auth::Authentication;
use crate::clock::SystemClock;
use crate::commands::{AnyCommand, Creates, Parsed, Refusal, SocialCommands};
use crate::finishing::Finishing;
use crate::{answers, identity, problems};

/// How long a command may take until its client is told that the outcome is unknown.
const COMMAND_DEADLINE: Duration = Duration::from_secs(25);

/// What runs the commands.
#[derive(Debug)]
pub struct CommandEdge<C> {
    /// The mediator in front of the handlers.
    pub mediator: Arc<Mediator<C>>,
    /// Who is asking.
    pub authentication: Authentication,
    /// The store's own namespace of command ids.
    pub namespace: Uuid,
}

/// A command as somebody asked for it.
pub(crate) struct Asked<'k> {
    pub(crate) actor: ActorId,
    pub(crate) key: Option<&'k str>,
    pub(crate) as_message: bool,
    pub(crate) command: AnyCommand,
    pub(crate) precondition: Option<Precondition>,
    pub(crate) trace: Option<TraceContext>,
}

/// A command with its envelope, ready for the mediator.
pub(crate) struct Addressed {
    envelope: Envelope,
    command: AnyCommand,
}

impl Addressed {
    /// The stream that it is for.
    pub(crate) fn stream(&self) -> Option<StreamName> {
        self.command.stream(&self.envelope).ok()
    }
}

/// How it ended.
pub(crate) struct Ended {
    pub(crate) result: Result<Receipt, DispatchError<Refusal>>,
    /// Whether the answer was given before.
    pub(crate) replayed: bool,
}

impl<C: SocialCommands> CommandEdge<C> {
    /// Answers a command that came by its own path.
    pub(crate) async fn answer(
        &self,
        headers: &HeaderMap,
        actor: ActorId,
        key: Option<&str>,
        command: AnyCommand,
    ) -> Result<Response, Problem> {
        let creates = command.creates();
        let asked = Asked {
            actor,
            key,
            as_message: false,
            command,
            precondition: identity::precondition(headers)?,
            trace: trace(headers),
        };
        let ended = self.in_time(asked).await?;
        Ok(respond(ended, creates))
    }

    /// Answers a command that came as a message; its id is its key.
    pub(crate) async fn answer_message(
        &self,
        headers: &HeaderMap,
        actor: ActorId,
        message: Parsed,
    ) -> Result<Response, Problem> {
        let key = message.id.to_string();
        let asked = Asked {
            actor,
            key: Some(&key),
            as_message: true,
            command: message.command,
            precondition: identity::precondition(headers)?,
            trace: trace(headers),
        };
        Ok(respond(self.in_time(asked).await?, None))
    }

    async fn in_time(&self, asked: Asked<'_>) -> Result<Ended, Problem> {
        let unknown = || Problem::store_unavailable().detail("the command may have happened");
        let running = self.run(self.address(asked));
        match tokio::time::timeout(COMMAND_DEADLINE, running).await {
            Ok(Some(ended)) => Ok(ended),
            Ok(None) | Err(_) => Err(unknown()),
        }
    }

    /// Says who asks, under which id.
    pub(crate) fn address(&self, asked: Asked<'_>) -> Addressed {
        let (id, identity) = identity::identify(
            self.namespace,
            &asked.actor,
            asked.key,
            asked.as_message,
            &asked.command,
            asked.precondition,
        );
        let envelope = Envelope::new(id, asked.actor.into(), SystemClock.now());
        let mut envelope = envelope.with_identity(identity);
        envelope.precondition = asked.precondition;
        envelope.trace = asked.trace;
        Addressed {
            envelope,
            command: asked.command,
        }
    }

    /// Runs a command to its end; `None` where it panicked, the outcome unknown.
    ///
    /// # Cancel safety
    ///
    /// Dropped, the command goes on in a task of its own: a client that goes away does not stop what it began.
    pub(crate) async fn run(&self, addressed: Addressed) -> Option<Ended> {
        let Addressed {
            mut envelope,
            command,
        } = addressed;
        let replayed = ReplayMark::watched();
        envelope.replayed = replayed.clone();
        let mediator = Arc::clone(&self.mediator);
        let dispatched = async move { command.dispatch(&mediator, &envelope).await };
        match Finishing::new(dispatched).await {
            Ok(result) => Some(Ended {
                result,
                replayed: replayed.is_set(),
            }),
            Err(_panic) => {
                tracing::error!("a command panicked");
                None
            }
        }
    }
}

fn respond(ended: Ended, creates: Option<Creates>) -> Response {
    match ended.result {
        Ok(receipt) => {
            let location = creates.map(|creates| creates.location(receipt.id));
            answers::accepted(&receipt, location.as_deref(), ended.replayed)
        }
        Err(error) => {
            let mut response = problems::of_command(error).into_response();
            if ended.replayed {
                answers::mark_replayed(&mut response);
            }
            response
        }
    }
}

fn trace(headers: &HeaderMap) -> Option<TraceContext> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    text("traceparent").and_then(|parent| TraceContext::parse(parent, text("tracestate")))
}
