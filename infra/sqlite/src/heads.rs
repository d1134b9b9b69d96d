//! Where streams end, remembered for those that were used last.

use std::collections::HashMap;

use cqrs_core::{CommandId, LogPosition, StreamName, Version};
use foldhash::fast::FixedState;

/// The end of a stream, and where its last commit stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) version: Version,
    pub(crate) at: LogPosition,
    /// Whose commit is the last one.
    pub(crate) last: Option<CommandId>,
}

/// Heads of recently used streams, in two generations: when the young one is
/// full it becomes the old one, and the old one is forgotten.
pub(crate) struct HeadCache {
    young: HashMap<StreamName, Head, FixedState>,
    old: HashMap<StreamName, Head, FixedState>,
    half: usize,
}

impl HeadCache {
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
        self.insert(stream, head);
        Some(head)
    }

    pub(crate) fn insert(&mut self, stream: &StreamName, head: Head) {
        if let Some(known) = self.young.get_mut(stream) {
            *known = head;
            return;
        }
        if self.young.len() >= self.half {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(stream.clone(), head);
    }

    pub(crate) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}
