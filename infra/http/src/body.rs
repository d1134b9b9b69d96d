use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Body;

use crate::Problem;

/// How large a body may be and how long it may take.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Largest accepted body, in bytes; 64 KiB by default.
    pub max_bytes: usize,
    /// Time for the whole body, counted once from the start and not from the
    /// last byte, so that a trickle does not extend it; 30 s by default.
    pub deadline: Duration,
}

impl Default for BodyLimits {
    fn default() -> Self {
        Self {
            max_bytes: 64 * 1024,
            deadline: Duration::from_secs(30),
        }
    }
}

/// Reads a body to its end.
///
/// A `Content-Length` above the limit is refused before anything is read.
/// A refusal closes the connection after the answer; [`crate::serve`] discards
/// the rest of the body for a moment, so that the answer is not lost to a reset.
///
/// # Errors
///
/// - `body-too-large` (413): longer than [`BodyLimits::max_bytes`].
/// - `request-timeout` (408): not there in time, cut off, or broken in its
///   transfer encoding.
pub async fn read_body<B>(body: B, limits: BodyLimits) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    // hyper derives the hint from `Content-Length`.
    if body.size_hint().lower() > limits.max_bytes as u64 {
        return Err(Problem::body_too_large(limits.max_bytes));
    }
    if body.is_end_stream() {
        return Ok(Bytes::new());
    }
    match tokio::time::timeout(limits.deadline, collect(body, limits.max_bytes)).await {
        Ok(read) => read,
        Err(_elapsed) => Err(Problem::request_timeout().detail("the body took too long")),
    }
}

async fn collect<B>(mut body: B, max_bytes: usize) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes> + Unpin,
{
    // Most bodies arrive in one piece and need no copy.
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else {
            return Err(Problem::request_timeout().detail("the body was cut off"));
        };
        let Ok(chunk) = frame.into_data() else {
            continue;
        };
        if first.len() + rest.len() + chunk.len() > max_bytes {
            return Err(Problem::body_too_large(max_bytes));
        }
        if first.is_empty() && rest.is_empty() {
            first = chunk;
        } else {
            if rest.is_empty() {
                rest.extend_from_slice(&std::mem::take(&mut first));
            }
            rest.extend_from_slice(&chunk);
        }
    }
    Ok(if rest.is_empty() {
        first
    } else {
        rest.freeze()
    })
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;

    use super::*;

    #[tokio::test]
    async fn the_limit_itself_is_accepted_and_one_more_is_not() {
        let limits = BodyLimits {
            max_bytes: 4,
            ..BodyLimits::default()
        };
        let read = |text: &'static str| read_body(Full::new(Bytes::from(text)), limits);
        assert_eq!(read("1234").await.unwrap(), "1234");
        assert_eq!(read("12345").await.unwrap_err().slug(), "body-too-large");
        assert_eq!(read("").await.unwrap(), "");
    }
}
