use std::borrow::Cow;

/// Decodes percent-encoding; `None` for a bad escape or bytes that are not UTF-8.
pub(crate) fn decode(text: &str, plus_is_space: bool) -> Option<Cow<'_, str>> {
    let bytes = text.as_bytes();
    if !bytes
        .iter()
        .any(|byte| *byte == b'%' || (plus_is_space && *byte == b'+'))
    {
        return Some(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'%' => {
                let high = hex(*rest.next()?)?;
                let low = hex(*rest.next()?)?;
                out.push(high << 4 | low);
            }
            b'+' if plus_is_space => out.push(b' '),
            other => out.push(*other),
        }
    }
    String::from_utf8(out).ok().map(Cow::Owned)
}

/// The value of a hexadecimal digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}
