//! The rows of a slice in memory: as they are stored, and as they become.

use std::collections::BTreeMap;

use uuid::Uuid;

/// A row that may be stored, may have changed, or may be gone.
#[derive(Debug, Clone)]
pub(super) struct Cell<T> {
    stored: bool,
    changed: bool,
    now: Option<T>,
}

/// What is to be done to the table for a [`Cell`].
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change<'a, T> {
    Insert(&'a T),
    Update(&'a T),
    Delete,
}

impl<T> Cell<T> {
    /// A row as it is stored, or known not to be.
    pub(super) fn loaded(row: Option<T>) -> Self {
        Self {
            stored: row.is_some(),
            changed: false,
            now: row,
        }
    }

    pub(super) fn get(&self) -> Option<&T> {
        self.now.as_ref()
    }

    /// The row, to be changed.
    pub(super) fn get_mut(&mut self) -> Option<&mut T> {
        self.changed |= self.now.is_some();
        self.now.as_mut()
    }

    /// Puts a row there; `true` where there was none.
    pub(super) fn put(&mut self, row: T) -> bool {
        self.changed = true;
        self.now.replace(row).is_none()
    }

    pub(super) fn take(&mut self) -> Option<T> {
        self.changed |= self.now.is_some();
        self.now.take()
    }

    pub(super) fn change(&self) -> Option<Change<'_, T>> {
        match (&self.now, self.stored) {
            _ if !self.changed => None,
            (Some(row), false) => Some(Change::Insert(row)),
            (Some(row), true) => Some(Change::Update(row)),
            (None, true) => Some(Change::Delete),
            (None, false) => None,
        }
    }
}

impl<T> Default for Cell<T> {
    fn default() -> Self {
        Self::loaded(None)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Post {
    /// `None` when deleted.
    pub(super) author: Option<String>,
    pub(super) created_at: i64,
    pub(super) edited_at: Option<i64>,
    pub(super) like_count: i64,
    pub(super) comment_count: i64,
    pub(super) message: String,
    pub(super) version: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Like {
    pub(super) at: i64,
    pub(super) post_at: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Comment {
    pub(super) created_at: i64,
    pub(super) seq: i64,
    pub(super) author: String,
    pub(super) edited_at: Option<i64>,
    pub(super) like_count: i64,
    pub(super) message: String,
}

#[derive(Debug, Clone)]
pub(super) struct Commenter {
    pub(super) comments: i64,
    pub(super) post_at: i64,
}

#[derive(Debug, Clone)]
pub(super) struct Author {
    pub(super) handle: String,
    pub(super) handle_since: i64,
    pub(super) display_name: String,
    pub(super) version: i64,
}

/// What a slice adds to an actor's statistics; zeros where the actor was merely active.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stat {
    pub(super) posts: i64,
    pub(super) comments: i64,
    pub(super) likes: i64,
}

/// Every row that a slice can touch.
#[derive(Debug, Default)]
pub(super) struct Slice {
    pub(super) posts: BTreeMap<Uuid, Cell<Post>>,
    pub(super) likes: BTreeMap<(Uuid, String), Cell<Like>>,
    pub(super) comments: BTreeMap<(Uuid, Uuid), Cell<Comment>>,
    pub(super) commenters: BTreeMap<(Uuid, String), Cell<Commenter>>,
    pub(super) comment_likes: BTreeMap<(Uuid, Uuid, String), Cell<()>>,
    pub(super) authors: BTreeMap<String, Cell<Author>>,
    pub(super) stats: BTreeMap<String, Stat>,
    /// Posts under which nothing is left.
    pub(super) emptied: Vec<Uuid>,
    /// Comments, by post and id, under which nothing is left.
    pub(super) removed: Vec<(Uuid, Uuid)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_written_once_or_not_at_all() {
        let mut cell = Cell::loaded(None);
        assert_eq!(cell.change(), None);
        assert!(cell.put(1));
        assert_eq!(cell.change(), Some(Change::Insert(&1)));
        assert_eq!(cell.take(), Some(1));
        assert_eq!(cell.change(), None);

        let mut cell = Cell::loaded(Some(1));
        assert_eq!(cell.change(), None);
        assert_eq!(cell.take(), Some(1));
        assert_eq!(cell.change(), Some(Change::Delete));
        assert!(cell.put(2));
        assert_eq!(cell.change(), Some(Change::Update(&2)));
    }
}
