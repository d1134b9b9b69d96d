//! What a client is told when a command was done.

use http_kit::Response;
use hyper::StatusCode;
use hyper::header::{ETAG, HeaderValue, LOCATION};
use social_domain::Receipt;

/// The answer of a command: the receipt, and the same in headers.
///
/// With a `location`, something was created.
pub(crate) fn accepted(receipt: &Receipt, location: Option<&str>, replayed: bool) -> Response {
    let status = match location {
        Some(_) => StatusCode::CREATED,
        None => StatusCode::OK,
    };
    let mut response = http_kit::json(status, receipt);
    let headers = response.headers_mut();
    headers.insert(ETAG, visible(&format!("\"{}\"", receipt.version)));
    headers.insert("consistency-token", visible(&receipt.position.to_string()));
    if let Some(location) = location {
        headers.insert(LOCATION, visible(location));
    }
    if replayed {
        mark_replayed(&mut response);
    }
    response
}

/// Says that the answer was given before.
pub(crate) fn mark_replayed(response: &mut Response) {
    let replayed = HeaderValue::from_static("true");
    response
        .headers_mut()
        .insert("idempotency-replayed", replayed);
}

/// A header of visible ASCII; numbers, ids and hashes are nothing else.
pub(crate) fn visible(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}
