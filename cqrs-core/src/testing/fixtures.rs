//! Envelopes, time and randomness for tests: all of it told, none of it drawn.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use uuid::Uuid;

use crate::envelope::{Actor, CommandId, Envelope};
use crate::time::{Clock, Random, Timer, Timestamp};

/// An envelope of `actor` with a command id that no other call gets, at a fixed time.
///
/// # Panics
///
/// If `actor` is no [`Actor`].
#[must_use]
#[track_caller]
pub fn envelope(actor: &str) -> Envelope {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let id = CommandId::new(Uuid::from_u64_pair(0x7e57, number));
    let Ok(actor) = Actor::parse(actor) else {
        panic!("`{actor}` is no actor");
    };
    Envelope::new(id, actor, Timestamp::from_millis(1_700_000_000_000))
}

/// A clock that stands still until it is told.
#[derive(Debug, Default)]
pub struct ManualClock(AtomicI64);

impl ManualClock {
    /// A clock at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.as_millis()))
    }

    /// Moves it on, or back.
    pub fn advance_millis(&self, millis: i64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// A timer for which every wait is over at once; it yields, so that others run meanwhile.
#[derive(Debug, Clone, Copy, Default)]
pub struct InstantTimer;

impl Timer for InstantTimer {
    async fn sleep(&self, _duration: Duration) {
        yield_now().await;
    }
}

/// Lets everything else run once.
pub(crate) async fn yield_now() {
    let mut yielded = false;
    std::future::poll_fn(|cx| {
        if yielded {
            return std::task::Poll::Ready(());
        }
        yielded = true;
        cx.waker().wake_by_ref();
        std::task::Poll::Pending
    })
    .await;
}

/// Randomness from a seed (SplitMix64): the same seed, the same numbers.
#[derive(Debug)]
pub struct SeededRandom(AtomicU64);

impl SeededRandom {
    /// The numbers of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Random for SeededRandom {
    fn next_u64(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
