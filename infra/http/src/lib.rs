//! A thin HTTP/1.1 kit on hyper: server, router, JSON, problems, health, metrics.
//!
//! No framework: a service is one async function from [`Request`] to
//! [`Response`]; an application matches on its own enum of routes, which
//! [`Router::resolve`] hands back. The kit knows no post and no author.

mod bare;
mod body;
mod config;
mod content_type;
mod etag;
mod fields;
mod health;
mod json;
mod linger;
mod metrics;
mod percent;
mod prefer;
mod problem;
mod query;
mod response;
mod router;
mod server;
mod signal;
mod trace;

pub use body::{BodyLimits, read_body};
pub use config::{ConfigError, ConfigProblem, Secret, Settings};
pub use content_type::require_json;
pub use etag::{IfMatch, if_match, is_not_modified};
pub use fields::Fields;
pub use health::{Health, Readiness, livez};
pub use json::{JsonError, canonical_bytes, parse_json};
pub use metrics::Metrics;
pub use prefer::{DEFAULT_WAIT, MAX_WAIT, preferred_wait};
pub use problem::Problem;
pub use query::Query;
pub use response::{Request, Response, empty, json, json_bytes, not_modified, text};
pub use router::{Matched, Params, Resolved, Router};
pub use server::{ServerOptions, serve};
pub use signal::shutdown_signal;
pub use trace::{TraceContext, request_span};
