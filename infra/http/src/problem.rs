use std::borrow::Cow;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::{Response, response};

/// An error answer of type `application/problem+json`.
///
/// The slug is stable and stands in `type` as `/problems/<slug>`; title and
/// detail are for people. Boxed inside, so that `Result<_, Problem>` stays
/// small.
///
/// # Example
///
/// ```
/// use http_kit::Problem;
///
/// let problem = Problem::new("post-deleted", 410, "The post was deleted");
/// assert_eq!(problem.into_response().status(), 410);
/// ```
///
/// # Reference
///
/// RFC 9457.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem(Box<Inner>);

#[derive(Debug, Clone, PartialEq)]
struct Inner {
    slug: &'static str,
    status: StatusCode,
    title: &'static str,
    detail: Option<Cow<'static, str>>,
    field: Option<Cow<'static, str>>,
    expected: Option<Value>,
    actual: Option<Value>,
    retry_after: Option<u32>,
    allow: Option<HeaderValue>,
    www_authenticate: Option<HeaderValue>,
    closes: bool,
}

#[derive(Serialize)]
struct Wire<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'a Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    actual: Option<&'a Value>,
}

impl Problem {
    /// Starts a problem.
    ///
    /// A status that is not between 100 and 999 becomes 503, the only server
    /// error of the contract.
    pub fn new(slug: &'static str, status: u16, title: &'static str) -> Self {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
        Self(Box::new(Inner {
            slug,
            status,
            title,
            detail: None,
            field: None,
            expected: None,
            actual: None,
            retry_after: None,
            allow: None,
            www_authenticate: None,
            closes: false,
        }))
    }

    /// Says what went wrong this time.
    #[must_use]
    pub fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.0.detail = Some(detail.into());
        self
    }

    /// Names the member, parameter or header at fault.
    #[must_use]
    pub fn field(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.0.field = Some(field.into());
        self
    }

    /// Says what was expected.
    #[must_use]
    pub fn expected(mut self, expected: impl Into<Value>) -> Self {
        self.0.expected = Some(expected.into());
        self
    }

    /// Says what was found instead.
    #[must_use]
    pub fn actual(mut self, actual: impl Into<Value>) -> Self {
        self.0.actual = Some(actual.into());
        self
    }

    /// Adds `Retry-After`, in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// Adds `Allow`; a list that is no header value is left out.
    #[must_use]
    pub fn allow(mut self, allow: &str) -> Self {
        self.0.allow = HeaderValue::from_str(allow).ok();
        self
    }

    /// Adds `WWW-Authenticate`.
    #[must_use]
    pub fn www_authenticate(mut self, challenge: &'static str) -> Self {
        self.0.www_authenticate = Some(HeaderValue::from_static(challenge));
        self
    }

    /// Closes the connection after the answer: what is left of the request
    /// will not be read.
    #[must_use]
    pub fn closing(mut self) -> Self {
        self.0.closes = true;
        self
    }

    /// The stable name of the problem.
    pub fn slug(&self) -> &'static str {
        self.0.slug
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The member, parameter or header at fault, if one was named.
    pub fn named_field(&self) -> Option<&str> {
        self.0.field.as_deref()
    }

    /// The body of the answer, as it is stored for replays.
    pub fn body(&self) -> Bytes {
        // Strings, numbers and JSON trees: there is nothing here that can fail.
        serde_json::to_vec(&self.wire()).unwrap_or_default().into()
    }

    /// The members of the body, for an answer that does not go by HTTP.
    pub fn to_json(&self) -> Map<String, Value> {
        match serde_json::to_value(self.wire()) {
            Ok(Value::Object(members)) => members,
            // As above; it serialises as an object.
            _ => Map::new(),
        }
    }

    fn wire(&self) -> Wire<'_> {
        let inner = &*self.0;
        Wire {
            r#type: format!("/problems/{}", inner.slug),
            title: inner.title,
            status: inner.status.as_u16(),
            detail: inner.detail.as_deref(),
            field: inner.field.as_deref(),
            expected: inner.expected.as_ref(),
            actual: inner.actual.as_ref(),
        }
    }

    /// The whole answer.
    pub fn into_response(self) -> Response {
        let mut response = response::text(self.0.status, Self::CONTENT_TYPE, self.body());
        let headers = response.headers_mut();
        if let Some(seconds) = self.0.retry_after {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Some(allow) = self.0.allow {
            headers.insert(ALLOW, allow);
        }
        if let Some(challenge) = self.0.www_authenticate {
            headers.insert(WWW_AUTHENTICATE, challenge);
        }
        if self.0.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        debug_assert!(headers.contains_key(CONTENT_TYPE));
        response
    }

    /// The content type of every problem.
    pub const CONTENT_TYPE: &'static str = "application/problem+json";
}

/// The problems of the transport; those of a domain are the application's.
impl Problem {
    /// 400: the body is not JSON (syntax, encoding, repeated members).
    pub fn malformed_json(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new("malformed-json", 400, "The body is not well-formed JSON").detail(detail)
    }

    /// 400: a member or header has a value that is not accepted.
    pub fn invalid_value(
        field: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new("invalid-value", 400, "A value is not acceptable")
            .field(field)
            .detail(detail)
    }

    /// 400: an id in the path or the body is none.
    pub fn malformed_id(field: impl Into<Cow<'static, str>>) -> Self {
        Self::new("malformed-id", 400, "An id is malformed").field(field)
    }

    /// 400: a parameter of the query string is unknown, repeated or malformed.
    pub fn invalid_parameter(
        parameter: impl Into<Cow<'static, str>>,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self::new(
            "invalid-parameter",
            400,
            "A query parameter is not acceptable",
        )
        .field(parameter)
        .detail(detail)
    }

    /// 404: no route has this path.
    pub fn unknown_route() -> Self {
        Self::new("unknown-route", 404, "There is nothing at this path")
    }

    /// 405: the path exists, but not with this method.
    pub fn method_not_allowed(allow: &str) -> Self {
        Self::new("method-not-allowed", 405, "The method is not allowed here").allow(allow)
    }

    /// 408: the request did not arrive whole; the connection is closed.
    pub fn request_timeout() -> Self {
        Self::new("request-timeout", 408, "The request did not arrive whole").closing()
    }

    /// 413: the body is longer than `limit` bytes; the connection is closed.
    pub fn body_too_large(limit: usize) -> Self {
        Self::new("body-too-large", 413, "The body is too large")
            .detail(format!("at most {limit} bytes are accepted"))
            .closing()
    }

    /// 415: the body is of another type than JSON in UTF-8.
    pub fn unsupported_media_type() -> Self {
        Self::new(
            "unsupported-media-type",
            415,
            "The content type is not supported",
        )
        .expected("application/json")
    }

    /// 503: the server has too much to do, and did nothing.
    pub fn overloaded() -> Self {
        Self::new(
            "overloaded",
            503,
            "The server is overloaded; nothing happened",
        )
        .retry_after(1)
    }

    /// 503: the outcome is unknown or the store cannot be reached.
    pub fn store_unavailable() -> Self {
        Self::new("store-unavailable", 503, "The store did not answer in time").retry_after(1)
    }

    /// 503: the read model has not yet seen what the client asked for.
    pub fn behind() -> Self {
        Self::new(
            "behind",
            503,
            "The read model is behind the requested position",
        )
        .retry_after(1)
    }
}

impl From<Problem> for Response {
    fn from(problem: Problem) -> Self {
        problem.into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_has_only_what_was_said() {
        let body = Problem::invalid_value("message", "too long")
            .expected(5000)
            .body();
        let value: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "type": "/problems/invalid-value", "title": "A value is not acceptable",
                "status": 400, "detail": "too long", "field": "message", "expected": 5000
            })
        );
    }

    #[test]
    fn every_503_says_when_to_retry() {
        for problem in [
            Problem::overloaded(),
            Problem::store_unavailable(),
            Problem::behind(),
        ] {
            let response = problem.into_response();
            assert_eq!(response.status(), 503);
            assert!(response.headers().contains_key(RETRY_AFTER));
        }
    }
}
