//! What comes up after the server: an edge whose engines may be away.

use std::sync::{Arc, OnceLock};

/// A place for something that is there later, or from the beginning. Clones share it.
#[derive(Debug)]
pub struct Late<T>(Arc<OnceLock<T>>);

impl<T> Late<T> {
    /// Nothing yet.
    #[must_use]
    pub fn pending() -> Self {
        Self(Arc::new(OnceLock::new()))
    }

    /// Puts `value` there; the first one stays.
    pub fn set(&self, value: T) {
        // What comes second has nobody to take it.
        drop(self.0.set(value));
    }

    /// What is there.
    #[must_use]
    pub fn get(&self) -> Option<&T> {
        self.0.get()
    }
}

impl<T> From<T> for Late<T> {
    fn from(value: T) -> Self {
        Self(Arc::new(OnceLock::from(value)))
    }
}

impl<T> Clone for Late<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}
