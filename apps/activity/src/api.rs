//! The API: one list, and how the process does.

use std::sync::Arc;
use std::time::Instant;

use http_kit::{Metrics, Params, Problem, Query, Readiness, Request, Resolved, Response, Router};
use hyper::header::ALLOW;
use hyper::{Method, StatusCode};
use social_domain::ActorId;

use crate::query::{Cursor, Queries};

const DEFAULT_LIMIT: u32 = 20;
const MAX_LIMIT: u32 = 100;

#[derive(Debug, Clone, Copy)]
enum Route {
    List,
    Livez,
    Readyz,
    Metrics,
}

/// What answers requests.
#[derive(Debug)]
pub(crate) struct Api {
    router: Router<Route>,
    queries: Queries,
    readiness: Readiness,
    metrics: Arc<Metrics>,
}

impl Api {
    pub(crate) fn new(queries: Queries, readiness: Readiness, metrics: Arc<Metrics>) -> Self {
        Self {
            router: Router::new()
                .route(Method::GET, "/v1/activity/{actor}", Route::List)
                .route(Method::GET, "/livez", Route::Livez)
                .route(Method::GET, "/readyz", Route::Readyz)
                .route(Method::GET, "/metrics", Route::Metrics),
            queries,
            readiness,
            metrics,
        }
    }

    /// Answers one request. Never fails: a failure is an answer.
    pub(crate) async fn answer(&self, request: Request) -> Response {
        let began = Instant::now();
        let (method, uri) = (request.method(), request.uri());
        let (pattern, answer) = match self.router.resolve(method, uri.path()) {
            Resolved::Found(matched) => {
                let answer = match matched.route {
                    Route::List => self.list(&matched.params, uri.query()).await,
                    Route::Livez => Ok(http_kit::livez()),
                    Route::Readyz => Ok(self.readiness.readyz()),
                    Route::Metrics => Ok(self.metrics.render()),
                };
                (matched.pattern, answer)
            }
            resolved => ("none", unrouted(resolved)),
        };
        let response = answer.unwrap_or_else(Problem::into_response);
        let status = response.status();
        self.metrics
            .observe(pattern, method, status, began.elapsed());
        response
    }

    async fn list(&self, params: &Params<'_>, query: Option<&str>) -> Result<Response, Problem> {
        let actor = ActorId::parse(params.get("actor"))
            .map_err(|error| Problem::malformed_id("actor").detail(error.to_string()))?;
        let query = Query::parse(query, &["limit", "cursor"])?;
        let limit = query.number("limit", 1..=u64::from(MAX_LIMIT))?;
        let limit = limit.and_then(|limit| u32::try_from(limit).ok());
        let cursor = match query.get("cursor") {
            None => Cursor::START,
            Some(text) => Cursor::parse(text).ok_or_else(|| {
                Problem::invalid_parameter("cursor", "no page of this list said that")
            })?,
        };
        let limit = limit.unwrap_or(DEFAULT_LIMIT);
        let page = self.queries.list(actor.as_str(), limit, cursor).await;
        let page = page.map_err(|error| {
            tracing::warn!(error = &*error as &dyn std::error::Error, "not read");
            Problem::store_unavailable().detail("the store did not answer")
        })?;
        Ok(http_kit::json(StatusCode::OK, &page))
    }
}

/// The answer to a request that no route takes.
fn unrouted(resolved: Resolved<'_, Route>) -> Result<Response, Problem> {
    match resolved {
        Resolved::Options(allow) => {
            let mut response = http_kit::empty(StatusCode::NO_CONTENT);
            response.headers_mut().insert(ALLOW, allow);
            Ok(response)
        }
        Resolved::MethodNotAllowed(allow) => {
            let allow = allow.to_str().unwrap_or_default();
            Err(Problem::method_not_allowed(allow).detail(format!("allowed here: {allow}")))
        }
        Resolved::MalformedParam { name, .. } => {
            Err(Problem::malformed_id(name).detail("must be UTF-8, percent-encoded"))
        }
        _ => {
            Err(Problem::unknown_route().detail("paths are case-sensitive and end without a slash"))
        }
    }
}
