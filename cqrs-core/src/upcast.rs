//! Upcasters: from an old stored shape to the current one, on read, over raw JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde_json::Value;

use crate::BoxError;
use crate::codec::EventType;

type Step = Arc<dyn Fn(Value) -> Result<Value, BoxError> + Send + Sync>;

/// Why an old shape could not be brought up to date.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UpcastError {
    /// Nobody registered this step.
    #[error("no upcaster from `{0}` to the next version")]
    Missing(EventType),
    /// The step failed.
    #[error("upcaster from `{from}` failed")]
    Failed {
        /// The shape that it was given.
        from: EventType,
        /// Why.
        source: BoxError,
    },
}

/// Steps from each schema version to the next, by event name. They run in a chain.
#[derive(Clone, Default)]
pub struct Upcasters {
    steps: BTreeMap<(String, u32), Step>,
}

impl Upcasters {
    /// No steps.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the step that turns version `from` of `name` into version `from + 1`.
    ///
    /// # Panics
    ///
    /// If that step was added before: two of them cannot both be right.
    #[must_use]
    pub fn step<F>(mut self, name: &str, from: u32, upcast: F) -> Self
    where
        F: Fn(Value) -> Result<Value, BoxError> + Send + Sync + 'static,
    {
        let earlier = self.steps.insert((name.to_owned(), from), Arc::new(upcast));
        assert!(earlier.is_none(), "two upcasters from `{name} v{from}`");
        self
    }

    /// Brings `json`, stored as `stored`, to version `target`.
    ///
    /// # Errors
    ///
    /// [`UpcastError`] names the step that is missing or failed.
    pub fn upcast(
        &self,
        stored: &EventType,
        target: u32,
        json: Value,
    ) -> Result<Value, UpcastError> {
        (stored.version()..target).try_fold(json, |json, version| {
            let from = || EventType::new(stored.name().to_owned(), version);
            let step = self
                .steps
                .get(&(stored.name().to_owned(), version))
                .ok_or_else(|| UpcastError::Missing(from()))?;
            step(json).map_err(|source| UpcastError::Failed {
                from: from(),
                source,
            })
        })
    }
}

impl fmt::Debug for Upcasters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.steps.keys()).finish()
    }
}
