//! Time and randomness, which come in from outside.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `millis` milliseconds after the epoch.
    #[must_use]
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the epoch.
    #[must_use]
    pub const fn as_millis(self) -> i64 {
        self.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// Tells the time. The binary passes in the system's, a test or simulation its own.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Timestamp;
}

/// Waits. The binary passes in its runtime's timer, a test or simulation its own.
pub trait Timer: Send + Sync {
    /// Completes after `duration`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the wait; nothing else happens.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}

/// Draws randomness. The binary passes in the system's, a test or simulation a seeded one.
pub trait Random: Send + Sync {
    /// Sixty-four unpredictable bits.
    fn next_u64(&self) -> u64;
}

impl<T: Clock + ?Sized> Clock for std::sync::Arc<T> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }
}

impl<T: Timer> Timer for std::sync::Arc<T> {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        (**self).sleep(duration)
    }
}

impl<T: Random + ?Sized> Random for std::sync::Arc<T> {
    fn next_u64(&self) -> u64 {
        (**self).next_u64()
    }
}

/// A clock and a timer passed as one.
impl<C: Clock, T: Timer> Clock for (C, T) {
    fn now(&self) -> Timestamp {
        self.0.now()
    }
}

impl<C: Clock, T: Timer> Timer for (C, T) {
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        self.1.sleep(duration)
    }
}
