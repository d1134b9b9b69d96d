//! Who likes something.

use std::collections::BTreeSet;

/// The actors who like a post or a comment, each once.
///
/// A tree, not a hash table: it grows in small steps, is compact, and cannot be
/// slowed down by actors who choose their names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Likes(BTreeSet<Box<str>>);

impl Likes {
    pub(super) fn contains(&self, actor: &str) -> bool {
        self.0.contains(actor)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|actor| &**actor)
    }

    /// Adds `actor`; the bytes that the set grew by.
    pub(super) fn insert(&mut self, actor: &str) -> usize {
        if self.0.insert(actor.into()) {
            Self::cost(actor)
        } else {
            0
        }
    }

    /// Takes `actor` out; the bytes that the set shrank by.
    pub(super) fn remove(&mut self, actor: &str) -> usize {
        if self.0.remove(actor) {
            Self::cost(actor)
        } else {
            0
        }
    }

    /// A slot of a tree node, which is two thirds full, and a block on the heap.
    fn cost(actor: &str) -> usize {
        24 + 16 + actor.len()
    }
}
