//! Names of schemas, safe to stand in a statement.

use std::fmt;
use std::str::FromStr;

/// The name of a schema: a lower-case letter, then lower-case letters, digits and `_`, 40 bytes at most.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaName(String);

/// A text that is no [`SchemaName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not 1 to 40 of a-z, 0-9 and `_`, a letter first")]
pub struct InvalidSchemaName(String);

impl SchemaName {
    const MAX: usize = 40;

    /// Takes `text` as a name.
    ///
    /// # Errors
    ///
    /// [`InvalidSchemaName`] unless it is 1 to 40 of `a-z`, `0-9` and `_`, a letter first.
    pub fn parse(text: &str) -> Result<Self, InvalidSchemaName> {
        let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase());
        if first && text.len() <= Self::MAX && text.bytes().all(rest) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidSchemaName(text.to_owned()))
        }
    }

    /// The name with `suffix` after a `_`; the suffixes of this crate keep it a name.
    pub(crate) fn with(&self, suffix: impl fmt::Display) -> Self {
        Self(format!("{}_{suffix}", self.0))
    }

    /// `sql` with every `{schema}` replaced by the name.
    pub(crate) fn fill(&self, sql: &str) -> String {
        sql.replace("{schema}", &self.0)
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// As [`SchemaName::parse`].
impl FromStr for SchemaName {
    type Err = InvalidSchemaName;

    fn from_str(text: &str) -> Result<Self, InvalidSchemaName> {
        Self::parse(text)
    }
}

impl fmt::Display for SchemaName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_needs_no_quotes_is_a_name() {
        for name in ["rm", "a1_b", &"a".repeat(40)] {
            assert_eq!(SchemaName::parse(name).unwrap().as_str(), name);
        }
        for name in ["", "1a", "_a", "A", "a-b", "a\"b", "ä", &"a".repeat(41)] {
            assert!(SchemaName::parse(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_statement_is_filled_with_the_name() {
        let name = SchemaName::parse("rm").unwrap().with(7);
        assert_eq!(
            name.fill("SELECT {schema}.a, {schema}.b"),
            "SELECT rm_7.a, rm_7.b"
        );
    }
}
