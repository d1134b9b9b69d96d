//! Cursors: where a walk over a list stands, bound to that list.
//!
//! A cursor is hex of a format byte, a key and a tag; the tag is a hash over both and the name of
//! the list (with sort and filters). So one that is damaged, or of another list, or of another
//! format, is told without anything stored. It is no secret and grants nothing: a forged one only
//! begins elsewhere in a list that may be read anyway.

use cqrs_core::Actor;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::query::{PostFilter, QueryError};

/// The format, and the domain of the tag. A change refuses the walks under way; they begin anew.
const FORMAT: u8 = 1;
const TAG: usize = 8;
/// An actor is the longest key.
const MAX_BYTES: usize = 1 + 255 + TAG;

/// The last row of a page, by what orders its list.
pub(crate) trait CursorKey: Sized {
    fn write(&self, out: &mut Vec<u8>);
    fn read(bytes: &[u8]) -> Option<Self>;
}

/// Of a list of posts by time, newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NewKey {
    pub(crate) created_at: i64,
    pub(crate) id: Uuid,
}

/// Of a list of posts by likes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TopKey {
    pub(crate) like_count: i64,
    pub(crate) created_at: i64,
    pub(crate) id: Uuid,
}

/// Of the comments of a post, oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CommentKey {
    pub(crate) created_at: i64,
    pub(crate) seq: i64,
}

/// Of the likes of a post, by actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LikeKey {
    pub(crate) actor: String,
}

/// Names the list of posts that pass `filter`.
pub(crate) fn posts_list(filter: &PostFilter) -> String {
    let actor = |actor: &Option<Actor>| actor.as_ref().map_or("", Actor::as_str).to_owned();
    let count = |count: Option<u64>| count.map_or(String::new(), |n| n.to_string());
    // An actor has no NUL, so two filters never have one name.
    [
        "posts".to_owned(),
        filter.sort.as_str().to_owned(),
        actor(&filter.author),
        actor(&filter.commented_by),
        actor(&filter.liked_by),
        count(filter.min_likes),
        count(filter.min_comments),
    ]
    .join("\0")
}

/// Names a list under a post.
pub(crate) fn post_list(what: &str, post: Uuid) -> String {
    format!("{what}\0{post}")
}

/// Writes the cursor after `key` in `list`.
pub(crate) fn encode(list: &str, key: &impl CursorKey) -> String {
    let mut bytes = vec![FORMAT];
    key.write(&mut bytes);
    let tag = tag(list, &bytes);
    bytes.extend_from_slice(&tag);
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(digit.into(), 16));
        }
    }
    text
}

/// Reads a cursor of `list`.
pub(crate) fn decode<K: CursorKey>(list: &str, cursor: &str) -> Result<K, QueryError> {
    unhex(cursor)
        .and_then(|bytes| {
            let (body, found) = bytes.split_at_checked(bytes.len().checked_sub(TAG)?)?;
            let (format, key) = body.split_first()?;
            let ours = *format == FORMAT && found == tag(list, body);
            ours.then(|| K::read(key)).flatten()
        })
        .ok_or(QueryError::InvalidCursor)
}

fn tag(list: &str, body: &[u8]) -> [u8; TAG] {
    let digest = Sha256::new()
        .chain_update((list.len() as u64).to_be_bytes())
        .chain_update(list)
        .chain_update(body)
        .finalize();
    let mut tag = [0; TAG];
    tag.copy_from_slice(&digest[..TAG]);
    tag
}

/// Lower case only: one cursor has one spelling.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > MAX_BYTES {
        return None;
    }
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}

fn int(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<8>()?;
    Some((i64::from_be_bytes(*head), rest))
}

impl CursorKey for NewKey {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.created_at.to_be_bytes());
        out.extend_from_slice(self.id.as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (created_at, id) = int(bytes)?;
        let id = Uuid::from_slice(id).ok()?;
        Some(Self { created_at, id })
    }
}

impl CursorKey for TopKey {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.like_count.to_be_bytes());
        let (created_at, id) = (self.created_at, self.id);
        NewKey { created_at, id }.write(out);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (like_count, rest) = int(bytes)?;
        let NewKey { created_at, id } = NewKey::read(rest)?;
        Some(Self {
            like_count,
            created_at,
            id,
        })
    }
}

impl CursorKey for CommentKey {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.created_at.to_be_bytes());
        out.extend_from_slice(&self.seq.to_be_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (created_at, rest) = int(bytes)?;
        let (seq, rest) = int(rest)?;
        rest.is_empty().then_some(Self { created_at, seq })
    }
}

impl CursorKey for LikeKey {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.actor.as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let actor = String::from_utf8(bytes.to_vec()).ok()?;
        Some(Self { actor })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_cursor_reads_back_in_its_own_list_alone(
            like_count in any::<i64>(), created_at in any::<i64>(), id in any::<u128>(),
            list in ".{0,20}", other in ".{0,20}",
        ) {
            let id = Uuid::from_u128(id);
            let top = TopKey { like_count, created_at, id };
            let text = encode(&list, &top);
            prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric()));
            prop_assert_eq!(decode::<TopKey>(&list, &text).unwrap(), top);
            prop_assert!(decode::<NewKey>(&list, &text).is_err());
            if list != other {
                prop_assert!(decode::<TopKey>(&other, &text).is_err());
            }
        }

        #[test]
        fn a_damaged_cursor_is_refused(
            actor in "[a-z]{1,64}", at in any::<prop::sample::Index>(), with in "[0-9a-fA-F~é]",
        ) {
            let text = encode("likes", &LikeKey { actor });
            let at = at.index(text.len());
            let damaged = format!("{}{with}{}", &text[..at], &text[at + 1..]);
            prop_assert_eq!(decode::<LikeKey>("likes", &damaged).is_ok(), damaged == text);
            prop_assert!(decode::<LikeKey>("likes", &text[..at]).is_err());
            for more in ["0", "00"] {
                prop_assert!(decode::<LikeKey>("likes", &(text.clone() + more)).is_err());
            }
        }

        #[test]
        fn whatever_is_sent_never_panics(text in ".{0,600}") {
            prop_assert!(decode::<LikeKey>("likes", &text).is_err());
        }
    }

    /// Golden: a change here refuses every walk under way and needs another format byte.
    #[test]
    fn the_format_is_frozen() {
        let key = CommentKey {
            created_at: 1,
            seq: 2,
        };
        let list = post_list("comments", Uuid::from_u128(3));
        let text = encode(&list, &key);
        assert!(text.starts_with("0100000000000000010000000000000002"));
        assert_eq!(decode::<CommentKey>(&list, &text).unwrap(), key);
    }

    #[test]
    fn every_filter_names_its_own_list() {
        let ada = Actor::parse("ada").ok();
        let author = PostFilter {
            author: ada.clone(),
            ..PostFilter::default()
        };
        let liked = PostFilter {
            liked_by: ada,
            ..PostFilter::default()
        };
        let some = PostFilter {
            min_likes: Some(0),
            ..PostFilter::default()
        };
        let lists = [PostFilter::default(), author, liked, some].map(|f| posts_list(&f));
        for (i, list) in lists.iter().enumerate() {
            assert!(!lists[..i].contains(list));
        }
    }
}
