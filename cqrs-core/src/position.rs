//! Partitions of the log and positions in them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The number of a log partition: 0, 1, 2 …
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Partition(u16);

impl Partition {
    /// Partition `index`.
    #[must_use]
    pub const fn new(index: u16) -> Self {
        Self(index)
    }

    /// Its number.
    #[must_use]
    pub const fn index(self) -> u16 {
        self.0
    }

    /// The partitions of a log with `count` of them.
    pub fn all(count: u16) -> impl Iterator<Item = Self> {
        (0..count).map(Self)
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of a commit in its partition: 1, 2, 3 …, dense and in commit order. 0 stands before the first.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Position(u64);

impl Position {
    /// Before the first commit.
    pub const START: Self = Self(0);

    /// Position `number`.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Its number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The position of the next commit.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A place in the log, written `partition-position`. Also a consistency token.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(try_from = "String", into = "String")]
pub struct LogPosition {
    /// The partition.
    pub partition: Partition,
    /// The commit in it; 0 before the first.
    pub position: Position,
}

impl LogPosition {
    /// `position` in `partition`.
    #[must_use]
    pub const fn new(partition: Partition, position: Position) -> Self {
        Self {
            partition,
            position,
        }
    }
}

impl fmt::Display for LogPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.partition, self.position)
    }
}

/// A text that is no [`LogPosition`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a log position such as 0-42")]
pub struct InvalidLogPosition(String);

impl FromStr for LogPosition {
    type Err = InvalidLogPosition;

    /// Accepts exactly what `Display` writes: no sign, no blank, no leading zero.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('-').and_then(|(partition, position)| {
            Some(Self {
                partition: Partition(decimal(partition)?),
                position: Position(decimal(position)?),
            })
        });
        parsed.ok_or_else(|| InvalidLogPosition(text.to_owned()))
    }
}

fn decimal<N: FromStr>(text: &str) -> Option<N> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    let canonical = digits && (text == "0" || !text.starts_with('0'));
    canonical.then(|| text.parse().ok()).flatten()
}

impl TryFrom<String> for LogPosition {
    type Error = InvalidLogPosition;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<LogPosition> for String {
    fn from(at: LogPosition) -> Self {
        at.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_reads_back_what_it_writes() {
        let at = LogPosition::new(Partition::new(3), Position::new(42));
        assert_eq!(at.to_string(), "3-42");
        assert_eq!("3-42".parse(), Ok(at));
    }

    #[test]
    fn nonsense_is_no_position() {
        for text in [
            "", "-", "1", "1-", "-1", "+1-2", "01-2", "1-02", "1-2-3", "70000-1", "a-b",
        ] {
            assert!(text.parse::<LogPosition>().is_err(), "{text}");
        }
    }
}
