//! Actors: whoever is asking.

use std::fmt;

use cqrs_core::Actor;

use super::InvalidValue;

/// The id of an actor: 1 to 64 of `a-z 0-9 _ . -`; neither `me`, which is a path of its own, nor dots only.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActorId(Actor);

impl ActorId {
    /// The most characters.
    pub const MAX_CHARS: usize = 64;

    /// Takes `text` as it is: ids are not trimmed.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`]: empty, too long, a character outside of the alphabet, or a name that means something else.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let allowed = "a-z, 0-9, _, . and -";
        let outside = |c: &char| !matches!(c, 'a'..='z' | '0'..='9' | '_' | '.' | '-');
        if let Some(character) = text.chars().find(outside) {
            return Err(InvalidValue::Character { character, allowed });
        }
        let (actual, max) = (text.len(), Self::MAX_CHARS);
        if actual > max {
            return Err(InvalidValue::TooLong { actual, max });
        }
        if !text.is_empty() && (text == "me" || text.bytes().all(|b| b == b'.')) {
            let name = text.to_owned();
            return Err(InvalidValue::ReservedName { name });
        }
        Actor::parse(text)
            .map(Self)
            .map_err(|_| InvalidValue::Empty)
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The actor, as envelopes carry it.
    #[must_use]
    pub fn as_actor(&self) -> &Actor {
        &self.0
    }
}

impl From<ActorId> for Actor {
    fn from(id: ActorId) -> Self {
        id.0
    }
}

impl fmt::Display for ActorId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(any(test, feature = "testing"))]
impl ActorId {
    /// Every valid actor id; see [`ActorId::parse`].
    pub fn any() -> impl proptest::strategy::Strategy<Value = Self> {
        use proptest::strategy::Strategy as _;
        "[a-z0-9_.-]{1,64}".prop_filter_map("reserved", |text| Self::parse(&text).ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_is_1_to_64_of_its_alphabet() {
        for good in [
            "a",
            "ada",
            "me.",
            "..a",
            "-",
            "_",
            "0",
            "mee",
            &"x".repeat(64),
        ] {
            assert_eq!(ActorId::parse(good).unwrap().as_str(), good);
        }
        for bad in ["Ada", "a b", " ada", "ada\n", "é", "a/b", "a\0"] {
            let refused = ActorId::parse(bad);
            assert!(
                matches!(refused, Err(InvalidValue::Character { .. })),
                "{bad}"
            );
        }
        assert_eq!(ActorId::parse(""), Err(InvalidValue::Empty));
        assert!(matches!(
            ActorId::parse(&"x".repeat(65)),
            Err(InvalidValue::TooLong {
                actual: 65,
                max: 64
            })
        ));
    }

    #[test]
    fn me_and_dots_are_no_actors() {
        for bad in ["me", ".", "..", &".".repeat(64)] {
            let refused = ActorId::parse(bad);
            assert!(
                matches!(refused, Err(InvalidValue::ReservedName { .. })),
                "{bad}"
            );
        }
    }

    proptest::proptest! {
        #[test]
        fn an_actor_parses_to_itself(actor in ActorId::any()) {
            proptest::prop_assert_eq!(ActorId::parse(actor.as_str()), Ok(actor));
        }
    }
}
