//! Texts that people write.

use std::fmt;

use unicode_normalization::{UnicodeNormalization, is_nfc};

use super::InvalidValue;

/// The text of a post: 1 to 5,000 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PostMessage(String);

/// The text of a comment: 1 to 2,000 characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CommentText(String);

/// The name that an author goes by: 1 to 80 characters in one line.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DisplayName(String);

impl PostMessage {
    /// The most characters (Unicode scalar values).
    pub const MAX_CHARS: usize = 5_000;

    /// Takes `text`, without Unicode White_Space around it and in NFC.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`]: empty, too long, or a control character other than
    /// newline and tab in it.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let text = normalise(text);
        check(&text, Self::MAX_CHARS, &['\n', '\t'])?;
        Ok(Self(text))
    }
}

impl CommentText {
    /// The most characters (Unicode scalar values).
    pub const MAX_CHARS: usize = 2_000;

    /// Takes `text`, without Unicode White_Space around it and in NFC.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`]: empty, too long, or a control character other than
    /// newline and tab in it.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let text = normalise(text);
        check(&text, Self::MAX_CHARS, &['\n', '\t'])?;
        Ok(Self(text))
    }
}

impl DisplayName {
    /// The most characters (Unicode scalar values).
    pub const MAX_CHARS: usize = 80;

    /// Takes `text`, without Unicode White_Space around it and in NFC.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`]: empty, too long, or a control character in it.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let text = normalise(text);
        check(&text, Self::MAX_CHARS, &[])?;
        Ok(Self(text))
    }
}

macro_rules! reads_as_text {
    ($($name:ident),+) => {$(
        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}

reads_as_text!(PostMessage, CommentText, DisplayName);

/// Trims Unicode White_Space and composes (NFC).
pub(super) fn normalise(text: &str) -> String {
    let trimmed = text.trim();
    if is_nfc(trimmed) {
        trimmed.to_owned()
    } else {
        trimmed.nfc().collect()
    }
}

/// Refuses control characters but those in `kept`, then counts.
fn check(text: &str, max: usize, kept: &[char]) -> Result<(), InvalidValue> {
    let refused = |c: &char| c.is_control() && !kept.contains(c);
    // Nearly every text is told to be fine by its bytes, many at a time.
    let plain = |plain, byte: u8| plain & matches!(byte, b' '..=b'~');
    if !text.bytes().fold(true, plain)
        && let Some(character) = text.chars().find(refused)
    {
        return Err(InvalidValue::Control { character });
    }
    match text.chars().count() {
        0 => Err(InvalidValue::Empty),
        actual if actual > max => Err(InvalidValue::TooLong { actual, max }),
        _ => Ok(()),
    }
}

#[cfg(any(test, feature = "testing"))]
mod strategies {
    use proptest::prelude::*;

    use super::{CommentText, DisplayName, PostMessage};

    impl PostMessage {
        /// Short valid messages, of letters that compose, line breaks and emoji; see [`PostMessage::parse`].
        pub fn any() -> impl Strategy<Value = Self> {
            "[a-zé\u{301}ß\n\t 😀0-9]{1,60}".prop_filter_map("blank", |t| Self::parse(&t).ok())
        }
    }

    impl CommentText {
        /// Short valid comments; see [`CommentText::parse`].
        pub fn any() -> impl Strategy<Value = Self> {
            "[a-zé\u{301}ß\n\t 😀0-9]{1,40}".prop_filter_map("blank", |t| Self::parse(&t).ok())
        }
    }

    impl DisplayName {
        /// Valid display names; see [`DisplayName::parse`].
        pub fn any() -> impl Strategy<Value = Self> {
            "[A-Za-zé\u{301}ß 😀]{1,80}".prop_filter_map("blank", |t| Self::parse(&t).ok())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_around_a_text_is_no_part_of_it() {
        let message = PostMessage::parse("\u{2003}\u{85}\r\n hello\n\tworld \u{3000}").unwrap();
        assert_eq!(message.as_str(), "hello\n\tworld");
    }

    #[test]
    fn a_text_is_composed_before_it_is_counted() {
        let decomposed = "e\u{301}".repeat(PostMessage::MAX_CHARS);
        let message = PostMessage::parse(&decomposed).unwrap();
        assert_eq!(message.as_str(), "é".repeat(PostMessage::MAX_CHARS));
    }

    #[test]
    fn characters_are_counted_not_bytes() {
        assert!(CommentText::parse(&"😀".repeat(2_000)).is_ok());
        assert_eq!(
            CommentText::parse(&"😀".repeat(2_001)),
            Err(InvalidValue::TooLong {
                actual: 2_001,
                max: 2_000
            })
        );
        assert!(PostMessage::parse(&"x".repeat(5_001)).is_err());
        assert!(DisplayName::parse(&"x".repeat(80)).is_ok());
        assert!(DisplayName::parse(&"x".repeat(81)).is_err());
    }

    #[test]
    fn a_blank_text_is_empty() {
        for text in ["", " ", "\u{a0}\n\t\u{2028}"] {
            assert_eq!(PostMessage::parse(text), Err(InvalidValue::Empty));
        }
    }

    #[test]
    fn a_control_character_is_refused_before_the_text_is_counted() {
        for character in ['\0', '\r', '\u{1b}', '\u{7f}', '\u{85}'] {
            let text = format!("a{character}b{}", "x".repeat(5_000));
            assert_eq!(
                PostMessage::parse(&text),
                Err(InvalidValue::Control { character })
            );
        }
    }

    #[test]
    fn a_display_name_is_one_line_without_tabs() {
        for character in ['\n', '\t'] {
            assert_eq!(
                DisplayName::parse(&format!("a{character}b")),
                Err(InvalidValue::Control { character })
            );
        }
        assert_eq!(
            DisplayName::parse("\tAda L. \n").unwrap().as_str(),
            "Ada L."
        );
    }

    #[test]
    fn a_refusal_says_why() {
        let error = PostMessage::parse("a\u{7}b").unwrap_err();
        assert_eq!(
            error.to_string(),
            "must not contain the control character U+0007"
        );
    }

    proptest::proptest! {
        #[test]
        fn a_parsed_text_parses_to_itself(text in ".{0,100}") {
            if let Ok(message) = PostMessage::parse(&text) {
                proptest::prop_assert_eq!(PostMessage::parse(message.as_str()), Ok(message));
            }
            if let Ok(comment) = CommentText::parse(&text) {
                proptest::prop_assert_eq!(CommentText::parse(comment.as_str()), Ok(comment));
            }
            if let Ok(name) = DisplayName::parse(&text) {
                proptest::prop_assert_eq!(DisplayName::parse(name.as_str()), Ok(name));
            }
        }

        #[test]
        fn strategies_yield_what_parses_to_itself(
            message in PostMessage::any(),
            comment in CommentText::any(),
            name in DisplayName::any(),
        ) {
            proptest::prop_assert_eq!(PostMessage::parse(message.as_str()), Ok(message));
            proptest::prop_assert_eq!(CommentText::parse(comment.as_str()), Ok(comment));
            proptest::prop_assert_eq!(DisplayName::parse(name.as_str()), Ok(name));
        }
    }
}
