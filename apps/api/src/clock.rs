//! The system's time, randomness and timer, for a library that has none of its own.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cqrs_core::{Clock, Random, Timer, Timestamp};

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The system's randomness.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

/// The runtime's timer.
#[derive(Debug, Clone, Copy, Default)]
pub struct TokioTimer;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Random for SystemRandom {
    /// # Panics
    ///
    /// If the system gives no randomness: ids that repeat would be worse.
    #[allow(clippy::expect_used)]
    fn next_u64(&self) -> u64 {
        getrandom::u64().expect("the system gives randomness")
    }
}

impl Timer for TokioTimer {
    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_is_past_the_year_2020_and_randomness_differs() {
        assert!(SystemClock.now().as_millis() > 1_577_836_800_000);
        assert_ne!(SystemRandom.next_u64(), SystemRandom.next_u64());
    }
}
