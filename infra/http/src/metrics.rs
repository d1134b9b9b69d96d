use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use hyper::{Method, StatusCode};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::{Problem, Response, response};

/// From half a millisecond to ten seconds.
const BUCKETS: [f64; 14] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The metrics of a process: its own, and those of its requests.
///
/// `http_requests_total` by route, method and status;
/// `http_request_duration_seconds` by route.
#[derive(Debug)]
pub struct Metrics {
    registry: RwLock<Registry>,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
}

impl Metrics {
    /// Adds the metrics of requests to a registry that holds the others.
    pub fn new(mut registry: Registry) -> Self {
        let requests = Family::<RequestLabels, Counter>::default();
        let durations: Family<RouteLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from the head of a request to its answer",
            Unit::Seconds,
            durations.clone(),
        );
        Self {
            registry: RwLock::new(registry),
            requests,
            durations,
        }
    }

    /// Adds what a part tells of itself, which may come up later than the server.
    pub fn collect(&self, collector: Box<dyn Collector>) {
        self.registry
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .register_collector(collector);
    }

    /// Counts an answer. `route` is the pattern of the path, never the path
    /// itself, so that clients cannot make up labels.
    pub fn observe(
        &self,
        route: &'static str,
        method: &Method,
        status: StatusCode,
        elapsed: Duration,
    ) {
        let labels = RequestLabels {
            route,
            method: known(method),
            status: u32::from(status.as_u16()),
        };
        self.requests.get_or_create(&labels).inc();
        self.durations
            .get_or_create(&RouteLabels { route })
            .observe(elapsed.as_secs_f64());
    }

    /// The answer of `/metrics`, in the OpenMetrics text format.
    pub fn render(&self) -> Response {
        let mut body = String::new();
        let registry = self.registry.read().unwrap_or_else(PoisonError::into_inner);
        match text::encode(&mut body, &registry) {
            Ok(()) => response::text(
                StatusCode::OK,
                "application/openmetrics-text; version=1.0.0; charset=utf-8",
                body,
            ),
            Err(error) => {
                tracing::error!(%error, "metrics could not be written");
                Problem::store_unavailable().into_response()
            }
        }
    }
}

fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_counted_by_route_method_and_status() {
        let metrics = Metrics::new(Registry::default());
        let made_up = Method::from_bytes(b"FOO").unwrap();
        metrics.observe(
            "/v1/posts/{id}",
            &Method::GET,
            StatusCode::OK,
            Duration::from_millis(3),
        );
        metrics.observe("none", &made_up, StatusCode::NOT_FOUND, Duration::ZERO);
        let mut body = String::new();
        text::encode(&mut body, &metrics.registry.read().unwrap()).unwrap();
        for line in [
            r#"http_requests_total{route="/v1/posts/{id}",method="GET",status="200"} 1"#,
            r#"http_requests_total{route="none",method="other",status="404"} 1"#,
            r#"http_request_duration_seconds_bucket{le="0.005",route="/v1/posts/{id}"} 1"#,
            "# EOF",
        ] {
            assert!(body.contains(line), "{line} not in\n{body}");
        }
    }
}
