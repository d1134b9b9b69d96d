use bytes::Bytes;
use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, ETAG, HeaderValue};
use serde::Serialize;

use crate::Problem;

/// A request as hyper delivers it; the body is read with [`crate::read_body`].
pub type Request = hyper::Request<Incoming>;

/// An answer with its whole body at hand.
pub type Response = hyper::Response<Full<Bytes>>;

/// Answers `value` as `application/json`.
///
/// A value that cannot be serialised (a map with keys that are no strings) is
/// a defect of the caller; it is logged and answered as `store-unavailable`.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => json_bytes(status, body.into()),
        Err(error) => {
            tracing::error!(%error, "answer could not be serialised");
            Problem::store_unavailable().into_response()
        }
    }
}

/// Answers bytes that are JSON already, such as a stored answer.
pub fn json_bytes(status: StatusCode, body: Bytes) -> Response {
    with_type(status, HeaderValue::from_static("application/json"), body)
}

/// Answers text of the given content type.
pub fn text(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    with_type(status, HeaderValue::from_static(content_type), body.into())
}

/// Answers without a body.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Full::new(Bytes::new()));
    *response.status_mut() = status;
    response
}

/// Answers 304 with the entity tag that the client already has.
pub fn not_modified(etag: HeaderValue) -> Response {
    let mut response = empty(StatusCode::NOT_MODIFIED);
    response.headers_mut().insert(ETAG, etag);
    response
}

fn with_type(status: StatusCode, content_type: HeaderValue, body: Bytes) -> Response {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}
