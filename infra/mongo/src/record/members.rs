//! The members of a document, found in one pass, and what may be in one.

use bson::raw::RawElement;
use bson::{RawArray, RawBsonRef, RawDocument};
use uuid::Uuid;

/// The members of `doc` under `keys`, in their order; of two under one key the first. All others are passed over.
///
/// Quick where the document has its members in the order of `keys`, right where not. Nothing in a member is read.
pub(super) fn members<'a, const N: usize>(
    doc: &'a RawDocument,
    keys: [&str; N],
) -> Result<[Option<RawElement<'a>>; N], &'static str> {
    let mut found = [const { None }; N];
    let mut next = 0;
    for element in doc.iter_elements() {
        let element = element.map_err(|_| "it is no document")?;
        let key = element.key().as_str();
        let ahead = keys[next..].iter().position(|known| *known == key);
        let index = match ahead {
            Some(ahead) => next + ahead,
            None => match keys[..next].iter().position(|known| *known == key) {
                Some(behind) => behind,
                None => continue,
            },
        };
        if found[index].is_none() {
            found[index] = Some(element);
            next = index + 1;
        }
    }
    Ok(found)
}

/// What is in a member that must be there; none as well where it is not what its type says.
pub(super) fn value(member: Option<RawElement<'_>>) -> Option<RawBsonRef<'_>> {
    member.and_then(|member| member.value().ok())
}

/// What is in a member that may be lacking; `Err(wrong)` where it is not what its type says.
pub(super) fn optional<'a>(
    member: Option<RawElement<'a>>,
    wrong: &'static str,
) -> Result<Option<RawBsonRef<'a>>, &'static str> {
    member
        .map(|member| member.value().map_err(|_| wrong))
        .transpose()
}

pub(super) fn nat(value: Option<RawBsonRef<'_>>) -> Result<u64, &'static str> {
    let number = match value {
        Some(RawBsonRef::Int64(number)) => number,
        Some(RawBsonRef::Int32(number)) => i64::from(number),
        _ => return Err("a number is missing"),
    };
    u64::try_from(number).map_err(|_| "a number is negative")
}

pub(super) fn uuid(value: Option<RawBsonRef<'_>>) -> Result<Uuid, &'static str> {
    let found = bytes(value).ok_or("an id is missing")?;
    Uuid::from_slice(found).map_err(|_| "an id is none")
}

pub(super) fn text(value: Option<RawBsonRef<'_>>) -> Option<&str> {
    match value {
        Some(RawBsonRef::String(text)) => Some(text),
        _ => None,
    }
}

pub(super) fn bytes(value: Option<RawBsonRef<'_>>) -> Option<&[u8]> {
    match value {
        Some(RawBsonRef::Binary(found)) => Some(found.bytes),
        _ => None,
    }
}

/// A list that may be lacking.
pub(super) fn array<'a>(
    member: Option<RawElement<'a>>,
) -> Result<Option<&'a RawArray>, &'static str> {
    const WRONG: &str = "a list is none";
    match optional(member, WRONG)? {
        None => Ok(None),
        Some(RawBsonRef::Array(array)) => Ok(Some(array)),
        Some(_) => Err(WRONG),
    }
}

#[cfg(test)]
mod tests {
    use bson::raw::{RawDocumentBuf, cstr};

    use super::*;

    #[test]
    fn of_two_members_under_one_key_the_first_counts_and_the_order_does_not() {
        let mut doc = RawDocumentBuf::new();
        for (key, number) in [
            (cstr!("c"), 1),
            (cstr!("z"), 2),
            (cstr!("a"), 3),
            (cstr!("c"), 4),
            (cstr!("a"), 5),
        ] {
            doc.append(key, number);
        }
        let found = members(&doc, ["a", "b", "c"]).unwrap();
        let found = found.map(|member| value(member).and_then(|number| number.as_i32()));
        assert_eq!(found, [Some(3), None, Some(1)]);
    }
}
