use hyper::HeaderMap;
use hyper::header::{IF_MATCH, IF_NONE_MATCH};

use crate::Problem;

/// What `If-Match` demands of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMatch {
    /// `*`: it exists, at any version.
    Any,
    /// `"3"` or `"3-<hash>"`: it is at this version. A number too large for
    /// any stream becomes `u64::MAX`, which no stream reaches.
    Version(u64),
}

/// Reads `If-Match`.
///
/// # Errors
///
/// `invalid-value` with field `If-Match` for weak, unquoted, listed or repeated
/// tags, and for tags that do not begin with a version.
pub fn if_match(headers: &HeaderMap) -> Result<Option<IfMatch>, Problem> {
    let mut values = headers.get_all(IF_MATCH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let parsed = match (value.to_str(), values.next()) {
        (Ok(text), None) => parse_if_match(text.trim()),
        _ => None,
    };
    match parsed {
        Some(demand) => Ok(Some(demand)),
        None => Err(
            Problem::invalid_value("If-Match", "must be `*` or one strong tag")
                .expected("\"<version>\""),
        ),
    }
}

fn parse_if_match(text: &str) -> Option<IfMatch> {
    if text == "*" {
        return Some(IfMatch::Any);
    }
    let tag = text.strip_prefix('"')?.strip_suffix('"')?;
    let (version, hash) = match tag.split_once('-') {
        Some((version, hash)) => (version, Some(hash)),
        None => (tag, None),
    };
    let plain = !version.is_empty()
        && version.bytes().all(|byte| byte.is_ascii_digit())
        && (version == "0" || !version.starts_with('0'));
    let hashed = hash.is_none_or(|hash| {
        !hash.is_empty()
            && hash
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b',')
    });
    (plain && hashed).then(|| IfMatch::Version(version.parse().unwrap_or(u64::MAX)))
}

/// Whether `If-None-Match` names `etag`, so that the answer is a 304.
///
/// Compares weakly, over all tags of all lines; `*` matches. From a malformed
/// tag on, the line is ignored: the full answer is always right.
pub fn is_not_modified(headers: &HeaderMap, etag: &str) -> bool {
    let opaque = etag.strip_prefix("W/").unwrap_or(etag);
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|line| line.trim() == "*" || Tags(line).any(|tag| tag == opaque))
}

/// The tags of a list, with their quotes and without `W/`. A comma may stand
/// inside the quotes.
struct Tags<'a>(&'a str);

impl<'a> Iterator for Tags<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let rest = self.0.trim_start_matches([' ', '\t', ',']);
        let rest = rest.strip_prefix("W/").unwrap_or(rest);
        let length = rest.strip_prefix('"')?.find('"')? + 2;
        let (tag, after) = rest.split_at(length);
        self.0 = after;
        Some(tag)
    }
}

#[cfg(test)]
mod tests {
    use hyper::header::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn demanded(text: &str) -> Result<Option<IfMatch>, Problem> {
        let mut headers = HeaderMap::new();
        headers.insert(IF_MATCH, HeaderValue::from_str(text).unwrap());
        if_match(&headers)
    }

    #[test]
    fn a_strong_tag_demands_its_version() {
        assert_eq!(demanded("\"3\"").unwrap(), Some(IfMatch::Version(3)));
        assert_eq!(demanded("\"0\"").unwrap(), Some(IfMatch::Version(0)));
        assert_eq!(
            demanded("\"12-ab_c-d\"").unwrap(),
            Some(IfMatch::Version(12))
        );
        assert_eq!(demanded("*").unwrap(), Some(IfMatch::Any));
        let huge = demanded("\"99999999999999999999999\"").unwrap();
        assert_eq!(huge, Some(IfMatch::Version(u64::MAX)));
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn other_tags_are_refused() {
        for bad in [
            "3",
            "W/\"3\"",
            "\"3\", \"4\"",
            "\"\"",
            "\"-x\"",
            "\"3-\"",
            "\"x\"",
            "\"+3\"",
            "\"03\"",
            "\"",
            "",
        ] {
            let problem = demanded(bad).unwrap_err();
            assert_eq!(
                (problem.slug(), problem.named_field()),
                ("invalid-value", Some("If-Match")),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_known_tag_needs_no_new_answer() {
        let matches = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(text).unwrap());
            is_not_modified(&headers, "\"3-a,b\"")
        };
        assert!(matches("\"3-a,b\""));
        assert!(matches("\"x\", W/\"3-a,b\""));
        assert!(matches("*"));
        assert!(!matches("\"3\""));
        assert!(!matches("3-a,b"));
        assert!(!matches("\"3-a,b"));
    }

    proptest! {
        #[test]
        fn any_header_is_read_or_refused(bytes in "[W/\"*,0-9a -]{0,20}") {
            let mut headers = HeaderMap::new();
            headers.insert(IF_MATCH, HeaderValue::from_str(&bytes).unwrap());
            headers.insert(IF_NONE_MATCH, HeaderValue::from_str(&bytes).unwrap());
            let _ = if_match(&headers);
            let _ = is_not_modified(&headers, "\"1\"");
        }
    }
}
