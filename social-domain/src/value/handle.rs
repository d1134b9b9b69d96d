//! Handles: how authors are found.

use std::fmt;

use super::InvalidValue;
use super::text::normalise;

/// An author's unique name: 3 to 30 of `a-z A-Z 0-9 _`, in the case that it was given in.
///
/// Two handles that differ in nothing but case are rivals: compare by [`key`](Self::key).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Handle(String);

impl Handle {
    /// The fewest characters.
    pub const MIN_CHARS: usize = 3;
    /// The most characters.
    pub const MAX_CHARS: usize = 30;

    /// Takes `text`, without Unicode White_Space around it and in NFC, as every text.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`]: empty, a character outside of the alphabet, too short or too long.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let (min, max) = (Self::MIN_CHARS, Self::MAX_CHARS);
        let text = normalise(text);
        let outside = |c: &char| !c.is_ascii_alphanumeric() && *c != '_';
        if let Some(character) = text.chars().find(outside) {
            let allowed = "a-z, A-Z, 0-9 and _";
            return Err(InvalidValue::Character { character, allowed });
        }
        match text.len() {
            0 => Err(InvalidValue::Empty),
            actual if actual < min => Err(InvalidValue::TooShort { actual, min }),
            actual if actual > max => Err(InvalidValue::TooLong { actual, max }),
            _ => Ok(Self(text)),
        }
    }

    /// The handle, in its own case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What handles are compared by: the handle in lower case.
    #[must_use]
    pub fn key(&self) -> String {
        Self::key_of(&self.0)
    }

    /// The key of a handle as it is stored.
    pub(crate) fn key_of(stored: &str) -> String {
        stored.to_ascii_lowercase()
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(any(test, feature = "testing"))]
impl Handle {
    /// Every valid handle; see [`Handle::parse`].
    pub fn any() -> impl proptest::strategy::Strategy<Value = Self> {
        use proptest::strategy::Strategy as _;
        "[a-zA-Z0-9_]{3,30}".prop_map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_keeps_its_case_and_is_compared_without() {
        let handle = Handle::parse(" Ada_99 ").unwrap();
        assert_eq!(handle.as_str(), "Ada_99");
        assert_eq!(handle.key(), Handle::parse("aDA_99").unwrap().key());
    }

    #[test]
    fn a_handle_has_3_to_30_characters() {
        for good in ["abc", &"x".repeat(30)] {
            assert!(Handle::parse(good).is_ok());
        }
        let (min, max) = (Handle::MIN_CHARS, Handle::MAX_CHARS);
        assert_eq!(
            Handle::parse("ab"),
            Err(InvalidValue::TooShort { actual: 2, min })
        );
        assert_eq!(
            Handle::parse(&"x".repeat(31)),
            Err(InvalidValue::TooLong { actual: 31, max })
        );
        assert_eq!(Handle::parse("  "), Err(InvalidValue::Empty));
    }

    #[test]
    fn other_characters_are_refused() {
        for text in ["a b c", "ada-l", "adé", "ada.", "@ada", "ad\u{0}a", "ａda"] {
            let refused = Handle::parse(text);
            assert!(
                matches!(refused, Err(InvalidValue::Character { .. })),
                "{text}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn a_handle_parses_to_itself(handle in Handle::any()) {
            proptest::prop_assert_eq!(Handle::parse(handle.as_str()), Ok(handle));
        }
    }
}
