//! The edge itself: from a request to an answer.

use std::sync::Arc;
use std::time::Instant;

use http_kit::{BodyLimits, Matched, Metrics, Problem, Readiness, Request, Resolved, Response};
use http_kit::{Router, read_body};
use hyper::body::Incoming;
use hyper::header::ALLOW;
use hyper::http::request::Parts;
use hyper::{HeaderMap, StatusCode};
use serde_json::Value;
use social_read_model::SocialQueries;
use tracing::Instrument;

use crate::commands::{SocialCommands, from_message, from_route};
use crate::edge::CommandEdge;
use crate::identity;
use crate::late::Late;
use crate::queries::QueryEdge;
use crate::routes::{self, Route};

/// The HTTP edge of a service.
#[derive(Debug)]
pub struct Api<C, Q> {
    router: Router<Route>,
    commands: Option<Late<CommandEdge<C>>>,
    queries: Option<Late<QueryEdge<Q>>>,
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

impl<C: SocialCommands, Q: SocialQueries + 'static> Api<C, Q> {
    /// An edge that serves commands, queries, both, or only how the process does.
    ///
    /// What is not there yet is answered 503 `store-unavailable`.
    #[must_use]
    pub fn new(
        commands: Option<Late<CommandEdge<C>>>,
        queries: Option<Late<QueryEdge<Q>>>,
        readiness: Readiness,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            router: routes::router(commands.is_some(), queries.is_some()),
            commands,
            queries,
            readiness,
            metrics,
        }
    }

    fn commands(&self) -> Result<&CommandEdge<C>, Problem> {
        let commands = self.commands.as_ref().ok_or_else(Problem::unknown_route)?;
        commands.get().ok_or_else(starting)
    }

    fn queries(&self) -> Result<&QueryEdge<Q>, Problem> {
        let queries = self.queries.as_ref().ok_or_else(Problem::unknown_route)?;
        queries.get().ok_or_else(starting)
    }

    /// Answers one request. Never fails: a failure is an answer.
    pub async fn answer(&self, request: Request) -> Response {
        let began = Instant::now();
        let (parts, body) = request.into_parts();
        let (pattern, response) = match self.router.resolve(&parts.method, parts.uri.path()) {
            Resolved::Found(matched) => {
                let pattern = matched.pattern;
                let trace = http_kit::TraceContext::from_headers(&parts.headers);
                let span = http_kit::request_span(&parts.method, pattern, trace);
                let answer = self.serve(&matched, &parts, body).instrument(span.clone());
                let response = answer.await.unwrap_or_else(Problem::into_response);
                span.record("status", response.status().as_u16());
                (pattern, response)
            }
            Resolved::MalformedParam { route, name } => {
                let problem = self.malformed_param(*route, name, &parts.headers);
                ("none", problem.into_response())
            }
            resolved => ("none", unrouted(resolved)),
        };
        self.metrics
            .observe(pattern, &parts.method, response.status(), began.elapsed());
        response
    }

    /// Who asks is checked before what is asked for, here too.
    fn malformed_param(&self, route: Route, name: String, headers: &HeaderMap) -> Problem {
        let malformed = Problem::malformed_id(name).detail("must be UTF-8, percent-encoded");
        match route {
            Route::Command(_) | Route::Message => match self.commands() {
                Ok(commands) => {
                    let actor = commands.authentication.actor(headers);
                    actor.err().unwrap_or(malformed)
                }
                Err(problem) => problem,
            },
            _ => malformed,
        }
    }

    async fn serve(
        &self,
        matched: &Matched<'_, Route>,
        parts: &Parts,
        body: Incoming,
    ) -> Result<Response, Problem> {
        match *matched.route {
            Route::Livez => Ok(http_kit::livez()),
            Route::Readyz => Ok(self.readiness.readyz()),
            Route::Metrics => Ok(self.metrics.render()),
            Route::Query(route) => {
                let (queries, query) = (self.queries()?, parts.uri.query());
                let answer = queries.answer(route, &matched.params, query, &parts.headers);
                answer.await
            }
            Route::Command(route) => {
                let commands = self.commands()?;
                let actor = commands.authentication.actor(&parts.headers)?;
                no_parameters(parts)?;
                let body = read_json(&parts.headers, body, route.has_body()).await?;
                let command = from_route(route, &matched.params, &body)?;
                let key = identity::idempotency_key(&parts.headers)?;
                commands.answer(&parts.headers, actor, key, command).await
            }
            Route::Message => {
                let commands = self.commands()?;
                let actor = commands.authentication.actor(&parts.headers)?;
                no_parameters(parts)?;
                let body = read_json(&parts.headers, body, true).await?;
                let message = from_message(&body)?;
                if parts.headers.contains_key("idempotency-key") {
                    let reason = "a message's own id is its key; there can be no other";
                    return Err(Problem::invalid_value("Idempotency-Key", reason));
                }
                commands
                    .answer_message(&parts.headers, actor, message)
                    .await
            }
        }
    }
}

/// Reads a body of JSON; where none is needed, none is an object without members.
async fn read_json(headers: &HeaderMap, body: Incoming, needed: bool) -> Result<Value, Problem> {
    let typed = http_kit::require_json(headers)
        .map_err(|problem| problem.detail("the body must be application/json in UTF-8"));
    if needed {
        typed.clone()?;
    }
    let bytes = read_body(body, BodyLimits::default()).await?;
    if bytes.is_empty() && !needed {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    typed?;
    Ok(http_kit::parse_json(&bytes)?)
}

/// The answer where an engine that is needed was never there yet. Nothing happened.
fn starting() -> Problem {
    Problem::store_unavailable().detail("the service is still connecting; nothing happened")
}

fn no_parameters(parts: &Parts) -> Result<(), Problem> {
    http_kit::Query::parse(parts.uri.query(), &[]).map(|_| ())
}

/// The answer to a request that no route takes.
fn unrouted(resolved: Resolved<'_, Route>) -> Response {
    let problem = match resolved {
        Resolved::Options(allow) => {
            let mut response = http_kit::empty(StatusCode::NO_CONTENT);
            response.headers_mut().insert(ALLOW, allow);
            return response;
        }
        Resolved::MethodNotAllowed(allow) => {
            let allow = allow.to_str().unwrap_or_default();
            let detail = format!("allowed here: {allow}");
            Problem::method_not_allowed(allow).detail(detail)
        }
        // The rest have a route, and were answered.
        _ => Problem::unknown_route().detail("paths are case-sensitive and end without a slash"),
    };
    problem.into_response()
}
