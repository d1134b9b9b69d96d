use std::time::Duration;

use hyper::HeaderMap;

/// How long a query waits for the read model when the client does not say.
pub const DEFAULT_WAIT: Duration = Duration::from_secs(2);

/// The longest that a client may ask a query to wait.
pub const MAX_WAIT: Duration = Duration::from_secs(30);

/// Reads `Prefer: wait=SECONDS`.
///
/// More than [`MAX_WAIT`] is cut to it; without the preference, or with a
/// malformed one, it is [`DEFAULT_WAIT`]. The first one counts.
///
/// # Reference
///
/// RFC 7240, section 4.3.
pub fn preferred_wait(headers: &HeaderMap) -> Duration {
    headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(','))
        .find_map(wait)
        .map_or(DEFAULT_WAIT, |seconds| {
            Duration::from_secs(seconds).min(MAX_WAIT)
        })
}

fn wait(preference: &str) -> Option<u64> {
    let (name, value) = preference.split(';').next()?.split_once('=')?;
    let digits = value.trim().trim_matches('"');
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let named = name.trim().eq_ignore_ascii_case("wait");
    (named && plain).then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_read_cut_or_ignored() {
        let seconds = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", text.parse().unwrap());
            preferred_wait(&headers).as_secs()
        };
        assert_eq!(preferred_wait(&HeaderMap::new()), DEFAULT_WAIT);
        for (text, expected) in [
            ("wait=0", 0),
            ("wait=10", 10),
            ("respond-async, Wait = \"7\"; x=1", 7),
            ("wait=31", 30),
            ("wait=99999999999999999999999", 30),
            ("wait=-1", 2),
            ("wait", 2),
            ("wait=1.5", 2),
            ("wait=", 2),
        ] {
            assert_eq!(seconds(text), expected, "{text}");
        }
    }
}
