//! Commands by message: the same edge behind a topic.

use std::time::Duration;

use bytes::Bytes;
use cqrs_core::{Backoff, BoxError, Timer, TraceContext};
use cqrs_kafka::{HandleRequest, Reply, Request, RequestOptions, RequestServer, TopicError};
use social_api::{CommandEdge, SocialCommands, TokioTimer};
use social_service::Stopping;

use crate::config::MessagesConfig;

/// How long what is running may take once the service is to end. What is not answered by then is another's to answer,
/// or this one's after its next start.
const GRACE: Duration = Duration::from_secs(10);

/// Answers commands from the one topic on the other until `stopping`; goes on whatever the brokers do.
pub(crate) async fn run<C: SocialCommands>(
    config: MessagesConfig,
    partitions: u16,
    edge: CommandEdge<C>,
    stopping: Stopping,
) {
    let answering = Answering { edge };
    let backoff = Backoff::default();
    let mut failures = 0;
    loop {
        let served = tokio::select! {
            served = serve(&config, partitions, &answering, stopping.clone()) => served,
            () = overdue(stopping.clone()) => {
                tracing::warn!(topic = config.commands, "not all that was begun is answered: it comes again");
                return;
            }
        };
        let Err(error) = served else { return };
        failures += 1;
        let pause = backoff.pause(failures);
        tracing::warn!(
            topic = config.commands,
            error = &*error,
            ?pause,
            "no commands by message"
        );
        tokio::select! {
            () = TokioTimer.sleep(pause) => {}
            () = stopping.clone() => return,
        }
    }
}

async fn overdue(stopping: Stopping) {
    stopping.await;
    TokioTimer.sleep(GRACE).await;
}

async fn serve<C: SocialCommands>(
    config: &MessagesConfig,
    partitions: u16,
    answering: &Answering<C>,
    stopping: Stopping,
) -> Result<(), BoxError> {
    for topic in [&config.commands, &config.replies] {
        tokio::select! {
            made = make_topic(config, topic, partitions) => made?,
            () = stopping.clone() => return Ok(()),
        }
    }
    let options = RequestOptions {
        requests: config.commands.clone(),
        replies: config.replies.clone(),
        group: format!("command-api.{}", config.commands),
        concurrency: config.concurrency.get(),
    };
    let server = RequestServer::new(&config.kafka, options)?;
    server.serve(answering, stopping).await?;
    Ok(())
}

/// Makes a topic where there is none. One that is there is fit, however many partitions it has and however long it
/// keeps them: what took effect is in the log.
async fn make_topic(
    config: &MessagesConfig,
    topic: &str,
    partitions: u16,
) -> Result<(), TopicError> {
    match cqrs_kafka::ensure_topic(&config.kafka, topic, partitions).await {
        Ok(()) | Err(TopicError::Partitions { .. } | TopicError::Setting { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

struct Answering<C> {
    edge: CommandEdge<C>,
}

impl<C: SocialCommands> HandleRequest for Answering<C> {
    async fn handle(&self, request: Request) -> Reply {
        let trace = trace(&request.headers);
        let reply = self.edge.reply(&request.payload, trace).await;
        let key = match &reply.stream {
            Some(stream) => Bytes::copy_from_slice(stream.as_str().as_bytes()),
            None => request.key.unwrap_or_default(),
        };
        let json = Bytes::from_static(b"application/json");
        Reply {
            key,
            payload: reply.value.to_string().into(),
            headers: vec![("content-type".to_owned(), json)],
        }
    }
}

fn trace(headers: &[(String, Bytes)]) -> Option<TraceContext> {
    let text = |name: &str| {
        let (_, value) = headers.iter().find(|(known, _)| known == name)?;
        std::str::from_utf8(value).ok()
    };
    TraceContext::parse(text("traceparent")?, text("tracestate"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trace_of_a_message_is_taken_up() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let header = |name: &str, value: &str| (name.to_owned(), Bytes::from(value.to_owned()));
        let headers = [header("tracestate", "a=b"), header("traceparent", parent)];
        assert_eq!(trace(&headers), TraceContext::parse(parent, Some("a=b")));
        assert!(trace(&headers).is_some());
        assert_eq!(trace(&headers[..1]), None);
    }
}
