//! Names of streams, and which log partition each belongs to.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::position::Partition;

/// Why a text is not a [`StreamName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidStreamName {
    /// There is no `-` between category and id.
    #[error("stream name `{0}` lacks the `-` between category and id")]
    NoDash(String),
    /// The category is not 1 to 64 of `a-z 0-9 _`.
    #[error("stream category `{0}` is not 1 to 64 of a-z 0-9 _")]
    Category(String),
    /// The id is not 1 to 200 printable ASCII characters.
    #[error("stream id `{0}` is not 1 to 200 printable ASCII characters without blanks")]
    Id(String),
}

/// The name of one aggregate's ordered events: `category-id`.
///
/// The category is 1 to 64 of `a-z 0-9 _`; the id is 1 to 200 printable ASCII
/// characters without blanks. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName(Arc<str>);

impl StreamName {
    /// Joins a category and an id.
    ///
    /// # Errors
    ///
    /// [`InvalidStreamName`] names the half that is wrong.
    pub fn new(category: &str, id: &impl fmt::Display) -> Result<Self, InvalidStreamName> {
        check_category(category)?;
        // Taken, so that an id whose display makes a name finds a new one.
        let mut name = WRITTEN.take();
        name.clear();
        name.push_str(category);
        name.push('-');
        let written = match write!(UpTo(&mut name, LONGEST), "{id}") {
            Ok(()) => check_id(&name[category.len() + 1..]).map(|()| Self(name.as_str().into())),
            // It did not fit, or does not display itself.
            Err(fmt::Error) => Err(InvalidStreamName::Id(id.to_string())),
        };
        WRITTEN.set(name);
        written
    }

    /// Reads a name written by [`StreamName::as_str`].
    ///
    /// # Errors
    ///
    /// [`InvalidStreamName`] names the half that is wrong.
    pub fn parse(text: &str) -> Result<Self, InvalidStreamName> {
        let (category, id) = text
            .split_once('-')
            .ok_or_else(|| InvalidStreamName::NoDash(text.to_owned()))?;
        check_category(category)?;
        check_id(id)?;
        Ok(Self(text.into()))
    }

    /// The whole name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the first `-`.
    #[must_use]
    pub fn category(&self) -> &str {
        self.0.split_once('-').map_or("", |(category, _)| category)
    }

    /// What stands after the first `-`.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.split_once('-').map_or("", |(_, id)| id)
    }

    /// The partition, of `partitions`, that holds this stream.
    ///
    /// The hash is named [`PARTITION_HASH`] and frozen: a store writes its name
    /// down at creation.
    #[must_use]
    pub fn partition(&self, partitions: u16) -> Partition {
        if partitions <= 1 {
            return Partition::new(0);
        }
        let hash = fnv1a_64(self.0.as_bytes());
        // FNV's low bits are its weakest: fold the high half in before reducing.
        let mixed = hash ^ (hash >> 32);
        let index = mixed % u64::from(partitions);
        Partition::new(u16::try_from(index).unwrap_or(0))
    }
}

/// The bytes of the longest name: category, dash, id.
const LONGEST: usize = 64 + 1 + 200;

thread_local! {
    /// A name is put together here and copied once its length is known; never longer than [`LONGEST`].
    static WRITTEN: Cell<String> = const { Cell::new(String::new()) };
}

/// Takes no more than so many bytes in all.
struct UpTo<'s>(&'s mut String, usize);

impl fmt::Write for UpTo<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.0.len() + text.len() > self.1 {
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

/// The name of the hash behind [`StreamName::partition`], as stores record it.
pub const PARTITION_HASH: &str = "fnv1a-64-folded";

fn fnv1a_64(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

fn check_category(category: &str) -> Result<(), InvalidStreamName> {
    let fits = (1..=64).contains(&category.len())
        && category
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    if fits {
        Ok(())
    } else {
        Err(InvalidStreamName::Category(category.to_owned()))
    }
}

fn check_id(id: &str) -> Result<(), InvalidStreamName> {
    // Without a way out in the middle they are looked at many at a time.
    let graphic = || id.bytes().fold(true, |all, b| all & b.is_ascii_graphic());
    if (1..=200).contains(&id.len()) && graphic() {
        Ok(())
    } else {
        Err(InvalidStreamName::Id(id.to_owned()))
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamName({})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_a_category_and_an_id() {
        let name = StreamName::new("post", &"a-b").unwrap();
        assert_eq!(
            (name.as_str(), name.category(), name.id()),
            ("post-a-b", "post", "a-b")
        );
        assert_eq!(StreamName::parse("post-a-b").unwrap(), name);
    }

    #[test]
    fn a_bad_half_is_named() {
        assert!(matches!(
            StreamName::parse("post"),
            Err(InvalidStreamName::NoDash(_))
        ));
        assert!(matches!(
            StreamName::new("Post", &1),
            Err(InvalidStreamName::Category(_))
        ));
        assert!(matches!(
            StreamName::new("post", &"a b"),
            Err(InvalidStreamName::Id(_))
        ));
        assert!(matches!(
            StreamName::new("post", &""),
            Err(InvalidStreamName::Id(_))
        ));
    }

    #[test]
    fn a_name_is_as_long_as_it_may_be_and_no_longer() {
        let (category, id) = ("c".repeat(64), "i".repeat(200));
        let longest = StreamName::new(&category, &id).unwrap();
        assert_eq!(longest.as_str(), format!("{category}-{id}"));
        for id in [id + "i", "i".repeat(1_000)] {
            let refused = StreamName::new(&category, &id);
            assert_eq!(refused, Err(InvalidStreamName::Id(id)));
        }
    }

    /// Golden: a change here moves streams to other partitions and breaks every store.
    #[test]
    fn the_partition_hash_is_frozen() {
        let partition = |name: &str, n| StreamName::parse(name).unwrap().partition(n).index();
        let names = ["post-1", "post-2", "author-ada", "account-9f", "x-y"];
        assert_eq!(names.map(|n| partition(n, 1)), [0; 5]);
        assert_eq!(names.map(|n| partition(n, 4)), GOLDEN_4);
        assert_eq!(names.map(|n| partition(n, 16)), GOLDEN_16);
    }

    const GOLDEN_4: [u16; 5] = [2, 3, 3, 1, 0];
    const GOLDEN_16: [u16; 5] = [10, 3, 11, 9, 12];
}
