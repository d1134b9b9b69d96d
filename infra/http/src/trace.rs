use std::fmt;

use hyper::{HeaderMap, Method};
use tracing::{Span, field};

use crate::percent::hex;

/// The trace that a request belongs to.
///
/// # Reference
///
/// W3C Trace Context, `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// Id of the whole trace; never zero.
    pub trace_id: u128,
    /// Id of the caller's span; never zero.
    pub parent_id: u64,
    /// Flags; bit 0 says that the caller records the trace.
    pub flags: u8,
}

impl TraceContext {
    /// Reads `traceparent`; `None` when it is missing, repeated or malformed.
    pub fn from_headers(headers: &HeaderMap) -> Option<Self> {
        let mut values = headers.get_all("traceparent").iter();
        match (values.next(), values.next()) {
            (Some(value), None) => Self::parse(value.to_str().ok()?),
            _ => None,
        }
    }

    /// Reads the text of a `traceparent`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('-');
        let version = number(parts.next()?, 2)?;
        let trace_id = number(parts.next()?, 32)?;
        let parent_id = u64::try_from(number(parts.next()?, 16)?).ok()?;
        let flags = u8::try_from(number(parts.next()?, 2)?).ok()?;
        // Later versions may add parts; version 0 has none, 255 is no version.
        let whole = version < 255 && (version > 0 || parts.next().is_none());
        (whole && trace_id != 0 && parent_id != 0).then_some(Self {
            trace_id,
            parent_id,
            flags,
        })
    }
}

impl fmt::Display for TraceContext {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "00-{:032x}-{:016x}-{:02x}",
            self.trace_id, self.parent_id, self.flags
        )
    }
}

fn number(text: &str, digits: usize) -> Option<u128> {
    let plain = text.len() == digits && !text.bytes().any(|byte| byte.is_ascii_uppercase());
    plain.then_some(())?;
    text.bytes().try_fold(0, |number, digit| {
        Some(number << 4 | u128::from(hex(digit)?))
    })
}

/// Opens the span of a request; `status` is recorded by whoever answers.
///
/// Neither the query string nor the body goes into it.
pub fn request_span(method: &Method, route: &'static str, trace: Option<TraceContext>) -> Span {
    let span = tracing::info_span!(
        "request",
        method = %method,
        route,
        status = field::Empty,
        trace_id = field::Empty,
        parent_id = field::Empty,
    );
    if let Some(trace) = trace {
        span.record(
            "trace_id",
            format_args!("{:032x}", trace.trace_id).to_string(),
        );
        span.record(
            "parent_id",
            format_args!("{:016x}", trace.parent_id).to_string(),
        );
    }
    span
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_traceparent_reads_as_it_was_written() {
        let text = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceContext::parse(text).unwrap().to_string(), text);
        assert!(TraceContext::parse(&text.replacen("00", "01", 1)).is_some());
        for bad in [
            "",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
        ] {
            assert_eq!(TraceContext::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in ".{0,60}") {
            let _ = TraceContext::parse(&text);
        }
    }
}
