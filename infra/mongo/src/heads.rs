//! Where streams end.

use std::collections::HashMap;

use cqrs_core::{CommandId, Position, StreamName, Version};
use foldhash::fast::FixedState;

use crate::record::Stub;

/// The end of a stream, and where its last commit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) version: Version,
    /// 0 where the stream is empty.
    pub(crate) at: Position,
    /// Whose commit is the last one.
    pub(crate) last: Option<CommandId>,
}

impl Head {
    /// The end of a stream without events.
    pub(crate) const EMPTY: Self = Self {
        version: Version::EMPTY,
        at: Position::START,
        last: None,
    };

    /// The end of a stream whose last commit this is.
    pub(crate) fn of(stub: &Stub) -> Self {
        Self {
            version: stub.version(),
            at: stub.position,
            last: Some(stub.command),
        }
    }
}

/// Heads of recently used streams, in two generations: when the young one is
/// full it becomes the old one, and the old one is forgotten.
///
/// A hint: a head in here is one that the stream had, and no insert relies on its being the last.
pub(crate) struct Heads {
    young: HashMap<StreamName, Head, FixedState>,
    old: HashMap<StreamName, Head, FixedState>,
    half: usize,
}

impl Heads {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            young: HashMap::default(),
            old: HashMap::default(),
            half: (capacity / 2).max(1),
        }
    }

    pub(crate) fn get(&mut self, stream: &StreamName) -> Option<Head> {
        if let Some(head) = self.young.get(stream) {
            return Some(*head);
        }
        let head = self.old.remove(stream)?;
        self.keep(stream, head);
        Some(head)
    }

    /// Takes note of a head, unless a later one is known.
    pub(crate) fn learn(&mut self, stream: &StreamName, head: Head) {
        let known = self.get(stream);
        if known.is_none_or(|known| known.version <= head.version) {
            self.keep(stream, head);
        }
    }

    /// The same, where the stream is known at all.
    pub(crate) fn follow(&mut self, stub: &Stub) {
        if self.young.contains_key(&stub.stream) || self.old.contains_key(&stub.stream) {
            self.learn(&stub.stream, Head::of(stub));
        }
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }

    fn keep(&mut self, stream: &StreamName, head: Head) {
        if let Some(known) = self.young.get_mut(stream) {
            *known = head;
            return;
        }
        self.old.remove(stream);
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream.clone(), head);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(version: u64) -> Head {
        Head {
            version: Version::new(version),
            at: Position::new(version),
            last: None,
        }
    }

    #[test]
    fn a_head_only_rises_and_the_cache_stays_bounded() {
        let stream = |n: usize| StreamName::new("thing", &n).unwrap();
        let mut heads = Heads::new(8);
        heads.learn(&stream(0), head(5));
        heads.learn(&stream(0), head(3));
        assert_eq!(heads.get(&stream(0)), Some(head(5)));
        for n in 1..100 {
            heads.learn(&stream(n), head(1));
            assert!(heads.young.len() + heads.old.len() <= 8);
            // What is asked for stays.
            assert_eq!(heads.get(&stream(0)), Some(head(5)));
        }
        assert_eq!(heads.get(&stream(1)), None);
    }
}
