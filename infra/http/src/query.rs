use std::borrow::Cow;
use std::ops::RangeInclusive;

use crate::{Problem, percent};

/// The parameters of a query string, each at most once and all of them known.
///
/// # Example
///
/// ```
/// use http_kit::Query;
///
/// let query = Query::parse(Some("limit=5&author=a+b&cursor="), &["limit", "author", "cursor"]).unwrap();
/// assert_eq!(query.get("author"), Some("a b"));
/// assert_eq!(query.get("cursor"), None);
/// assert_eq!(query.number("limit", 1..=100).unwrap(), Some(5));
/// ```
#[derive(Debug, Default)]
pub struct Query<'a> {
    pairs: Vec<(&'static str, Cow<'a, str>)>,
}

impl<'a> Query<'a> {
    /// Parses a query string, with `+` for a blank. An empty value counts as
    /// absent.
    ///
    /// # Errors
    ///
    /// `invalid-parameter`, naming the parameter: one not in `known`, one that
    /// stands twice, or a bad percent-encoding.
    pub fn parse(query: Option<&'a str>, known: &[&'static str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(&'static str, Cow<'a, str>)> = Vec::new();
        for pair in query
            .unwrap_or_default()
            .split('&')
            .filter(|pair| !pair.is_empty())
        {
            let (raw_name, raw_value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = percent::decode(raw_name, true).ok_or_else(|| malformed(raw_name))?;
            let Some(name) = known.iter().copied().find(|known| *known == name) else {
                return Err(Problem::invalid_parameter(
                    name.into_owned(),
                    "unknown parameter",
                ));
            };
            if pairs.iter().any(|(seen, _)| *seen == name) {
                return Err(Problem::invalid_parameter(
                    name,
                    "the parameter stands twice",
                ));
            }
            let value = percent::decode(raw_value, true).ok_or_else(|| malformed(name))?;
            pairs.push((name, value));
        }
        Ok(Self { pairs })
    }

    /// The value of a parameter; `None` when absent or empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        let (_, value) = self.pairs.iter().find(|(known, _)| *known == name)?;
        (!value.is_empty()).then_some(value)
    }

    /// A whole number in decimal digits.
    ///
    /// # Errors
    ///
    /// `invalid-parameter` when it is no number, or outside `range`.
    pub fn number(
        &self,
        name: &'static str,
        range: RangeInclusive<u64>,
    ) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        match text.parse() {
            Ok(number) if digits && range.contains(&number) => Ok(Some(number)),
            _ => Err(Problem::invalid_parameter(
                name,
                format!(
                    "must be a whole number from {} to {}",
                    range.start(),
                    range.end()
                ),
            )),
        }
    }
}

fn malformed(name: &str) -> Problem {
    Problem::invalid_parameter(name.to_owned(), "malformed percent-encoding")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KNOWN: &[&str] = &["a", "b"];

    #[test]
    fn a_bad_parameter_is_named() {
        for (query, name) in [
            ("c=1", "c"),
            ("c", "c"),
            ("a=1&a=2", "a"),
            ("a=&a=", "a"),
            ("b=%zz", "b"),
            ("b=%f", "b"),
            ("b=%ff", "b"),
            ("%ff=1", "%ff"),
        ] {
            let problem = Query::parse(Some(query), KNOWN).unwrap_err();
            assert_eq!(problem.slug(), "invalid-parameter", "{query}");
            assert_eq!(problem.named_field(), Some(name), "{query}");
        }
    }

    #[test]
    fn values_are_decoded() {
        let query = Query::parse(Some("&a=%C3%A9+%2B=&&%62"), KNOWN).unwrap();
        assert_eq!(query.get("a"), Some("é +="));
        assert_eq!(query.get("b"), None);
        assert_eq!(Query::parse(None, KNOWN).unwrap().get("a"), None);
    }

    #[test]
    fn numbers_are_plain_digits_in_range() {
        for bad in [
            "a=0",
            "a=101",
            "a=%2B5",
            "a=-1",
            "a=5.0",
            "a=x",
            "a=99999999999999999999999",
        ] {
            let query = Query::parse(Some(bad), KNOWN).unwrap();
            assert!(query.number("a", 1..=100).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[ab=&%+0-9f]{0,30}|.{0,30}") {
            let _ = Query::parse(Some(&text), KNOWN);
        }
    }
}
