use hyper::StatusCode;
use serde::Serialize;

/// hyper's own refusal of a head that it cannot parse (400, 414, 431), given the body that every refusal
/// has; `None` for all else that is written.
///
/// Ours are never like it: they have a body, or are no refusals. The type is `about:blank`, for what the
/// status alone says (RFC 9457, section 4.2.1).
pub(crate) fn with_body(written: &[u8]) -> Option<Vec<u8>> {
    const EMPTY: &str = "\r\ncontent-length: 0\r\n";
    let rest = written.strip_prefix(b"HTTP/1.1 4")?;
    let head = std::str::from_utf8(rest).ok()?;
    let whole = head.find("\r\n\r\n")? + 4 == head.len();
    if !whole || head.contains("\r\ncontent-type: ") {
        return None;
    }
    let (before, after) = head.split_once(EMPTY)?;
    let status = StatusCode::from_bytes(written.get(9..12)?).ok()?;
    let problem = Bare {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        status: status.as_u16(),
        detail: "the request's head cannot be read",
    };
    let body = serde_json::to_string(&problem).ok()?;
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 4{before}\r\ncontent-type: application/problem+json\r\ncontent-length: {length}\r\n{after}{body}"
    );
    Some(answer.into_bytes())
}

#[derive(Serialize)]
struct Bare {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_refusal_gets_a_body_and_nothing_else_is_touched() {
        let bare = "HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\
                    content-length: 0\r\ndate: now\r\n\r\n";
        let answer = String::from_utf8(with_body(bare.as_bytes()).unwrap()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let length = format!("\r\ncontent-length: {}\r\n", body.len());
        assert!(
            head.starts_with("HTTP/1.1 431 ") && head.contains(&length),
            "{head}"
        );
        assert!(head.ends_with("\r\ndate: now"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!(body["status"], 431);
        for other in [
            bare.replace("431 Request Header Fields Too Large", "200 OK"),
            bare.replace("content-length: 0", "content-length: 5"),
            bare.replace("date: now", "content-type: text/plain"),
            format!("{bare}more"),
            bare.trim_end().to_owned(),
            String::new(),
        ] {
            assert_eq!(with_body(other.as_bytes()), None, "{other}");
        }
    }
}
