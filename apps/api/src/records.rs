//! Commands that come by a topic, and what is answered there.
//!
//! | what a command meets | what is done |
//! |---|---|
//! | an end that is for good: done, refused, malformed | answered |
//! | a full queue, a lost race, another attempt still running, a store that is away | tried again, with growing pauses: a topic can wait |
//! | a store whose contents cannot be understood | answered 503: waiting would not help, and would hold up the others |

use cqrs_core::{Backoff, DispatchError, StreamName, Timer, TraceContext};
use http_kit::{Problem, parse_json};
use serde_json::{Value, json};
use social_domain::{ActorId, Receipt};

use crate::clock::TokioTimer;
use crate::commands::{Parsed, SocialCommands, from_record};
use crate::edge::{Asked, CommandEdge, Ended};
use crate::problems;

/// The answer to a command that came by a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The stream that the command was for; `None` where that cannot be told.
    pub stream: Option<StreamName>,
    /// HTTP's answer or problem as a JSON object, with two members more: `id`, the command's own, and `status`.
    /// The id of the post, comment or author that an answer is about stands in `subject`.
    pub value: Value,
}

impl<C: SocialCommands> CommandEdge<C> {
    /// Answers the command in `record`: the envelope of `POST /v1/commands` with the member `actor`.
    ///
    /// Whoever may write the topic is trusted to name the actor.
    ///
    /// # Delivery
    ///
    /// At most one effect for each (actor, id), however often the record comes.
    ///
    /// # Cancel safety
    ///
    /// A command that was begun goes on; the record coming again gets its answer.
    pub async fn reply(&self, record: &[u8], trace: Option<TraceContext>) -> Reply {
        let body = match parse_json(record) {
            Ok(body) => body,
            Err(error) => return refused(None, Value::Null, &error.into()),
        };
        match from_record(&body) {
            Ok((actor, message)) => self.decide(&actor, &message, trace).await,
            // The id is told even where the rest cannot be read, so that whoever asked finds the answer.
            Err(problem) => {
                let id = body.get("id").cloned().unwrap_or_default();
                refused(None, id, &problem)
            }
        }
    }

    async fn decide(
        &self,
        actor: &ActorId,
        message: &Parsed,
        trace: Option<TraceContext>,
    ) -> Reply {
        let (key, id) = (message.id.to_string(), json!(message.id));
        let backoff = Backoff::default();
        let mut failures = 0;
        loop {
            let asked = Asked {
                actor: actor.clone(),
                key: Some(&key),
                as_message: true,
                command: message.command.clone(),
                precondition: None,
                trace: trace.clone(),
            };
            let addressed = self.address(asked);
            let stream = addressed.stream();
            match self.run(addressed).await {
                Some(Ended {
                    result: Ok(receipt),
                    ..
                }) => return accepted(stream, id, &receipt),
                Some(Ended {
                    result: Err(error), ..
                }) if is_final(&error) => {
                    return refused(stream, id, &problems::of_command(error));
                }
                // What did not end well was logged there.
                Some(_) | None => {}
            }
            failures += 1;
            TokioTimer.sleep(backoff.pause(failures)).await;
        }
    }
}

/// Whether asking again would not help.
fn is_final<E>(error: &DispatchError<E>) -> bool {
    !matches!(
        error,
        DispatchError::Conflict { .. }
            | DispatchError::InProgress
            | DispatchError::Overloaded
            | DispatchError::Unavailable { .. }
    )
}

fn accepted(stream: Option<StreamName>, id: Value, receipt: &Receipt) -> Reply {
    let value = json!({
        "id": id,
        "status": 200,
        "subject": receipt.id,
        "version": receipt.version,
        "position": receipt.position,
    });
    Reply { stream, value }
}

fn refused(stream: Option<StreamName>, id: Value, problem: &Problem) -> Reply {
    let mut value = problem.to_json();
    value.insert("id".to_owned(), id);
    Reply {
        stream,
        value: Value::Object(value),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cqrs_core::testing::{Fault, Faults, Faulty};
    use cqrs_core::{ExecutorOptions, MemoryStore, Position, ReadLog};
    use uuid::Uuid;

    use super::*;
    use crate::auth::Authentication;
    use crate::{App, mediator};

    const POST: &str = "0f0e0d0c-0b0a-4908-8706-050403020100";

    fn edge(log: Faulty<MemoryStore>, ledger: MemoryStore) -> CommandEdge<impl SocialCommands> {
        let app = App::new(log, ledger.clone(), ExecutorOptions::default());
        CommandEdge {
            mediator: Arc::new(mediator(app, ledger)),
            authentication: Authentication::Off,
            namespace: Uuid::nil(),
        }
    }

    fn record(actor: &str, id: u128, kind: &str, data: &Value) -> Vec<u8> {
        let id = Uuid::from_u128(id);
        let record = json!({"actor": actor, "type": kind, "id": id, "data": data});
        record.to_string().into_bytes()
    }

    async fn commits(store: &MemoryStore) -> usize {
        let partition = cqrs_core::Partition::new(0);
        let all = store.read_partition(partition, Position::START, 1_000);
        all.await.unwrap().len()
    }

    #[tokio::test(start_paused = true)]
    async fn a_record_takes_effect_once_whatever_the_log_does() {
        let store = MemoryStore::new(1);
        // Not written, written without an answer, not written.
        let faults = Faults::script([Fault::Before, Fault::Unknown, Fault::Before]);
        let edge = edge(Faulty::new(store.clone(), faults), store.clone());
        let create = record(
            "ada",
            1,
            "CreatePost",
            &json!({"id": POST, "message": "hi"}),
        );
        let first = edge.reply(&create, None).await;
        assert_eq!(first.value["status"], 200);
        assert_eq!(first.value["subject"], POST);
        assert_eq!(first.value["id"], json!(Uuid::from_u128(1)));
        assert_eq!(first.stream.as_ref().unwrap().id(), POST);
        assert_eq!(edge.reply(&create, None).await, first);
        assert_eq!(commits(&store).await, 1);
    }

    #[tokio::test]
    async fn what_is_refused_is_answered_as_a_problem() {
        let store = MemoryStore::new(1);
        let edge = edge(
            Faulty::new(store.clone(), Faults::script([])),
            store.clone(),
        );
        let like = json!({"post_id": POST});
        for (record, status, slug) in [
            (b"{".to_vec(), 400, "malformed-json"),
            (record("Ada", 1, "LikePost", &like), 400, "invalid-value"),
            (record("ada", 1, "Like", &like), 400, "invalid-value"),
            (
                record("ada", 1, "LikePost", &json!({})),
                400,
                "invalid-value",
            ),
            (record("ada", 1, "LikePost", &like), 404, "post-not-found"),
            (record("ada", 1, "DeletePost", &like), 422, "key-reused"),
        ] {
            let reply = edge.reply(&record, None).await;
            assert_eq!(reply.value["status"], status, "{reply:?}");
            assert_eq!(reply.value["type"], format!("/problems/{slug}"));
        }
        assert_eq!(commits(&store).await, 0);
    }
}
