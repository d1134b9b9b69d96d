//! Ids of posts and comments.

use std::fmt;

use uuid::Uuid;

use super::InvalidValue;

/// The id of a post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PostId(Uuid);

/// The id of a comment, unique under its post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommentId(Uuid);

macro_rules! is_a_uuid {
    ($($name:ident),+) => {$(
        impl $name {
            /// The id `uuid`; any UUID is one.
            #[must_use]
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Reads the hyphenated form, in either case; no other form.
            ///
            /// # Errors
            ///
            /// [`InvalidValue::NotAUuid`].
            pub fn parse(text: &str) -> Result<Self, InvalidValue> {
                hyphenated(text).map(Self)
            }

            /// The bare UUID.
            #[must_use]
            pub const fn as_uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            /// The hyphenated form, in lower case.
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:x}", self.0.hyphenated())
            }
        }

        #[cfg(any(test, feature = "testing"))]
        impl $name {
            /// Every id.
            pub fn any() -> impl proptest::strategy::Strategy<Value = Self> {
                use proptest::strategy::Strategy as _;
                proptest::num::u128::ANY.prop_map(|n| Self(Uuid::from_u128(n)))
            }
        }
    )+};
}

is_a_uuid!(PostId, CommentId);

fn hyphenated(text: &str) -> Result<Uuid, InvalidValue> {
    // The other forms that `try_parse` reads (bare, braced, URN) differ in length.
    const LENGTH: usize = uuid::fmt::Hyphenated::LENGTH;
    if text.len() != LENGTH {
        return Err(InvalidValue::NotAUuid);
    }
    Uuid::try_parse(text).map_err(|_| InvalidValue::NotAUuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_in_either_case_and_written_in_lower_case() {
        let id = PostId::parse("0198C5A0-7C1E-7D3A-9B64-2F0E8D6A1C57").unwrap();
        assert_eq!(id.to_string(), "0198c5a0-7c1e-7d3a-9b64-2f0e8d6a1c57");
    }

    #[test]
    fn no_other_form_is_an_id() {
        for text in [
            "",
            "0198c5a07c1e7d3a9b642f0e8d6a1c57",
            "{0198c5a0-7c1e-7d3a-9b64-2f0e8d6a1c57}",
            "urn:uuid:0198c5a0-7c1e-7d3a-9b64-2f0e8d6a1c57",
            "0198c5a0-7c1e-7d3a-9b64-2f0e8d6a1c5",
            "0198c5a0-7c1e-7d3a-9b64-2f0e8d6a1c5g",
            "0198c5a07-c1e-7d3a-9b64-2f0e8d6a1c57",
            " 198c5a0-7c1e-7d3a-9b64-2f0e8d6a1c57",
            "0198c5a0-7c1e-7d3a-9b64-2f0e8d6a1cé",
            "{198c5a0-7c1e-7d3a-9b64-2f0e8d6a1c5}",
        ] {
            assert_eq!(PostId::parse(text), Err(InvalidValue::NotAUuid), "{text}");
            assert_eq!(
                CommentId::parse(text),
                Err(InvalidValue::NotAUuid),
                "{text}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn an_id_reads_back_what_it_writes(post in PostId::any(), comment in CommentId::any()) {
            proptest::prop_assert_eq!(PostId::parse(&post.to_string()), Ok(post));
            proptest::prop_assert_eq!(CommentId::parse(&comment.to_string()), Ok(comment));
        }

        #[test]
        fn anything_that_parses_is_the_hyphenated_form(text in "[0-9a-fA-F{}-]{30,40}") {
            if let Ok(id) = PostId::parse(&text) {
                proptest::prop_assert_eq!(id.to_string(), text.to_ascii_lowercase());
            }
        }
    }
}
