use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;

use crate::Problem;

/// Checks that a body is announced as JSON in UTF-8.
///
/// # Errors
///
/// `unsupported-media-type` without a `Content-Type`, with several, or with
/// another than `application/json`, whose `charset` may only be `utf-8`.
pub fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    match (
        values.next().and_then(|value| value.to_str().ok()),
        values.next(),
    ) {
        (Some(value), None) if is_json(value) => Ok(()),
        _ => Err(Problem::unsupported_media_type()),
    }
}

fn is_json(value: &str) -> bool {
    let mut parts = value.split(';').map(str::trim);
    let essence = parts.next().unwrap_or_default();
    essence.eq_ignore_ascii_case("application/json")
        && parts
            .filter(|part| !part.is_empty())
            .all(|part| match part.split_once('=') {
                Some((name, charset)) if name.trim().eq_ignore_ascii_case("charset") => charset
                    .trim()
                    .trim_matches('"')
                    .eq_ignore_ascii_case("utf-8"),
                // RFC 8259 defines no parameters; others have no meaning.
                Some(_) => true,
                None => false,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_in_utf_8_is_accepted() {
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
            "application/json;",
        ] {
            assert!(is_json(good), "{good}");
        }
        for bad in [
            "",
            "text/json",
            "application/jsonx",
            "application/json; charset=latin1",
            "application/json, text/plain",
            "application/json charset=utf-8",
        ] {
            assert!(!is_json(bad), "{bad}");
        }
    }

    #[test]
    fn a_missing_or_repeated_header_is_refused() {
        let mut headers = HeaderMap::new();
        assert_eq!(require_json(&headers).unwrap_err().status(), 415);
        headers.append(CONTENT_TYPE, "application/json".parse().unwrap());
        assert!(require_json(&headers).is_ok());
        headers.append(CONTENT_TYPE, "application/json".parse().unwrap());
        assert!(require_json(&headers).is_err());
    }
}
