//! The system's time, randomness and timer, for a library that has none of its own.

use std::cell::RefCell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cqrs_core::{Clock, Random, Timer, Timestamp};

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

/// The system's randomness, asked for by each thread for several ids at once.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

/// How much is asked for at once: a call into the system each time would cost more than the rest of an id.
const DRAWN: usize = 256;

thread_local! {
    static POOL: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; DRAWN], left: 0 }) };
}

/// Randomness that nobody has got yet.
struct Pool {
    bytes: [u8; DRAWN],
    /// How many of the bytes, from the first on.
    left: usize,
}

impl Pool {
    fn take(&mut self) -> Result<u64, getrandom::Error> {
        if self.left == 0 {
            getrandom::fill(&mut self.bytes)?;
            self.left = DRAWN;
        }
        let mut taken = [0; 8];
        let from = self.left - taken.len();
        // What was given away is kept nowhere.
        taken.swap_with_slice(&mut self.bytes[from..self.left]);
        self.left = from;
        Ok(u64::from_ne_bytes(taken))
    }
}

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
        let drawn = POOL.with_borrow_mut(Pool::take);
        drawn.expect("the system gives randomness")
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

    #[test]
    fn randomness_is_given_once() {
        let mut pool = Pool {
            bytes: [0; DRAWN],
            left: 0,
        };
        let drawn: std::collections::HashSet<_> =
            (0..DRAWN).map(|_| pool.take().unwrap()).collect();
        assert_eq!(drawn.len(), DRAWN);
        assert!(!drawn.contains(&0), "what was given away");
    }
}
